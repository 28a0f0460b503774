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

func dotQ6NEON(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32) {
	var sums [16]int32
	for r := range y {
		var l lanes
		for at := 0; at < len(x); at += len(sums) {
			n := min(len(sums), len(x)-at)
			sumsQ6NEON(&sums[0], &w[r*len(x)+at : r*len(x)+at+n][0], &x[at], n)
			for b, s := range sums[:n] {
				l[b] = fma32(float32(s), dw[4*(at+b)+r]*dx[at+b], l[b])
			}
		}
		y[r] = l.sum()
	}
}

//go:noescape
func dotsBlocksQ6NEON(y *[8][4]float32, w *q6Block, dw *float32, x *q6Eight, dx *[8]float32, blocks int)

func dotsQ6NEON(y *[8][4]float32, w []q6Block, dw []float32, x []q6Eight, dx [][8]float32, _ []byte) {
	n := len(x)
	if n == 0 {
		*y = [8][4]float32{}
		return
	}
	_, _, _ = w[:4*n], dw[:4*n], dx[:n]
	dotsBlocksQ6NEON(y, &w[0], &dw[0], &x[0], &dx[0], n)
}
