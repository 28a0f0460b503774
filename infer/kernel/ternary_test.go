package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// panelOf packs 16 rows of codes through SetRow; rows [16*cols].
func panelOf(t testing.TB, codes []byte, cols int) []byte {
	m, err := NewTernary(panelRows, cols, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	trits := make([]int8, cols)
	for r := range panelRows {
		for c := range trits {
			trits[c] = int8(codes[r*cols+c]) - 1
		}
		m.SetRow(r, trits)
	}
	return m.data
}

// panelSums is the int64 reference: Σ code*x for 16 rows and len(x)/stride rows of x.
func panelSums(codes []byte, x []int8, cols, stride, tokens int) []int64 {
	sums := make([]int64, tokens*panelRows)
	for t := range tokens {
		for r := range panelRows {
			for c, v := range x[t*stride:][:cols] {
				sums[t*panelRows+r] += int64(codes[r*cols+c]) * int64(v)
			}
		}
	}
	return sums
}

func randomCodes(rng *rand.Rand, n int) []byte {
	codes := make([]byte, n)
	for i := range codes {
		codes[i] = byte(rng.IntN(3))
	}
	return codes
}

func TestTernaryKernels(t *testing.T) {
	rng := newRand(t)
	check := func(t *testing.T, k kernel, codes []byte, x []int8, cols, tokens int) {
		t.Helper()
		stride := roundUp(cols, panelCols)
		padded := make([]int8, tokens*stride)
		for i := range tokens {
			copy(padded[i*stride:], x[i*cols:][:cols])
		}
		got := guarded(t, filled(tokens*panelRows, int32(-1)))
		k.ternary(got, guarded(t, panelOf(t, codes, cols)), guarded(t, padded), stride)
		for i, want := range panelSums(codes, x, cols, cols, tokens) {
			if int64(got[i]) != want {
				t.Fatalf("%d columns, row of x %d of %d, row %d: got %d, want %d", cols, i/panelRows, tokens, i%panelRows, got[i], want)
			}
		}
	}
	t.Run("R153 extreme activations and weights", func(t *testing.T) {
		eachKernel(t, func(t *testing.T, k kernel) {
			for _, cols := range []int{1, 15, 16, 17, 255, 256, 257, 4096, 65536} {
				for _, code := range []byte{0, 1, 2} {
					for _, x := range [][]int8{{127}, {-128}, {127, -128}, {-127}} {
						for _, tokens := range []int{1, 5} {
							if cols >= 4096 && tokens > 1 && code != 2 {
								continue // the long ones once
							}
							check(t, k, filled(panelRows*cols, code), filled(tokens*cols, x...), cols, tokens)
						}
					}
				}
			}
		})
	})
	t.Run("R153 int32 bound", func(t *testing.T) {
		eachKernel(t, func(t *testing.T, k kernel) {
			const cols = 1<<31/(2*128) - 1
			m, err := NewTernary(panelRows, cols, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for r, trits := 0, make([]int8, cols); r < panelRows; r++ {
				m.SetRow(r, trits)
			}
			m.SetRow(3, filled(cols, int8(1)))
			sums, stride := make([]int32, panelRows), roundUp(cols, panelCols)
			x := append(filled(cols, int8(-128)), make([]int8, stride-cols)...)
			k.ternary(sums, m.data, x, stride)
			for r, got := range sums {
				want := int32(-128 * cols)
				if r == 3 {
					want = math.MinInt32 + 256
				}
				if got != want {
					t.Errorf("row %d: got %d, want %d", r, got, want)
				}
			}
		})
		if _, err := NewTernary(1, 1<<31/(2*128), 1, nil); fault.Code(err) != "TENSOR_ACCUMULATOR_BOUND" {
			t.Errorf("one column more: got %v", err)
		}
	})
	t.Run("R154 random shapes", func(t *testing.T) {
		eachKernel(t, func(t *testing.T, k kernel) {
			codes, x := randomCodes(rng, panelRows*700), int8s(rng, 9*700)
			for range 100 { // each against a guard page
				cols, tokens := 1+rng.IntN(700), rng.IntN(10)
				check(t, k, codes[:panelRows*cols], x[:tokens*cols], cols, tokens)
			}
			panel := make([]byte, 20*panelBytes+64)
			for i := range panel {
				panel[i] = byte(rng.IntN(3) | rng.IntN(3)<<2 | rng.IntN(3)<<4 | rng.IntN(3)<<6)
			}
			x = int8s(rng, 8000)
			for range 10_000 { // against generic, at any address
				groups, tokens := rng.IntN(20), rng.IntN(7)
				stride := groups*panelCols + rng.IntN(40)
				w, x := panel[rng.IntN(64):][:groups*panelBytes], x[rng.IntN(200):][:max(0, tokens-1)*stride+min(tokens, 1)*groups*panelCols]
				got, want := filled(tokens*panelRows, int32(-1)), make([]int32, tokens*panelRows)
				k.ternary(got, w, x, stride)
				ternaryGeneric(want, w, x, stride)
				if !slices.Equal(got, want) {
					t.Fatalf("%d groups, %d rows, stride %d: got %d, want %d", groups, tokens, stride, got, want)
				}
			}
		})
	})
}

func TestFinish(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for rows := range panelRows + 1 {
			n, stride := rng.IntN(4), rows+rng.IntN(3)
			sums, shift, a := make([]int32, n*panelRows), make([]int32, n), make([]float32, n)
			for i := range sums {
				sums[i] = int32(rng.Uint32())
			}
			for i := range a {
				shift[i], a[i] = int32(rng.Uint32()), rng.Float32()
			}
			sums, shift, a = guarded(t, sums), guarded(t, shift), guarded(t, a)
			want, scale := make([]float32, max(0, (n-1)*stride+rows)), rng.Float32()
			got := guarded(t, want)
			k.finish(got, stride, rows, sums, shift, scale, a)
			finishGeneric(want, stride, rows, sums, shift, scale, a)
			requireSame(t, "finish", got, want)
		}
	})
}

