//go:build !purego

package kernel

import "unsafe"

// The assembly knows the layout of q6Block and q6Input.

//go:noescape
func unpackBlocksQ6(dst *q6Block, d *float32, w *byte, blocks int)

func unpackQ6AVX2(dst []q6Block, d []float32, w []byte) {
	if n := len(dst); n > 0 {
		_, _ = d[4*(n-1)], w[n*q6Bytes-1]
		unpackBlocksQ6(&dst[0], &d[0], &w[0], n)
	}
}

//go:noescape
func dotBlocksQ6(y *[4]float32, w *q6Block, dw *float32, x *q6Input, dx *float32, blocks int)

func dotQ6AVX2(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32) {
	n := len(x)
	_, _, _ = w[:4*n], dw[:4*n], dx[:n]
	dotBlocksQ6(y, unsafe.SliceData(w), unsafe.SliceData(dw), unsafe.SliceData(x), unsafe.SliceData(dx), n)
}

//go:noescape
func dotsBlocksQ6(y *[8][4]float32, w *q6Block, dw *float32, x *q6Eight, dx *[8]float32, next *byte, blocks int)

func dotsQ6AVX2(y *[8][4]float32, w []q6Block, dw []float32, x []q6Eight, dx [][8]float32, next []byte) {
	n := len(x)
	_, _, _ = w[:4*n], dw[:4*n], dx[:n]
	dotsBlocksQ6(y, unsafe.SliceData(w), unsafe.SliceData(dw), unsafe.SliceData(x), unsafe.SliceData(dx), unsafe.SliceData(next), n)
}
