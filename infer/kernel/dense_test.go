package kernel

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/x448/float16"
)

// encode writes w in a type, Q8_0 with d = amax/127 (FORMATS.md 2.2).
func encode(typ gguf.Type, w []float32) []byte {
	var b []byte
	switch typ {
	case gguf.F32:
		for _, v := range w {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	case gguf.F16:
		for _, v := range w {
			b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(v).Bits())
		}
	case gguf.BF16:
		for _, v := range w {
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(v)>>16))
		}
	case gguf.Q8_0:
		for ; len(w) > 0; w = w[q8Weights:] {
			amax := float32(0)
			for _, v := range w[:q8Weights] {
				amax = max(amax, v, -v)
			}
			d := amax / 127
			b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(d).Bits())
			for _, v := range w[:q8Weights] {
				b = append(b, byte(int8(math.Round(float64(v/d)))))
			}
		}
	}
	return b
}

var denseTypes = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0}

// denses is w in every type.
func denses(t testing.TB, w []float32, rows, cols int) []*Dense {
	var all []*Dense
	for _, typ := range denseTypes {
		d, err := NewDense(typ, encode(typ, w), rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func TestDenseMatMul(t *testing.T) {
	rng := newRand(t)
	p := NewPool(2)
	defer p.Close()
	normal := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	for _, shape := range [][3]int{{1, 32, 1}, {5, 64, 3}, {33, 160, 10}, {70, 96, 40}} {
		rows, cols, n := shape[0], shape[1], shape[2]
		w, x, bias := normal(rows*cols), normal(n*cols), normal(rows)
		for _, d := range denses(t, w, rows, cols) {
			y, row := filled(n*rows, float32(math.NaN())), make([]float32, cols)
			d.MatMul(y, x, n, bias, p)
			for r := range rows {
				d.Row(row, r)
				for i := range n {
					want, size := float64(bias[r]), 0.
					for c, v := range row {
						want += float64(v) * float64(x[i*cols+c])
						size += math.Abs(float64(v) * float64(x[i*cols+c]))
					}
					tol := 1e-6 * size // rounding of float32
					if d.typ == gguf.Q8_0 {
						tol = 0.02 * size // half a step of 1/127 of the largest of 32, in each product
					}
					if got := float64(y[i*rows+r]); !(math.Abs(got-want) <= tol+1e-6) {
						t.Errorf("%v %v: y[%d,%d] = %g, want %g within %g", d.typ, shape, i, r, got, want, tol)
					}
				}
			}
		}
	}
}

func TestDenseRow(t *testing.T) {
	w := []float32{}
	for i := range 96 {
		w = append(w, float32(i-48)/8)
	}
	for _, d := range denses(t, w, 3, 32) {
		row := make([]float32, 32)
		d.Row(row, 1)
		for c, got := range row {
			if want := w[32+c]; !(math.Abs(float64(got-want)) <= map[gguf.Type]float64{gguf.Q8_0: 0.01}[d.typ]) {
				t.Errorf("%v: element %d is %g, want %g", d.typ, c, got, want)
			}
		}
	}
}

func TestNewDenseRefuses(t *testing.T) {
	if _, err := NewDense(gguf.TQ2_0, make([]byte, 66), 1, 256); fault.Code(err) != "MODEL_TENSOR_TYPE" {
		t.Errorf("TQ2_0: %v", err)
	}
	if _, err := NewDense(gguf.Q8_0, make([]byte, 34), 1, 33); fault.Code(err) != "MODEL_SHAPE_MISMATCH" {
		t.Errorf("33 columns of Q8_0: %v", err)
	}
}

func TestQuantizeQ8(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, bad := range []float32{inf, -inf, inf - inf} {
		x, q := [q8Weights]float32{3: 1, 9: bad}, [q8Weights]int8{}
		if d := active.quantizeBlock(q[:], x[:]); d == d || q != [q8Weights]int8{} {
			t.Errorf("%g: d %g, q %d", bad, d, q)
		}
	}
	for _, tiny := range []float32{0, 1e-45, 1e-38, 1e38} {
		x, q := [q8Weights]float32{3: tiny, 9: -tiny}, [q8Weights]int8{}
		d := active.quantizeBlock(q[:], x[:])
		if got := float32(q[3]) * d; !(math.Abs(float64(got-tiny)) <= float64(tiny)*1e-6+1e-36) || q[9] != -q[3] {
			t.Errorf("%g comes back as %g", tiny, got)
		}
	}
}
