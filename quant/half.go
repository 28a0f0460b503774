package quant

import (
	"encoding/binary"
	"math"
)

// toHalf rounds to IEEE half precision, ties to even, subnormals kept: from 65520 on it is infinity. NaN stays NaN. It computes normal and
// subnormal results and selects, because no processor foresees which weights are zero.
func toHalf(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits>>16) & 0x8000
	bits &= 0x7fffffff
	if bits >= 0x47800000 { // 2^16
		if bits <= 0x7f800000 {
			return sign | 0x7c00
		}
		return sign | 0x7e00 | uint16(bits>>13)&0x3ff
	}
	half := (bits - 112<<23 + 0xfff + bits>>13&1) >> 13 // the exponent's bias falls by 112; a carry out of the fraction raises the exponent
	// A subnormal half's unit is 2^-24, the last place of a float32 in [0.5, 1): so this sum rounds to it.
	subnormal := math.Float32bits(math.Float32frombits(bits)+0.5) - 0x3f000000
	if bits < 0x38800000 { // 2^-14
		half = subnormal
	}
	return sign | uint16(half)
}

// fromHalf is exact.
func fromHalf(h uint16) float32 {
	bits := uint32(h&0x7fff) << 13
	value := math.Float32bits(math.Float32frombits(bits) * 0x1p112) // moves the exponent's bias, subnormals included
	if bits >= 0x0f800000 {                                         // infinity and NaN
		value |= 0x7f800000
	}
	return math.Float32frombits(value | uint32(h&0x8000)<<16)
}

// toBF16 rounds to the upper half of a float32, ties to even.
func toBF16(x float32) uint16 {
	bits := math.Float32bits(x)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40 // a NaN whose payload was all in the lower half must not become infinity
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

func encodeF16(out []byte, x []float32) {
	out = out[:2*len(x)]
	for i, v := range x {
		binary.LittleEndian.PutUint16(out[2*i:], toHalf(v))
	}
}

func decodeF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = fromHalf(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func encodeBF16(out []byte, x []float32) {
	out = out[:2*len(x)]
	for i, v := range x {
		binary.LittleEndian.PutUint16(out[2*i:], toBF16(v))
	}
}

func decodeBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}
