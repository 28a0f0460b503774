package main

import (
	"time"

	"github.com/wrinklefree/wf/infer/kernel"
)

// limits are what this machine can do at most, measured with the instructions of the kernels.
type limits struct {
	Threads int           `json:"threads"`
	Peaks   []kernel.Peak `json:"peaks"`
	ReadGBs float64       `json:"read_gb_per_second"`
}

const (
	peakTime   = 200 * time.Millisecond // each instruction
	readBytes  = 1 << 28                // larger than the caches
	limitsRuns = 3                      // the best of these counts: a limit is what was reached once
)

// measureLimits takes a second or two.
func measureLimits(threads int) *limits {
	l := &limits{Threads: threads}
	buf := make([]byte, readBytes)
	for i := 0; i < len(buf); i += 4096 { // a page that was never written is not in memory
		buf[i] = 1
	}
	for range limitsRuns {
		l.ReadGBs = max(l.ReadGBs, kernel.ReadBandwidth(buf, threads))
		for i, p := range kernel.Peaks(peakTime, threads) {
			if i == len(l.Peaks) {
				l.Peaks = append(l.Peaks, p)
			}
			l.Peaks[i].GMACs = max(l.Peaks[i].GMACs, p.GMACs)
		}
	}
	return l
}

// peak is the limit of the kernel in use, in 1e9 multiply-adds a second; 0 where it has no assembly.
func (l *limits) peak(integer bool) float64 {
	best := 0.0
	for _, p := range l.Peaks {
		if p.Kernel == kernel.Name() && p.Integer == integer {
			best = max(best, p.GMACs)
		}
	}
	return best
}
