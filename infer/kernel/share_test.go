package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
)

// share runs f and the peak loop of the kernel in use in turn, A B A B, and reports the ratio of their medians and of their best times: on a
// machine that others use too both meet the same weather, but the longer of them more of it.
func share(b *testing.B, integer bool, macs int, f func()) {
	var loop peakLoop
	for _, k := range kernels[slices.IndexFunc(kernels, func(k kernel) bool { return k.name == active.name }):] {
		for _, l := range k.peaks {
			if l.integer == integer && loop.run == nil {
				loop = l
			}
		}
	}
	if loop.run == nil {
		b.Skip("no peak loop in this build")
	}
	turns := max(1, macs/loop.macs)
	var peak, own []time.Duration
	for b.Loop() {
		start := time.Now()
		loop.run(turns)
		middle := time.Now()
		f()
		peak, own = append(peak, middle.Sub(start)), append(own, time.Since(middle))
	}
	slices.Sort(peak)
	slices.Sort(own)
	rate := func(t time.Duration) float64 { return float64(macs) / float64(t) }
	b.ReportMetric(100*float64(peak[len(peak)/2])/float64(own[len(own)/2]), "%peak")
	b.ReportMetric(100*float64(peak[0])/float64(own[0]), "best-%peak")
	b.ReportMetric(rate(own[0]), "GMAC/s")
	b.ReportMetric(rate(peak[0]), "peak-GMAC/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkShareOfPeak is one thread's share of its multiply-add peak (PERFORMANCE.md, goals 1 and 7):
//
//	go test ./infer/kernel -run xxx -bench ShareOfPeak
func BenchmarkShareOfPeak(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := NewPool(1)
	defer p.Close()
	const rows = 528 // a matrix that fits the cache: arithmetic is measured, not memory
	eachKernelBench(b, func(b *testing.B) {
		for _, n := range []int{1, 8, 32} {
			b.Run(fmt.Sprint("ternary/", n), func(b *testing.B) {
				m, err := NewTernary(rows, benchCols, 1, nil)
				if err != nil {
					b.Fatal(err)
				}
				a, y := NewActivations(n, benchCols), make([]float32, n*rows)
				if err := a.Quantize(normals(rng, n*benchCols), n, benchCols); err != nil {
					b.Fatal(err)
				}
				share(b, true, n*rows*benchCols, func() { m.MatMul(y, a, nil, p) })
			})
		}
		q6, err := NewDense(gguf.Q6_K, blocksQ6(rng, rows*benchCols/q6Weights), rows, benchCols)
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range append(denses(b, normals(rng, rows*benchCols), rows, benchCols), q6) {
			for _, n := range []int{1, 8, 32} {
				b.Run(fmt.Sprint(d.typ, "/", n), func(b *testing.B) {
					x, y := normals(rng, n*benchCols), make([]float32, n*rows)
					share(b, d.typ == gguf.Q8_0 || d.typ == gguf.Q6_K, n*rows*benchCols, func() { d.MatMul(y, x, n, nil, p) })
				})
			}
		}
		const positions, d = 4096, 128 // 8 rows of 4 heads; q·K and p·V
		kv := KV{Page: 32, Stride: d}
		kv16 := kv
		for range positions / kv.Page {
			k, v, k16, v16 := normals(rng, kv.Page*d), normals(rng, kv.Page*d), make([]uint16, kv.Page*d), make([]uint16, kv.Page*d)
			ToHalf(k16, k)
			ToHalf(v16, v)
			kv.K, kv.V = append(kv.K, k), append(kv.V, v)
			kv16.K16, kv16.V16 = append(kv16.K16, k16), append(kv16.V16, v16)
		}
		heads := Heads{N: 4, Dim: d, Stride: 4 * d}
		scratch := make([]float32, AttendScratch(positions, d))
		for _, rows := range []int{1, 8} {
			o, q, ends := make([]float32, rows*4*d), normals(rng, rows*4*d), filled(rows, positions)
			for i, kv := range []KV{kv, kv16} {
				b.Run(fmt.Sprint("attention ", []gguf.Type{gguf.F32, gguf.F16}[i], "/", rows), func(b *testing.B) {
					share(b, false, 2*rows*4*positions*d, func() { Attend(o, q, heads, kv, ends, scratch) })
				})
			}
		}
	})
}
