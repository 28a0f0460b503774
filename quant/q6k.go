package quant

import (
	"encoding/binary"
)

// Q6_K stores 256 weights in 210 bytes, 16 sub-blocks of 16 weights:
//
//	0..127    ql: low 4 bits of the codes
//	128..191  qh: their high 2 bits
//	192..207  sc: one int8 scale each sub-block
//	208..209  scale d, half
//
// Weight e = 128h + 32k + l has the code c, 0..63, and the value d*sc[e/16]*(c-32). Its low bits are in ql[64h + 32(k%2) + l], the low nibble
// for k < 2; its high bits in bits 2k+1..2k of qh[32h+l].
//
// Layout and search: ggml-common.h, block_q6_K; ggml-quants.c, quantize_row_q6_K_ref with make_qx_quants.

const (
	q6High   = 128
	q6Scales = 192
	q6D      = 208
	tiny     = 1e-15 // below this a sub-block is all zeros (GROUP_MAX_EPS)
)

// roundEven rounds a small number half to even: the sum has no room for a fraction.
func roundEven(v float32) int32 {
	const magic = 1 << 23 * 1.5
	return int32(v + magic - magic)
}

// q6Code returns the code of a scaled weight, without the offset 32.
func q6Code(v float32) int32 { return min(max(roundEven(v), -32), 31) }

// q6Tries holds what the search of a sub-block's scale tries, in its order: the reciprocals are these numbers over the largest weight. The five
// zeros make whole vectors.
var q6Tries = func() (tries [24]float32) {
	tries[0] = -32
	n := 1
	for is := -9; is <= 9; is++ {
		if is != 0 {
			tries[n] = -(32 + float32(0.1*float32(is)))
			n++
		}
	}
	return tries
}()

// q6Fits are the sums over a sub-block that say how well each try fits: lx²/l2 is to be largest, at the scale lx/l2.
type q6Fits struct{ lx, l2 [24]float32 }

// q6FitGeneric computes the sums for the largest weight m, adding weight after weight.
func q6FitGeneric(fits *q6Fits, x *[16]float32, m float32) {
	var w, wx [16]float32
	for i, v := range x {
		w[i] = v * v
		wx[i] = w[i] * v
	}
	for try, t := range q6Tries[:19] {
		iscale := t / m
		var lx, l2 float32
		for i, v := range x {
			l := float32(q6Code(float32(iscale * v)))
			lx += float32(wx[i] * l)
			l2 += float32(float32(w[i]*l) * l)
		}
		fits.lx[try], fits.l2[try] = lx, l2
	}
}

// q6Scale searches the scale of a sub-block that makes the error, weighted by x², least.
func q6Scale(x *[16]float32) float32 {
	m := largest(x[:])
	if abs(m) < tiny {
		return 0
	}
	var fits q6Fits
	q6Fit(&fits, x, m)
	scale := fits.lx[0] / fits.l2[0]
	best := scale * fits.lx[0]
	for try, lx := range fits.lx[:19] {
		if l2 := fits.l2[try]; l2 > 0 && float32(lx*lx) > float32(best*l2) {
			scale = lx / l2
			best = scale * lx
		}
	}
	return scale
}

func encodeQ6(x []float32, out []byte) {
	var scales [16]float32
	for j := range scales {
		scales[j] = q6Scale((*[16]float32)(x[16*j:]))
	}
	most := largest(scales[:])
	clear(out)
	if abs(most) < tiny {
		return
	}
	iscale := -128 / most
	half := toHalf(1 / iscale)
	binary.LittleEndian.PutUint16(out[q6D:], half)
	var codes [256]byte
	for j, scale := range scales {
		sc := min(127, roundEven(float32(iscale*scale)))
		out[q6Scales+j] = byte(sc)
		step := fromHalf(half) * float32(sc)
		part, c := x[16*j:][:16], codes[16*j:][:16]
		if step == 0 {
			for i := range c {
				c[i] = 32
			}
			continue
		}
		for i, v := range part {
			c[i] = byte(q6Code(v/step) + 32)
		}
	}
	for h := range 2 {
		c, low, high := codes[128*h:][:128], out[64*h:][:64], out[q6High+32*h:][:32]
		for l := range 32 {
			c0, c1, c2, c3 := c[l], c[l+32], c[l+64], c[l+96]
			low[l] = c0&15 | c2<<4
			low[l+32] = c1&15 | c3<<4
			high[l] = c0>>4 | c1>>4<<2 | c2>>4<<4 | c3>>4<<6
		}
	}
}

// q6Place returns where the code of weight e is: its byte in ql and the shift there, its byte in qh and the shift there.
func q6Place(e int) (low, lowShift, high, highShift int) {
	h, k, l := e/128, e/32%4, e%32
	return 64*h + 32*(k%2) + l, 4 * (k / 2), q6High + 32*h + l, 2 * k
}

func decodeQ6(x []float32, src []byte) {
	d := fromHalf(binary.LittleEndian.Uint16(src[q6D:]))
	for e := range x {
		low, lowShift, high, highShift := q6Place(e)
		code := src[low]>>lowShift&15 | src[high]>>highShift&3<<4
		x[e] = float32(d*float32(int8(src[q6Scales+e/16]))) * float32(int32(code)-32)
	}
}
