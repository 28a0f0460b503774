package kernel

import (
	"encoding/binary"
	"time"
)

// Peak is how fast a loop of nothing but one multiply-add instruction runs: the limit of the kernels that use it.
type Peak struct {
	Kernel      string  `json:"kernel"`      // the row of the table whose products use it
	Instruction string  `json:"instruction"` // as in "VPMADDUBSW+VPADDW"
	Integer     bool    `json:"integer"`     // the ternary product's; else float32
	GMACs       float64 `json:"gmacs"`       // 1e9 multiply-adds a second, all threads together
}

// peakLoop runs turns of macs multiply-adds each.
type peakLoop struct {
	instruction string
	integer     bool
	macs        int
	run         func(turns int)
}

// Peaks measures every multiply-add loop that this processor supports for d each, on so many threads at once. It is empty in a build without
// assembly.
func Peaks(d time.Duration, threads int) []Peak {
	p := NewPool(threads)
	defer p.Close()
	var peaks []Peak
	for _, k := range kernels {
		for _, l := range k.peaks {
			if k.supported {
				peaks = append(peaks, Peak{k.name, l.instruction, l.integer, l.measure(p, d)})
			}
		}
	}
	return peaks
}

// measure returns the rate in 1e9 a second. A thread that ends early would leave the others a faster machine, so all run for d.
func (l *peakLoop) measure(p *Pool, d time.Duration) float64 {
	const turns = 1 << 14 // tens of microseconds
	done := make([]int, p.Threads())
	start := time.Now()
	p.Run(len(done), 1, func(lo, hi int) {
		for time.Since(start) < d {
			l.run(turns)
			done[lo] += turns
		}
	})
	total := 0
	for _, n := range done {
		total += n
	}
	return float64(total) * float64(l.macs) / float64(time.Since(start))
}

// ReadBandwidth reads buf once, a part on each thread, and returns 1e9 bytes a second. For the memory's figure buf is larger than every
// cache and has been written before.
func ReadBandwidth(buf []byte, threads int) float64 {
	p := NewPool(threads)
	defer p.Close()
	const unit = 64
	start := time.Now()
	p.Run(len(buf)/unit, 1<<10, func(lo, hi int) { readAll(buf[lo*unit : hi*unit]) })
	return float64(len(buf)/unit*unit) / float64(time.Since(start))
}

// readAll is kept out of line, or the compiler drops loads whose sum nobody takes.
//
//go:noinline
func readAll(b []byte) (sum uint64) {
	for ; len(b) >= 64; b = b[64:] {
		c := (*[64]byte)(b)
		sum ^= binary.LittleEndian.Uint64(c[0:]) ^ binary.LittleEndian.Uint64(c[8:]) ^
			binary.LittleEndian.Uint64(c[16:]) ^ binary.LittleEndian.Uint64(c[24:])
		sum ^= binary.LittleEndian.Uint64(c[32:]) ^ binary.LittleEndian.Uint64(c[40:]) ^
			binary.LittleEndian.Uint64(c[48:]) ^ binary.LittleEndian.Uint64(c[56:])
	}
	return sum
}
