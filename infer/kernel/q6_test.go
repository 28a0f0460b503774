package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/x448/float16"
)

// blocksQ6 makes random Q6_K blocks with a scale d that is finite.
func blocksQ6(rng *rand.Rand, n int) []byte {
	w := make([]byte, n*q6Bytes)
	for i := range w {
		w[i] = byte(rng.Uint32())
	}
	for b := range n {
		binary.LittleEndian.PutUint16(w[b*q6Bytes+208:], float16.Fromfloat32(rng.Float32()/64).Bits())
	}
	return w
}

func TestQ6Kernels(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, blocks := range []int{0, 1, 2, 3, 10, 15, 16, 17, 33} {
			raw := blocksQ6(rng, 4*blocks)
			for i := range raw {
				if blocks == 2 { // the largest sums
					raw[i] = 0xFF
					if i%q6Bytes >= 192 {
						raw[i] = 0x80
					}
				}
			}
			w, dw := guarded(t, make([]q6Block, 4*blocks)), guarded(t, make([]float32, 4*blocks))
			want, wantD := make([]q6Block, 4*blocks), make([]float32, 4*blocks)
			for r := range 4 {
				row := guarded(t, raw[r*blocks*q6Bytes:][:blocks*q6Bytes])
				k.unpackQ6(w[r*blocks:][:blocks], dw[min(r, len(dw)):], row)
				unpackQ6Generic(want[r*blocks:][:blocks], wantD[min(r, len(dw)):], row)
			}
			for b := range want {
				if w[b] != want[b] {
					t.Fatalf("%d blocks: block %d is unpacked as %v, want %v", blocks, b, w[b], want[b])
				}
			}
			requireSame(t, "d", dw, wantD)

			x, dx := make([]q6Input, blocks), guarded(t, floats(rng, blocks))
			eights, eightScales := make([]q6Eight, blocks), make([][8]float32, blocks)
			for b := range x {
				v := [q6Weights]float32(normals(rng, q6Weights))
				if blocks == 2 {
					v = [q6Weights]float32(filled(q6Weights, float32(b*2-1)))
				}
				var q [q6Weights]int8
				active.quantizeBlock(q[:], v[:])
				x[b].set(&q)
				for t := range 8 {
					eights[b].set(t, &q)
					q[b], q[t] = q[t], q[b]
				}
				eightScales[b] = [8]float32(floats(rng, 8))
			}
			x, eights, eightScales = guarded(t, x), guarded(t, eights), guarded(t, eightScales)
			got, exact := new([8][4]float32), new([8][4]float32)
			k.dotQ6(&got[0], w, dw, x, dx)
			dotQ6Generic(&exact[0], w, dw, x, dx)
			requireSame(t, fmt.Sprint(blocks, " blocks, dotQ6"), got[0][:], exact[0][:])
			k.dotsQ6(got, w, dw, eights, eightScales, nil)
			dotsQ6Generic(exact, w, dw, eights, eightScales, nil)
			for i := range exact {
				requireSame(t, fmt.Sprint(blocks, " blocks, dotsQ6, row ", i), got[i][:], exact[i][:])
			}
		}
	})
}

// TestDenseQ6 holds the product to its definition in float64, and it does not depend on how many rows x has.
func TestDenseQ6(t *testing.T) {
	rng := newRand(t)
	p := NewPool(2)
	defer p.Close()
	for _, shape := range [][3]int{{1, 256, 1}, {7, 512, 11}, {33, 2560, 6}, {16, 768, 8}} {
		rows, cols, n := shape[0], shape[1], shape[2]
		raw := blocksQ6(rng, rows*cols/q6Weights)
		d, err := NewDense(gguf.Q6_K, raw, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		x, bias, row := normals(rng, n*cols), normals(rng, rows), make([]float32, cols)
		y, one := filled(n*rows, float32(math.NaN())), make([]float32, rows)
		d.MatMul(y, x, n, bias, p)
		for i := range n {
			d.MatMul(one, x[i*cols:][:cols], 1, bias, p)
			requireSame(t, "a row alone", one, y[i*rows:][:rows])
			for r := range rows {
				d.Row(row, r)
				want, size := float64(bias[r]), 0.
				for c, v := range row {
					want += float64(v) * float64(x[i*cols+c])
					size += math.Abs(float64(v) * float64(x[i*cols+c]))
				}
				if got := float64(one[r]); !(math.Abs(got-want) <= 0.02*size) { // half a step of 1/127 of the largest of 256
					t.Errorf("%v: y[%d,%d] = %g, want %g of %g", shape, i, r, got, want, size)
				}
			}
		}
	}
	t.Run("not finite", func(t *testing.T) {
		d, err := NewDense(gguf.Q6_K, blocksQ6(rng, 4), 2, 512)
		if err != nil {
			t.Fatal(err)
		}
		x := filled(512, float32(1))
		x[300] = float32(math.Inf(1))
		y := make([]float32, 2)
		if d.MatMul(y, x, 1, nil, p); y[0] == y[0] || y[1] == y[1] {
			t.Errorf("infinity gives %g", y)
		}
	})
}
