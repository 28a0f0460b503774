package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The shape of BitNet-2B-4T's widest matrix, one thread; the metric is millions of multiply-adds a second.
const benchRows, benchCols = 6912, 2560

// normals have no subnormals, which some processors multiply slowly.
func normals(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func reportMulAdds(b *testing.B, each int) {
	b.ReportMetric(float64(each)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mmac/s")
	b.ReportMetric(0, "ns/op")
}

func eachKernelBench(b *testing.B, f func(b *testing.B)) {
	defer func(k kernel) { active = k }(active)
	for _, k := range kernels {
		if k.supported {
			active = k
			b.Run(k.name, f)
		}
	}
}

func BenchmarkTernaryMatMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	m, err := NewTernary(benchRows, benchCols, 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	trits := make([]int8, benchCols)
	for r := range benchRows {
		for c := range trits {
			trits[c] = int8(rng.IntN(3) - 1)
		}
		m.SetRow(r, trits)
	}
	p := NewPool(1)
	defer p.Close()
	eachKernelBench(b, func(b *testing.B) {
		for _, n := range []int{1, 8, 32} {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				a, y := NewActivations(n, benchCols), make([]float32, n*benchRows)
				if err := a.Quantize(normals(rng, n*benchCols), n, benchCols); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					m.MatMul(y, a, nil, p)
				}
				reportMulAdds(b, n*benchRows*benchCols)
			})
		}
	})
}

func BenchmarkDenseMatMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rows = 512
	all := denses(b, normals(rng, rows*benchCols), rows, benchCols)
	p := NewPool(1)
	defer p.Close()
	eachKernelBench(b, func(b *testing.B) {
		for _, d := range all {
			for _, n := range []int{1, 8, 32} {
				b.Run(fmt.Sprint(d.typ, "/", n), func(b *testing.B) {
					x, y := normals(rng, n*benchCols), make([]float32, n*rows)
					for b.Loop() {
						d.MatMul(y, x, n, nil, p)
					}
					reportMulAdds(b, n*rows*benchCols)
				})
			}
		}
	})
}

func BenchmarkQuantize(b *testing.B) {
	x := normals(rand.New(rand.NewPCG(1, 2)), benchCols)
	a := NewActivations(1, benchCols)
	eachKernelBench(b, func(b *testing.B) {
		for b.Loop() {
			if err := a.Quantize(x, 1, benchCols); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSiLUMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	g, u := normals(rng, benchRows), filled(benchRows, float32(1))
	for b.Loop() {
		SiLUMul(g, u)
	}
}

func BenchmarkArgMaxConfidence(b *testing.B) {
	logits := normals(rand.New(rand.NewPCG(1, 2)), 128256)
	eachKernelBench(b, func(b *testing.B) {
		for b.Loop() {
			ArgMaxConfidence(logits, 5)
		}
	})
}

func BenchmarkRotary(b *testing.B) {
	r, x, angles := NewRotary(RotaryPowers(128, 1/5e5), 1, false), make([]float32, 20*128), make([]float32, 128)
	for b.Loop() {
		r.Angles(angles, 1000)
		r.Apply(x, 128, angles)
	}
}

func BenchmarkSetRow(b *testing.B) {
	m, err := NewTernary(panelRows, benchCols, 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	trits := make([]int8, benchCols)
	for b.Loop() {
		m.SetRow(3, trits)
	}
}

// BenchmarkPool is the price of starting and ending a Run.
func BenchmarkPool(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	f := func(lo, hi int) {}
	for b.Loop() {
		p.Run(100, 1, f)
	}
}
