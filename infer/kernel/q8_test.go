package kernel

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func TestInputsQ8(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, blocks := range []int{0, 1, 2, 15, 16, 17, 33, 80} {
			w := make([]byte, blocks*q8Bytes)
			for i := range w {
				w[i] = byte(rng.Uint32())
			}
			for b := range blocks {
				binary.LittleEndian.PutUint16(w[b*q8Bytes:], halves(rng, 1)[0])
			}
			random := int8s(rng, 4*blocks*q8Weights)
			for i := range random {
				random[i] = max(random[i], -127)
			}
			for _, x := range [][]int8{random, filled(len(random), int8(-127)), filled(len(random), int8(127))} {
				stride := 4 + rng.IntN(3)
				x, d, w := guarded(t, x), guarded(t, floats(rng, max(0, (blocks-1)*stride+4))), guarded(t, w)
				got, want := new([4]float32), new([4]float32)
				k.inputsQ8(got, w, x, d, stride)
				inputsQ8Generic(want, w, x, d, stride)
				requireSame(t, fmt.Sprint(blocks, " blocks"), got[:], want[:])
			}
		}
	})
}
