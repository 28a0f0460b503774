package main

import (
	"time"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/kernel"
)

// limits are what this machine can do at most, measured with the instructions of the kernels.
type limits struct {
	Threads int           `json:"threads"`
	Peaks   []kernel.Peak `json:"peaks"`
	ReadGBs float64       `json:"read_gb_per_second"`
}

const (
	peakTime  = 30 * time.Millisecond // each instruction
	readBytes = 1 << 27               // larger than the caches
)

// yardstick measures limits again and again: on a shared machine they change from second to second.
type yardstick struct {
	threads int
	memory  []byte
	close   func() error
}

func newYardstick(threads int) (*yardstick, error) {
	memory, release, err := infer.Pages(readBytes)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(memory); i += 4096 { // a page that was never written is not in memory
		memory[i] = 1
	}
	return &yardstick{threads, memory, release}, nil
}

// measure takes some tenths of a second.
func (y *yardstick) measure() *limits {
	return &limits{Threads: y.threads, Peaks: kernel.Peaks(peakTime, y.threads), ReadGBs: kernel.ReadBandwidth(y.memory, y.threads)}
}

// best is the best of several measurements: a limit is what was reached once.
func (y *yardstick) best(times int) *limits {
	l := y.measure()
	for range times - 1 {
		again := y.measure()
		l.ReadGBs = max(l.ReadGBs, again.ReadGBs)
		for i := range l.Peaks {
			l.Peaks[i].GMACs = max(l.Peaks[i].GMACs, again.Peaks[i].GMACs)
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