func TestTernaryMatMul(t *testing.T) {
	rng := newRand(t)
	for _, threads := range []int{1, 3} {
		p := NewPool(threads)
		defer p.Close()
		for range 50 {
			rows, cols, n := 1+rng.IntN(70), 1+rng.IntN(300), 1+rng.IntN(70)
			m, err := NewTernary(rows, cols, 0.37, nil)
			if err != nil {
				t.Fatal(err)
			}
			codes := randomCodes(rng, rows*cols)
			trits := make([]int8, cols)
			for r := range rows {
				for c := range trits {
					trits[c] = int8(codes[r*cols+c]) - 1
				}
				m.SetRow(r, trits)
			}
			x := floats(rng, n*cols)
			a := NewActivations(n, cols)
			if err := a.Quantize(x, n, cols); err != nil {
				t.Fatal(err)
			}
			var bias []float32
			if rng.IntN(2) == 0 {
				bias = floats(rng, rows)
			}
			y := filled(n*rows, float32(math.NaN()))
			m.MatMul(y, a, bias, p)
			for i := range n {
				for r := range rows {
					sum := int64(0)
					for c := range cols {
						sum += (int64(codes[r*cols+c]) - 1) * int64(a.q[i*a.stride+c])
					}
					want := float32(float32(sum)*0.37) / a.A[i]
					if bias != nil {
						want += bias[r]
					}
					if !sameBits(y[i*rows+r], want) {
						t.Fatalf("[%d %d] x %d: y[%d,%d] = %g, want %g", rows, cols, n, i, r, y[i*rows+r], want)
					}
				}
			}
		}
	}
}

func TestQuantize(t *testing.T) {
	rng := newRand(t)
	inf, nan, negZero := float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, n := range append(oddLengths, 4097) {
			x := floats(rng, n)
			if rng.IntN(2) == 0 { // halfway cases: amax 127 makes a = 1
				for i := range x {
					x[i] = float32(rng.IntN(509)-254) / 2
				}
				if n > 0 {
					x[0] = 127
				}
			}
			x = guarded(t, x)
			got, want := guarded(t, make([]int8, n)), make([]int8, n)
			a, sum, ok := k.quantize(got, x)
			wantA, wantSum, wantOK := generic.quantize(want, x)
			if a != wantA || sum != wantSum || ok != wantOK || !slices.Equal(got, want) {
				t.Fatalf("%d: got a %g sum %d ok %v q %d, want %g %d %v %d", n, a, sum, ok, got, wantA, wantSum, wantOK, want)
			}
		}
		t.Run("R155 odd values", func(t *testing.T) {
			for _, c := range []struct {
				x []float32
				q []int8
			}{
				{[]float32{0, negZero, 0}, []int8{0, 0, 0}},
				{[]float32{1e-40, -1e-40}, []int8{0, 0}},
				{[]float32{4e-8, -4e-8, 3.9e-8}, []int8{1, -1, 0}}, // amax below 1e-5: a = 1.27e7
				{[]float32{127, 0.5, 1.5, 2.5, -0.5, -1.5, -127, 126.5}, []int8{127, 0, 2, 2, 0, -2, -127, 126}},
				{[]float32{math.MaxFloat32, -math.MaxFloat32, 1}, []int8{127, -127, 0}},
			} {
				for _, pad := range []int{0, 29} { // in the vector part and in the tail
					x := append(make([]float32, pad), c.x...)
					q := make([]int8, len(x))
					if _, _, ok := k.quantize(q, x); !ok || !slices.Equal(q[pad:], c.q) {
						t.Errorf("%g: got %d %v, want %d", c.x, q[pad:], ok, c.q)
					}
				}
			}
			for _, bad := range []float32{inf, -inf, nan, -nan} {
				for at := range 40 {
					x := make([]float32, 40)
					x[at] = bad
					if _, _, ok := k.quantize(make([]int8, 40), x); ok {
						t.Errorf("%g at %d is accepted", bad, at)
					}
				}
			}
		})
	})
	t.Run("R155 the row is named", func(t *testing.T) {
		x := make([]float32, 3*20)
		x[2*20+7] = nan
		err := NewActivations(3, 20).Quantize(x, 3, 20)
		if fault.Code(err) != "NUMERIC_ERROR" || !containsRow(err, 2) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("R155 a zero row gives zeros", func(t *testing.T) {
		p := NewPool(1)
		defer p.Close()
		m, err := NewTernary(5, 20, 0.5, nil)
		if err != nil {
			t.Fatal(err)
		}
		for r := range 5 {
			m.SetRow(r, filled(20, int8(r%2)))
		}
		a, y := NewActivations(1, 20), filled(5, nan)
		if err := a.Quantize(make([]float32, 20), 1, 20); err != nil {
			t.Fatal(err)
		}
		m.MatMul(y, a, nil, p)
		requireSame(t, "y", y, make([]float32, 5))
	})
}

func containsRow(err error, row int) bool {
	return err != nil && err.Error() == fmt.Sprintf("activations: row %d holds a NaN or an infinity; the weights or the prompt make the network overflow", row)
}
