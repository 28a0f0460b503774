//go:build !purego

package kernel

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
func inputsBlocksQ6(y *[4]float32, w *q6Block, dw *float32, x *q6Input, dx *float32, stride, blocks int)

func inputsQ6AVX2(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) {
	n := len(w)
	if n == 0 {
		*y = [4]float32{}
		return
	}
	_, _, _ = dw[4*(n-1)], x[4*n-1], dx[(n-1)*stride+3]
	inputsBlocksQ6(y, &w[0], &dw[0], &x[0], &dx[0], stride, n)
}

//go:noescape
func rowsBlocksQ6(y *[4]float32, w *q6Block, dw *float32, x *q6Input, dx *float32, stride, blocks int)

func rowsQ6AVX2(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) {
	n := len(x)
	if n == 0 {
		*y = [4]float32{}
		return
	}
	_, _, _ = dw[4*n-1], w[4*n-1], dx[(n-1)*stride]
	rowsBlocksQ6(y, &w[0], &dw[0], &x[0], &dx[0], stride, n)
}
