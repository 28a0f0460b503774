//go:build !purego

package kernel

// The assembly knows the layout of q6Block and q6Input.

//go:noescape
func unpackBlocksQ6NEON(dst *q6Block, d *float32, w *byte, blocks int)

func unpackQ6NEON(dst []q6Block, d []float32, w []byte) {
	if n := len(dst); n > 0 {
		_, _ = d[4*(n-1)], w[n*q6Bytes-1]
		unpackBlocksQ6NEON(&dst[0], &d[0], &w[0], n)
	}
}

//go:noescape
func sumsQ6NEON(sums *int32, w *q6Block, x *q6Input, blocks int)

// dotQ6NEON adds a row's blocks, whose scales are dw[4*b] and dx[b*stride], in the canonical order.
func dotQ6NEON(w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) float32 {
	var l lanes
	var sums [16]int32
	for at := 0; at < len(w); at += len(sums) {
		n := min(len(sums), len(w)-at)
		sumsQ6NEON(&sums[0], &w[at], &x[at : at+n][0], n)
		for b, s := range sums[:n] {
			l[b] = fma32(float32(s), dw[4*(at+b)]*dx[(at+b)*stride], l[b])
		}
	}
	return l.sum()
}

func rowsQ6NEON(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) {
	for i := range y {
		y[i] = dotQ6NEON(w[i*len(x):][:len(x)], dw[min(i, len(dw)):], x, dx, stride)
	}
}

func inputsQ6NEON(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) {
	for i := range y {
		y[i] = dotQ6NEON(w, dw, x[i*len(w):][:len(w)], dx[min(i, len(dx)):], stride)
	}
}
