package quant

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// fitBytes are the sums of the 19 tries.
func fitBytes(f *q6Fits) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, f.lx[:19])
	binary.Write(&b, binary.LittleEndian, f.l2[:19])
	return b.Bytes()
}

// TestQ6Fit holds the sums that this machine computes against the generic ones, bit for bit, on weights of every kind.
func TestQ6Fit(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 6))
	few := []float32{-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 1}
	for name, weight := range map[string]func(scale float64) float64{
		"normal":       func(s float64) float64 { return rng.NormFloat64() * s },
		"uniform":      func(s float64) float64 { return (rng.Float64() - 0.5) * s },
		"few levels":   func(s float64) float64 { return float64(few[rng.IntN(len(few))]) * s },
		"ternary":      func(s float64) float64 { return float64(rng.IntN(3)-1) * s },
		"integers":     func(s float64) float64 { return float64(rng.IntN(65)-32) * s },
		"half codes":   func(s float64) float64 { return (float64(rng.IntN(65)-32) + 0.5) * s / 32 },
		"heavy tails":  func(s float64) float64 { return s / (rng.Float64() - 0.5) / 100 },
		"mostly zeros": func(s float64) float64 { return float64(rng.IntN(8)/7) * rng.NormFloat64() * s },
	} {
		t.Run(name, func(t *testing.T) {
			var x [16]float32
			for range 8_000 {
				scale := 0.02
				if rng.IntN(4) == 0 {
					scale = math.Exp2(float64(rng.IntN(60) - 40))
				}
				for i := range x {
					x[i] = float32(weight(scale))
				}
				m := largest(x[:])
				if abs(m) < tiny {
					continue
				}
				var got, want q6Fits
				q6Fit(&got, &x, m)
				q6FitGeneric(&want, &x, m)
				if !bytes.Equal(fitBytes(&got), fitBytes(&want)) {
					t.Fatalf("seed %d: the tries for %v fit %v, want %v", seed, x, got, want)
				}
			}
		})
	}
}

// BenchmarkQ6Fit shows what the assembly gains.
func BenchmarkQ6Fit(b *testing.B) {
	x := normals(rand.New(rand.NewPCG(1, 1)), 16, 0.02)
	for _, s := range []struct {
		name string
		fit  func(*q6Fits, *[16]float32, float32)
	}{{"here", q6Fit}, {"generic", q6FitGeneric}} {
		b.Run(s.name, func(b *testing.B) {
			var fits q6Fits
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				s.fit(&fits, (*[16]float32)(x), 0.05)
			}
		})
	}
}
