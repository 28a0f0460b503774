package quant

import (
	"encoding/binary"
	"math"
)

// Q8_0 stores 32 weights in 34 bytes:
//
//	0..1   scale d, half
//	2..33  q, int8 each; value = d*q
//
// Q4_0 stores 32 weights in 18 bytes:
//
//	0..1   scale d, half; negative when the largest weight is positive
//	2..17  byte j holds q of weight j (low nibble) and j+16 (high); value = d*(q-8)
//
// Layout: ggml-common.h, block_q8_0 and block_q4_0.

// reciprocal returns 1/d, or 0 where that is no number: then d as a half is 0 too.
func reciprocal(d float32) float32 {
	if r := 1 / d; !math.IsInf(float64(r), 0) {
		return r
	}
	return 0
}

// roundAway rounds half away from zero, like C's roundf. Adding 0.5 would round 0.49999997 up; twice the fraction is exact.
func roundAway(v float32) int32 {
	whole := int32(v)
	return whole + int32(2*(v-float32(whole)))
}

// largest returns the value of largest magnitude, with its sign; the first of equals.
func largest(x []float32) float32 {
	var most uint32 // bits order magnitudes
	for _, v := range x {
		most = max(most, math.Float32bits(v)&^(1<<31))
	}
	for _, v := range x {
		if v != 0 && math.Float32bits(v)&^(1<<31) == most {
			return v
		}
	}
	return 0 // not -0
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

func encodeQ8(x []float32, out []byte) {
	d := abs(largest(x)) / 127
	id := reciprocal(d) // of d before it becomes a half, as in ggml
	binary.LittleEndian.PutUint16(out, toHalf(d))
	for i, v := range x {
		out[2+i] = byte(roundAway(float32(v * id)))
	}
}

func decodeQ8(x []float32, src []byte) {
	d := fromHalf(binary.LittleEndian.Uint16(src))
	for i := range x {
		x[i] = d * float32(int8(src[2+i]))
	}
}

func encodeQ4(x []float32, out []byte) {
	d := largest(x) / -8
	id := reciprocal(d)
	binary.LittleEndian.PutUint16(out, toHalf(d))
	nibble := func(v float32) byte { return byte(min(15, int32(float32(v*id)+8.5))) }
	for j := range 16 {
		out[2+j] = nibble(x[j]) | nibble(x[j+16])<<4
	}
}

// WidenQ4 writes Q4_0 blocks as Q8_0 blocks of the same values.
func WidenQ4(dst, src []byte) {
	for ; len(src) > 0; dst, src = dst[34:], src[18:] {
		copy(dst, src[:2])
		for j, v := range src[2:18] {
			dst[2+j], dst[2+16+j] = v&15-8, v>>4-8
		}
	}
}

func decodeQ4(x []float32, src []byte) {
	d := fromHalf(binary.LittleEndian.Uint16(src))
	for j := range 16 {
		x[j] = float32(int32(src[2+j]&15)-8) * d
		x[j+16] = float32(int32(src[2+j]>>4)-8) * d
	}
}
