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

// q6Scale searches the scale of a sub-block that makes the error, weighted by x², least: it tries 19 around -32/largest.
func q6Scale(x []float32) float32 {
	m := largest(x)
	if abs(m) < tiny {
		return 0
	}
	var w, wx [16]float32
	for i, v := range x[:16] {
		w[i] = v * v
		wx[i] = w[i] * v
	}
	fit := func(iscale float32) (sumlx, suml2 float32) {
		for i, v := range x[:16] {
			l := float32(q6Code(float32(iscale * v)))
			sumlx += float32(wx[i] * l)
			suml2 += float32(float32(w[i]*l) * l)
		}
		return sumlx, suml2
	}
	sumlx, suml2 := fit(-32 / m)
	scale := sumlx / suml2
	best := scale * sumlx
	for is := -9; is <= 9; is++ {
		if is == 0 {
			continue
		}
		sumlx, suml2 = fit(-(32 + float32(0.1*float32(is))) / m)
		if suml2 > 0 && float32(sumlx*sumlx) > float32(best*suml2) {
			scale = sumlx / suml2
			best = scale * sumlx
		}
	}
	return scale
}

func encodeQ6(x []float32, out []byte) {
	var scales [16]float32
	for j := range scales {
		scales[j] = q6Scale(x[16*j : 16*j+16])
	}
	most := largest(scales[:])
	clear(out)
	if abs(most) < tiny {
		return
	}
	iscale := -128 / most
	half := toHalf(1 / iscale)
	binary.LittleEndian.PutUint16(out[q6D:], half)
	for j, scale := range scales {
		sc := min(127, roundEven(float32(iscale*scale)))
		out[q6Scales+j] = byte(sc)
		step := fromHalf(half) * float32(sc)
		for i, v := range x[16*j : 16*j+16] {
			code := int32(0)
			if step != 0 {
				code = q6Code(v / step)
			}
			putQ6(out, 16*j+i, byte(code+32))
		}
	}
}

// q6Place returns where the code of weight e is: its byte in ql and the shift there, its byte in qh and the shift there.
func q6Place(e int) (low, lowShift, high, highShift int) {
	h, k, l := e/128, e/32%4, e%32
	return 64*h + 32*(k%2) + l, 4 * (k / 2), q6High + 32*h + l, 2 * k
}

func putQ6(out []byte, e int, code byte) {
	low, lowShift, high, highShift := q6Place(e)
	out[low] |= code & 15 << lowShift
	out[high] |= code >> 4 << highShift
}

func decodeQ6(x []float32, src []byte) {
	d := fromHalf(binary.LittleEndian.Uint16(src[q6D:]))
	for e := range x {
		low, lowShift, high, highShift := q6Place(e)
		code := src[low]>>lowShift&15 | src[high]>>highShift&3<<4
		x[e] = float32(d*float32(int8(src[q6Scales+e/16]))) * float32(int32(code)-32)
	}
}
