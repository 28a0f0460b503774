package kernel

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// blocksQ8 makes random Q8_0 blocks with a scale d that is finite.
func blocksQ8(rng *rand.Rand, n int) []byte {
	w := make([]byte, n*q8Bytes)
	for i := range w {
		w[i] = byte(rng.Uint32())
	}
	for b := range n {
		binary.LittleEndian.PutUint16(w[b*q8Bytes:], halves(rng, 1)[0])
	}
	return w
}

func TestDotsQ8(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, blocks := range []int{0, 1, 2, 15, 16, 17, 33, 80} {
			raw := blocksQ8(rng, 4*blocks)
			for i := range raw {
				if blocks == 2 && i%q8Bytes >= 2 { // the largest sums
					raw[i] = 0x80
				}
			}
			w, dw := guarded(t, make([]q8Block, 4*blocks)), guarded(t, make([]float32, 4*blocks))
			want, wantD := make([]q8Block, 4*blocks), make([]float32, 4*blocks)
			for r := range 4 {
				row := guarded(t, raw[r*blocks*q8Bytes:][:blocks*q8Bytes])
				k.unpackQ8(w[r*blocks:][:blocks], dw[min(r, len(dw)):], row)
				unpackQ8Generic(want[r*blocks:][:blocks], wantD[min(r, len(dw)):], row)
			}
			for b := range want {
				if w[b] != want[b] {
					t.Fatalf("%d blocks: block %d is unpacked as %v, want %v", blocks, b, w[b], want[b])
				}
			}
			requireSame(t, "d", dw, wantD)

			for _, q := range [][]int8{int8s(rng, 256), {-127}, {127}} {
				x, dx := make([]q8Eight, blocks), make([][8]float32, blocks)
				for b := range x {
					for i := range 256 {
						x[b][i/16][i/2%8][i%2] = max(int16(q[(i+b)%len(q)]), -127)
					}
					dx[b] = [8]float32(floats(rng, 8))
				}
				got, want := new([8][4]float32), new([8][4]float32)
				k.dotsQ8(got, w, dw, guarded(t, x), guarded(t, dx), raw)
				dotsQ8Generic(want, w, dw, x, dx, nil)
				for i := range want {
					requireSame(t, fmt.Sprint(blocks, " blocks, row ", i), got[i][:], want[i][:])
				}
			}
		}
	})
}
