// Package quant packs weights into GGUF blocks and unpacks them, finds out whether weights are ternary, and writes whole GGUF files: from
// a plan (File, which wf convert uses too) or from another file (Run, which is wf quantize).
//
// A ternary weight is one of {-s, 0, +s}. Its code, or trit, is -1, 0 or +1, stored as u = trit+1. Three types store nothing else:
//
//	I2_S   one scale (float32) a tensor, 2 bits a weight, first weight in the highest bits      i2s.go
//	TQ2_0  one scale (half) each 256 weights, 2 bits a weight, first weight in the lowest bits  tq.go
//	TQ1_0  one scale (half) each 256 weights, 5 weights in a byte, base 3                        tq.go
//
// The others approximate any weight:
//
//	F32    IEEE single                        BF16   its upper half, rounded                     half.go
//	F16    IEEE half                          Q8_0   32 weights: half scale, int8 each           q8.go
//	Q4_0   32 weights: half scale, 4 bits     Q6_K   256 weights: half scale, 16 int8, 6 bits    q6k.go
//
// All arithmetic is float32, as ggml's is, and every product is rounded before it is added (float32(a*b) + c), so that no compiler fuses
// the two and every machine writes the same bytes.
//
// Weights of 16 bits are converted by tables of all their patterns (patterns.go). What still took most of a conversion's or a quantisation's time has AVX2
// code, too: the mean of bfloat16 master weights, and the search of Q6_K. Generic Go defines their results, bit for bit.
//
// Layouts: ggml-common.h; arithmetic: ggml-quants.c (quantize_row_*_ref); I2_S: bitnet.cpp. FORMATS in docs/ has worked examples.
package quant

import (
	"encoding/binary"
	"math"

	"github.com/wrinklefree/wf/gguf"
)

// Encode appends the encoding of x to dst. x is whole blocks (a multiple of t.BlockSize()); t is F32, F16, BF16, Q8_0, Q4_0 or Q6_K: the
// ternary types are packed from trits. Values must be finite and in the type's range, which Range checks. It panics for another type or a
// partial block: that is a bug of the caller, which knows its dims.
func Encode(dst []byte, t gguf.Type, x []float32) []byte {
	dst, out := extend(dst, blocks(t, len(x))*int(t.BlockBytes()))
	switch t {
	case gguf.F32:
		for i, v := range x {
			binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(v))
		}
	case gguf.F16:
		encodeF16(out, x)
	case gguf.BF16:
		encodeBF16(out, x)
	case gguf.Q8_0:
		eachBlock(t, x, out, encodeQ8)
	case gguf.Q4_0:
		eachBlock(t, x, out, encodeQ4)
	case gguf.Q6_K:
		eachBlock(t, x, out, encodeQ6)
	default:
		panic("quant: cannot encode " + t.String())
	}
	return dst
}

// Decode decodes whole blocks into dst, which has exactly their number of values. t is any known type but I2_S, whose scale is not in its
// blocks. It panics if the lengths disagree. A TQ2_0 code 3 decodes to 2d, as in ggml: UnpackTQ2 refuses it.
func Decode(dst []float32, t gguf.Type, src []byte) {
	if blocks(t, len(dst))*int(t.BlockBytes()) != len(src) {
		panic("quant: lengths disagree")
	}
	switch t {
	case gguf.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case gguf.F16:
		decodeF16(dst, src)
	case gguf.BF16:
		decodeBF16(dst, src)
	case gguf.Q8_0:
		eachBlock(t, dst, src, decodeQ8)
	case gguf.Q4_0:
		eachBlock(t, dst, src, decodeQ4)
	case gguf.Q6_K:
		eachBlock(t, dst, src, decodeQ6)
	case gguf.TQ1_0:
		eachBlock(t, dst, src, decodeTQ1)
	case gguf.TQ2_0:
		eachBlock(t, dst, src, decodeTQ2)
	default:
		panic("quant: cannot decode " + t.String())
	}
}

// blocks returns how many blocks n weights fill.
func blocks(t gguf.Type, n int) int {
	size := int(t.BlockSize())
	if n%size != 0 {
		panic("quant: partial block")
	}
	return n / size
}

// eachBlock hands f the weights and the bytes of one block after the other.
func eachBlock(t gguf.Type, x []float32, b []byte, f func(x []float32, b []byte)) {
	weights, bytes := int(t.BlockSize()), int(t.BlockBytes())
	for ; len(x) > 0; x, b = x[weights:], b[bytes:] {
		f(x[:weights], b[:bytes])
	}
}

// extend returns dst with n bytes more, and those bytes.
func extend(dst []byte, n int) (all, added []byte) {
	start := len(dst)
	if cap(dst)-start < n {
		dst = append(make([]byte, 0, start+n), dst...)
	}
	dst = dst[:start+n]
	return dst, dst[start:]
}
