//go:build !purego

package kernel

import "unsafe"

// The functions of this file turn slices into what the assembly takes, and do in Go what is left over beyond whole vectors. The assembly
// reads and writes nothing outside the slices.

// ternary2NEON and ternary1NEON do kernel.ternary for 2 rows of x and for 1, ternary4SDOT and ternary1SDOT for 4 and for 1; groups is the
// panel's number of 64 bytes, not 0.
//
//go:noescape
func ternary2NEON(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary1NEON(sums *int32, panel *byte, groups int, x *int8)

//go:noescape
func ternary4SDOT(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary1SDOT(sums *int32, panel *byte, groups int, x *int8)

func ternaryNEON(sums []int32, panel []byte, x []int8, stride int) {
	ternaryTurns(sums, panel, x, stride, 2, ternary2NEON, ternary1NEON)
}

func ternarySDOT(sums []int32, panel []byte, x []int8, stride int) {
	ternaryTurns(sums, panel, x, stride, 4, ternary4SDOT, ternary1SDOT)
}

// finish16NEON does kernel.finish for 16 rows of w and n of x, not 0.
//
//go:noescape
func finish16NEON(y *float32, stride int, sums, shift *int32, a *float32, scale float32, n int)

func finishNEON(y []float32, stride, rows int, sums, shift []int32, scale float32, a []float32) {
	n := len(a)
	if rows != panelRows || n == 0 {
		finishGeneric(y, stride, rows, sums, shift, scale, a)
		return
	}
	_, _, _ = y[(n-1)*stride+panelRows-1], sums[n*panelRows-1], shift[n-1]
	finish16NEON(&y[0], stride, &sums[0], &shift[0], &a[0], scale, n)
}

// magnitude16NEON returns the largest x[i] without its sign, as a bit pattern; n is a multiple of 16, not 0.
//
//go:noescape
func magnitude16NEON(x *float32, n int) uint32

// round16NEON computes q = RNE(x*a) for a multiple of 16 numbers with |x*a| < 128, and returns Σ q.
//
//go:noescape
func round16NEON(q *int8, x *float32, n int, a float32) int32

func magnitudeNEON(x []float32) uint32 {
	n := len(x) &^ 15
	m := magnitudeGeneric(x[n:])
	if n > 0 {
		m = max(m, magnitude16NEON(&x[0], n))
	}
	return m
}

func roundNEON(q []int8, x []float32, a float32) int32 {
	n := len(x) &^ 15
	sum := roundGeneric(q[n:], x[n:], a)
	if n > 0 {
		_ = q[:n]
		sum += round16NEON(&q[0], &x[0], n, a)
	}
	return sum
}

//go:noescape
func dotRowsF32NEON(y, x, w *float32, rows, stride, n int)

//go:noescape
func dotRowsF16NEON(y, x *float32, w *uint16, rows, stride, n int)

//go:noescape
func dotRowsBF16NEON(y, x *float32, w *uint16, rows, stride, n int)

//go:noescape
func dotLanesF32NEON(l *lanes, x, w *float32, n int)

//go:noescape
func dotLanesF16NEON(l *lanes, x *float32, w *uint16, n int)

//go:noescape
func dotLanesBF16NEON(l *lanes, x *float32, w *uint16, n int)

func dotF32NEON(y, x, w []float32, stride int) {
	n := len(x) &^ 15
	if n == len(x) && len(y) > 0 {
		_ = w[:(len(y)-1)*stride+n]
		dotRowsF32NEON(&y[0], unsafe.SliceData(x), unsafe.SliceData(w), len(y), stride, n)
		return
	}
	for i := range y {
		var l lanes
		row := w[i*stride:][:len(x)]
		dotLanesF32NEON(&l, &x[0], &row[0], n)
		for j, v := range row[n:] {
			l[j] = fma32(x[n+j], v, l[j])
		}
		y[i] = l.sum()
	}
}

func dotF16NEON(y, x []float32, w []uint16, stride int) {
	n := len(x) &^ 15
	if n == len(x) && len(y) > 0 {
		_ = w[:(len(y)-1)*stride+n]
		dotRowsF16NEON(&y[0], unsafe.SliceData(x), unsafe.SliceData(w), len(y), stride, n)
		return
	}
	for i := range y {
		var l lanes
		row := w[i*stride:][:len(x)]
		dotLanesF16NEON(&l, &x[0], &row[0], n)
		for j, v := range row[n:] {
			l[j] = fma32(x[n+j], fromF16(v), l[j])
		}
		y[i] = l.sum()
	}
}

func dotBF16NEON(y, x []float32, w []uint16, stride int) {
	n := len(x) &^ 15
	if n == len(x) && len(y) > 0 {
		_ = w[:(len(y)-1)*stride+n]
		dotRowsBF16NEON(&y[0], unsafe.SliceData(x), unsafe.SliceData(w), len(y), stride, n)
		return
	}
	for i := range y {
		var l lanes
		row := w[i*stride:][:len(x)]
		dotLanesBF16NEON(&l, &x[0], &row[0], n)
		for j, v := range row[n:] {
			l[j] = fma32(x[n+j], fromBF16(v), l[j])
		}
		y[i] = l.sum()
	}
}

func dotsNEON(y []float32, yStride int, x, w []float32, wStride, rows, n int) {
	for i := range len(x) / n {
		dotF32NEON(y[i*yStride:][:rows], x[i*n:][:n], w, wStride)
	}
}

func squaresNEON(x []float32) float32 {
	var y [1]float32
	dotF32NEON(y[:], x, x, 0)
	return y[0]
}

// dotLanesQ8NEON adds blocks to the lanes of one row; their number is a multiple of 16, not 0.
//
//go:noescape
func dotLanesQ8NEON(l *lanes, x *int8, d *float32, w *byte, blocks int)

func dotQ8NEON(y []float32, x []int8, d []float32, w []byte) {
	n := len(d) &^ 15
	for i := range y {
		var l lanes
		row := w[i*len(d)*q8Bytes:][:len(d)*q8Bytes]
		if n > 0 {
			dotLanesQ8NEON(&l, &x[:n*q8Weights][0], &d[0], &row[0], n)
		}
		q8Blocks(&l, x[n*q8Weights:], d[n:], row[n*q8Bytes:])
		y[i] = l.sum()
	}
}

//go:noescape
func dotsBlocksQ8NEON(y *[8][4]float32, w *q8Block, dw *float32, x *q8Eight, dx *[8]float32, blocks int)

func dotsQ8NEON(y *[8][4]float32, w []q8Block, dw []float32, x []q8Eight, dx [][8]float32, _ []byte) {
	n := len(x)
	if n == 0 {
		*y = [8][4]float32{}
		return
	}
	_, _, _ = w[:4*n], dw[:4*n], dx[:n]
	dotsBlocksQ8NEON(y, &w[0], &dw[0], &x[0], &dx[0], n)
}

//go:noescape
func decodeRowF16NEON(dst *float32, w *uint16, n int)

//go:noescape
func decodeRowBF16NEON(dst *float32, w *uint16, n int)

func decodeF16NEON(dst []float32, w []uint16) {
	n := len(dst) &^ 15
	decodeRowF16NEON(unsafe.SliceData(dst), unsafe.SliceData(w[:len(dst)]), n)
	decodeF16Generic(dst[n:], w[n:len(dst)])
}

func decodeBF16NEON(dst []float32, w []uint16) {
	n := len(dst) &^ 15
	decodeRowBF16NEON(unsafe.SliceData(dst), unsafe.SliceData(w[:len(dst)]), n)
	decodeBF16Generic(dst[n:], w[n:len(dst)])
}

//go:noescape
func mixRowsF32NEON(o, p, v *float32, rows, stride, n int)

//go:noescape
func mixRowsF16NEON(o, p *float32, v *uint16, rows, stride, n int)

func mixF32NEON(o, p, v []float32, stride int) {
	n := len(o) &^ 15
	if len(p) > 0 {
		_ = v[:(len(p)-1)*stride+len(o)]
		mixRowsF32NEON(unsafe.SliceData(o), &p[0], unsafe.SliceData(v), len(p), stride, n)
		if n < len(o) {
			mixF32Generic(o[n:], p, v[n:], stride)
		}
	}
}

func mixF16NEON(o, p []float32, v []uint16, stride int) {
	n := len(o) &^ 15
	if len(p) > 0 {
		_ = v[:(len(p)-1)*stride+len(o)]
		mixRowsF16NEON(unsafe.SliceData(o), &p[0], unsafe.SliceData(v), len(p), stride, n)
		if n < len(o) {
			mixF16Generic(o[n:], p, v[n:], stride)
		}
	}
}

func mixesNEON(o, p []float32, pStride int, v []float32, stride, rows, n int) {
	for i := range len(o) / n {
		mixF32NEON(o[i*n:][:n], p[i*pStride:][:rows], v, stride)
	}
}

// exp16NEON does kernel.exp for a multiple of 16 numbers, not 0. c is expConstants.
//
//go:noescape
func exp16NEON(l *lanes, e, x *float32, n int, scale, max float32, c *[13]float32)

func expNEON(l *lanes, e, x []float32, scale, max float32) {
	n := len(x) &^ 15
	if n > 0 {
		_ = e[:n]
		exp16NEON(l, &e[0], &x[0], n, scale, max, &expConstants)
	}
	expGeneric(l, e[n:], x[n:], scale, max)
}

func peakSMLAL(turns int)
func peakSDOT(turns int)
func peakFMLA(turns int)
