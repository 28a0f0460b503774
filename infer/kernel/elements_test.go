package kernel

import (
	"math"
	"slices"
	"testing"
)

func TestElements(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, n := range oddLengths {
			x := guarded(t, floats(rng, n))
			requireSame(t, "top", []float32{k.top(x)}, []float32{topGeneric(x)})
			for range min(n, 3) {
				x[rng.IntN(n)] = float32(math.NaN())
			}
			requireSame(t, "top with NaN", []float32{k.top(x)}, []float32{topGeneric(x)})
			want := slices.Clone(x)
			k.divide(x, 0.7)
			divideGeneric(want, 0.7)
			requireSame(t, "divide", x, want)

			u, e := guarded(t, floats(rng, n)), guarded(t, floats(rng, n))
			for name, run := range map[string]func(k *kernel, x []float32){
				"scale": func(k *kernel, x []float32) { k.scale(x, x, u, 0.3) },
				"add":   func(k *kernel, x []float32) { k.add(x, u) },
				"gate":  func(k *kernel, x []float32) { k.gate(x, e, u) },
				"relu":  func(k *kernel, x []float32) { k.relu(x, u) },
			} {
				want := slices.Clone(x)
				run(&generic, want)
				got := guarded(t, x)
				run(&k, got)
				requireSame(t, name, got, want)
			}
		}
	})
}
