package kernel

import (
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

func TestPoolRun(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := NewPool(threads)
		if p.Threads() != threads {
			t.Errorf("%d threads, want %d", p.Threads(), threads)
		}
		for _, n := range []int{0, 1, 15, 16, 17, 100, 1000} {
			for _, grain := range []int{1, 16} {
				seen := make([]atomic.Int32, n)
				p.Run(n, grain, func(lo, hi int) {
					if lo%grain != 0 || hi%grain != 0 && hi != n || lo >= hi {
						t.Errorf("part [%d,%d) of %d, grain %d", lo, hi, n, grain)
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
				})
				for i := range seen {
					if c := seen[i].Load(); c != 1 {
						t.Fatalf("threads %d, n %d, grain %d: %d done %d times", threads, n, grain, i, c)
					}
				}
			}
		}
		p.Close()
	}
}

func TestPoolDefault(t *testing.T) {
	p := NewPool(0)
	defer p.Close()
	if p.Threads() != runtime.GOMAXPROCS(0) {
		t.Errorf("%d threads, want %d", p.Threads(), runtime.GOMAXPROCS(0))
	}
}

func TestPoolPanic(t *testing.T) {
	p := NewPool(4)
	defer p.Close()
	for bad := range 64 {
		func() {
			defer func() {
				if v := recover(); v != bad {
					t.Fatalf("recovered %v, want %d", v, bad)
				}
			}()
			p.Run(64, 1, func(lo, hi int) {
				if lo <= bad && bad < hi {
					panic(bad)
				}
			})
			t.Fatal("no panic")
		}()
	}
	sum := atomic.Int64{} // and the pool still works
	p.Run(100, 1, func(lo, hi int) { sum.Add(int64(hi - lo)) })
	if sum.Load() != 100 {
		t.Errorf("%d rows done, want 100", sum.Load())
	}
}

func TestNoAllocation(t *testing.T) {
	rng := newRand(t)
	p := NewPool(2)
	defer p.Close()
	const n, rows, cols = 3, 48, 96
	m, err := NewTernary(rows, cols, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, x, y := NewActivations(n, cols), floats(rng, n*cols), make([]float32, n*rows)
	dense := denses(t, floats(rng, rows*cols), rows, cols)
	f := func(lo, hi int) {}
	k := floats(rng, 20*cols)
	kv := KV{K: [][]float32{k}, V: [][]float32{k}, Page: 20, Stride: cols}
	ends, scratch := []int{20}, make([]float32, AttendScratch(20, cols))
	if got := testing.AllocsPerRun(50, func() {
		p.Run(100, 1, f)
		if a.Quantize(x, n, cols) != nil {
			t.Error("not finite")
		}
		m.MatMul(y, a, nil, p)
		for _, d := range dense {
			d.MatMul(y, x, n, nil, p)
			d.MatMul(y[:rows], x[:cols], 1, nil, p)
		}
		RMSNorm(y[:cols], x[:cols], x[cols:][:cols], 1e-5)
		Attend(y[:cols], x[:cols], Heads{N: 1, Dim: cols}, kv, ends, scratch)
		ArgMaxConfidence(x, 3)
	}); got != 0 {
		t.Errorf("%v allocations a step", got)
	}
}

func TestThreadsAgree(t *testing.T) {
	t.Run("R156 threads 1, 2, 3, N, N+1; GOMAXPROCS changes; assembly off", func(t *testing.T) {
		rng := newRand(t)
		defer func(k kernel, procs int) { active = k; runtime.GOMAXPROCS(procs) }(active, runtime.GOMAXPROCS(0))
		const n, rows, cols, d, positions = 5, 150, 224, 32, 70
		m, err := NewTernary(rows, cols, 0.1, nil)
		if err != nil {
			t.Fatal(err)
		}
		trits := make([]int8, cols)
		for r := range rows {
			for c := range trits {
				trits[c] = int8(rng.IntN(3) - 1)
			}
			m.SetRow(r, trits)
		}
		x, w, bias := floats(rng, n*cols), floats(rng, rows*cols), floats(rng, rows)
		for i := range w {
			w[i] = float32(math.Tanh(float64(w[i]))) // no overflow in f16
		}
		dense := denses(t, w, rows, cols)
		q, k, v, k16 := floats(rng, n*d), floats(rng, positions*d), floats(rng, positions*d), halves(rng, positions*d)
		step := func(p *Pool) []float32 {
			y, a := make([]float32, n*rows), NewActivations(n, cols)
			if err := a.Quantize(x, n, cols); err != nil {
				t.Fatal(err)
			}
			m.MatMul(y, a, bias, p)
			out := slices.Clone(y)
			for _, dm := range dense {
				dm.MatMul(y, x, n, bias, p)
				out = append(out, y...)
				for i := range n { // a row alone gives what it gives among others
					dm.MatMul(y[i*rows:][:rows], x[i*cols:][:cols], 1, bias, p)
				}
				out = append(out, y...)
				if !slices.EqualFunc(out[len(out)-2*len(y):len(out)-len(y)], y, sameBits) {
					t.Errorf("%v: one row at a time differs from %d rows", dm.typ, n)
				}
			}
			o := make([]float32, n*d)
			kv := KV{K: [][]float32{k}, V: [][]float32{v}, Page: positions, Stride: d}
			kv16 := KV{K16: [][]uint16{k16}, V16: [][]uint16{k16}, Page: positions, Stride: d}
			p.Run(n, 1, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					attend(o[i*d:][:d], q[i*d:][:d], kv, positions-i)
				}
			})
			out = append(out, o...)
			attend(o[:d], q[:d], kv16, positions)
			out = append(out, o[:d]...)
			_, confidence, _ := ArgMaxConfidence(k, 7)
			return append(out, confidence)
		}
		p := NewPool(1)
		active = generic
		want := step(p)
		p.Close()
		eachKernel(t, func(t *testing.T, kn kernel) {
			active = kn
			for _, procs := range []int{1, 2, 3} {
				runtime.GOMAXPROCS(procs)
				for _, threads := range []int{1, 2, 3, runtime.NumCPU(), runtime.NumCPU() + 1} {
					p := NewPool(threads)
					requireSame(t, "step", step(p), want)
					p.Close()
				}
			}
		})
	})
}
