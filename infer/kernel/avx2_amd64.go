//go:build !purego

package kernel

import "unsafe"

// The functions of this file turn slices into what the assembly takes, and do in Go what is left over beyond whole vectors. The assembly
// reads and writes nothing outside the slices.

// ternary4 and ternary1 do kernel.ternary for 4 rows of x and for 1; groups is the panel's number of 64 bytes.
//
//go:noescape
func ternary4(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary1(sums *int32, panel *byte, groups int, x *int8)

func ternaryAVX2(sums []int32, panel []byte, x []int8, stride int) {
	ternaryTurns(sums, panel, x, stride, 4, ternary4, ternary1)
}

// finish16 does kernel.finish for 16 rows of w and n of x, not 0.
//
//go:noescape
func finish16(y *float32, stride int, sums, shift *int32, a *float32, scale float32, n int)

func finishAVX2(y []float32, stride, rows int, sums, shift []int32, scale float32, a []float32) {
	n := len(a)
	if rows != panelRows || n == 0 {
		finishGeneric(y, stride, rows, sums, shift, scale, a)
		return
	}
	_, _, _ = y[(n-1)*stride+panelRows-1], sums[n*panelRows-1], shift[n-1]
	finish16(&y[0], stride, &sums[0], &shift[0], &a[0], scale, n)
}

// magnitude8 returns the largest x[i] without its sign, as a bit pattern; n is a multiple of 8.
//
//go:noescape
func magnitude8(x *float32, n int) uint32

// round32 computes q = RNE(x*a) for a multiple of 32 numbers with |x*a| < 128, and returns Σ q.
//
//go:noescape
func round32(q *int8, x *float32, n int, a float32) int32

func magnitudeAVX2(x []float32) uint32 {
	n := len(x) &^ 7
	m := magnitudeGeneric(x[n:])
	if n > 0 {
		m = max(m, magnitude8(&x[0], n))
	}
	return m
}

func roundAVX2(q []int8, x []float32, a float32) int32 {
	n := len(x) &^ 31
	sum := roundGeneric(q[n:], x[n:], a)
	if n > 0 {
		_ = q[:n]
		sum += round32(&q[0], &x[0], n, a)
	}
	return sum
}

//go:noescape
func dotRowsF32(y, x, w *float32, rows, stride, n int)

//go:noescape
func dotRowsF16(y, x *float32, w *uint16, rows, stride, n int)

//go:noescape
func dotRowsBF16(y, x *float32, w *uint16, rows, stride, n int)

func dotF32AVX2(y, x, w []float32, stride int) {
	if len(y) > 0 {
		_ = w[:(len(y)-1)*stride+len(x)]
		dotRowsF32(&y[0], unsafe.SliceData(x), unsafe.SliceData(w), len(y), stride, len(x))
	}
}

func dotF16AVX2(y, x []float32, w []uint16, stride int) {
	if len(y) > 0 {
		_ = w[:(len(y)-1)*stride+len(x)]
		dotRowsF16(&y[0], unsafe.SliceData(x), unsafe.SliceData(w), len(y), stride, len(x))
	}
}

func dotBF16AVX2(y, x []float32, w []uint16, stride int) {
	if len(y) > 0 {
		_ = w[:(len(y)-1)*stride+len(x)]
		dotRowsBF16(&y[0], unsafe.SliceData(x), unsafe.SliceData(w), len(y), stride, len(x))
	}
}

func squaresAVX2(x []float32) (y float32) {
	dotRowsF32(&y, unsafe.SliceData(x), unsafe.SliceData(x), 1, 0, len(x))
	return y
}

// dotRowsQ8 does kernel.dotQ8 for rows of blocks.
//
//go:noescape
func dotRowsQ8(y *float32, x *int8, d *float32, w *byte, rows, blocks int)

func dotQ8AVX2(y []float32, x []int8, d []float32, w []byte) {
	if len(y) > 0 {
		_, _ = x[:len(d)*q8Weights], w[:len(y)*len(d)*q8Bytes]
		dotRowsQ8(&y[0], unsafe.SliceData(x), unsafe.SliceData(d), unsafe.SliceData(w), len(y), len(d))
	}
}

//go:noescape
func unpackBlocksQ8(dst *q8Block, d *float32, w *byte, blocks int)

func unpackQ8AVX2(dst []q8Block, d []float32, w []byte) {
	if n := len(dst); n > 0 {
		_, _ = d[4*(n-1)], w[n*q8Bytes-1]
		unpackBlocksQ8(&dst[0], &d[0], &w[0], n)
	}
}

//go:noescape
func dotsBlocksQ8(y *[8][4]float32, w *q8Block, dw *float32, x *q8Eight, dx *[8]float32, next *byte, blocks int)

func dotsQ8AVX2(y *[8][4]float32, w []q8Block, dw []float32, x []q8Eight, dx [][8]float32, next []byte) {
	n := len(x)
	_, _, _ = w[:4*n], dw[:4*n], dx[:n]
	dotsBlocksQ8(y, unsafe.SliceData(w), unsafe.SliceData(dw), unsafe.SliceData(x), unsafe.SliceData(dx), unsafe.SliceData(next), n)
}

//go:noescape
func decodeRowF16(dst *float32, w *uint16, n int)

//go:noescape
func decodeRowBF16(dst *float32, w *uint16, n int)

func decodeF16AVX2(dst []float32, w []uint16) {
	decodeRowF16(unsafe.SliceData(dst), unsafe.SliceData(w[:len(dst)]), len(dst))
}

func decodeBF16AVX2(dst []float32, w []uint16) {
	decodeRowBF16(unsafe.SliceData(dst), unsafe.SliceData(w[:len(dst)]), len(dst))
}

//go:noescape
func mixRowsF32(o, p, v *float32, rows, stride, n int)

//go:noescape
func mixRowsF16(o, p *float32, v *uint16, rows, stride, n int)

func mixF32AVX2(o, p, v []float32, stride int) {
	if len(p) > 0 {
		_ = v[:(len(p)-1)*stride+len(o)]
		mixRowsF32(unsafe.SliceData(o), &p[0], unsafe.SliceData(v), len(p), stride, len(o))
	}
}

func mixF16AVX2(o, p []float32, v []uint16, stride int) {
	if len(p) > 0 {
		_ = v[:(len(p)-1)*stride+len(o)]
		mixRowsF16(unsafe.SliceData(o), &p[0], unsafe.SliceData(v), len(p), stride, len(o))
	}
}

// exp16 does kernel.exp for a multiple of 16 numbers. c is expConstants, each in all 8 elements of a vector.
//
//go:noescape
func exp16(l *lanes, e, x *float32, n int, scale, max float32, c *[13][8]float32)

var expVectors = func() (c [13][8]float32) {
	for i, v := range expConstants {
		for j := range c[i] {
			c[i][j] = v
		}
	}
	return c
}()

func expAVX2(l *lanes, e, x []float32, scale, max float32) {
	n := len(x) &^ 15
	if n > 0 {
		_ = e[:n]
		exp16(l, &e[0], &x[0], n, scale, max, &expVectors)
	}
	expGeneric(l, e[n:], x[n:], scale, max)
}

//go:noescape
func peakMaddubs(turns int)

//go:noescape
func peakFMA(turns int)
