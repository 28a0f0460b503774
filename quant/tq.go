package quant

import (
	"encoding/binary"

	"github.com/wrinklefree/wf/gguf"
)

// TQ2_0 stores 256 weights in 66 bytes:
//
//	0..63   byte 32j+m, bits 2k+1..2k, holds u of weight 128j + 32k + m
//	64..65  scale d, half; value = d*(u-1)
//
// TQ1_0 stores 256 weights in 54 bytes. A byte holds the digits u0..u4 of a number q = u0*81 + u1*27 + u2*9 + u3*3 + u4 in base 3, stored as
// ceil(q*256/243), so that multiplying by 3 pushes one digit after the other out at the top:
//
//	0..31   byte m holds weights m + 0, 32, 64, 96, 128
//	32..47  byte 32+m holds weights 160 + m + 0, 16, 32, 48, 64
//	48..51  byte 48+m holds weights 240 + m + 0, 4, 8, 12, and a fifth digit 0
//	52..53  scale d, half; value = d*(u-1)
//
// In both a block without a weight other than 0 has d = 0.
//
// Layout: ggml-common.h, block_tq2_0 and block_tq1_0.

const (
	tqWeights = 256
	tq1Bytes  = 54
	tq2Bytes  = 66
)

// tq1Run is a part of a TQ1_0 block whose bytes share a stride between their digits.
type tq1Run struct{ bytes, first, stride, digits int }

var tq1Runs = [...]tq1Run{
	{bytes: 0, first: 0, stride: 32, digits: 5},
	{bytes: 32, first: 160, stride: 16, digits: 5},
	{bytes: 48, first: 240, stride: 4, digits: 4},
}

// PackTQ1 appends TQ1_0 blocks of trits, a multiple of 256, each with the scale as a half.
func PackTQ1(dst []byte, trits []int8, scale float32) []byte {
	dst, out := extend(dst, blocks(gguf.TQ1_0, len(trits))*tq1Bytes)
	for ; len(trits) > 0; trits, out = trits[tqWeights:], out[tq1Bytes:] {
		for _, r := range tq1Runs {
			for m := range r.stride {
				q := 0
				for i := range 5 {
					q *= 3
					if i < r.digits {
						q += int(trits[r.first+i*r.stride+m]) + 1
					}
				}
				out[r.bytes+m] = byte((q*256 + 242) / 243)
			}
		}
		putScale(out[tq1Bytes-2:], trits[:tqWeights], scale)
	}
	return dst
}

// PackTQ2 appends TQ2_0 blocks of trits, a multiple of 256, each with the scale as a half.
func PackTQ2(dst []byte, trits []int8, scale float32) []byte {
	dst, out := extend(dst, blocks(gguf.TQ2_0, len(trits))*tq2Bytes)
	for ; len(trits) > 0; trits, out = trits[tqWeights:], out[tq2Bytes:] {
		for j := range 2 {
			t := trits[128*j : 128*j+128]
			for m := range 32 {
				out[32*j+m] = byte(t[m]+1) | byte(t[m+32]+1)<<2 | byte(t[m+64]+1)<<4 | byte(t[m+96]+1)<<6
			}
		}
		putScale(out[tq2Bytes-2:], trits[:tqWeights], scale)
	}
	return dst
}

func putScale(out []byte, trits []int8, scale float32) {
	d := uint16(0)
	for _, t := range trits {
		if t != 0 {
			d = toHalf(scale)
			break
		}
	}
	binary.LittleEndian.PutUint16(out, d)
}

// UnpackTQ1 is the inverse of PackTQ1: len(trits) = 256*len(scales). Every byte decodes to trits.
func UnpackTQ1(trits []int8, scales []float32, src []byte) {
	for b := range scales {
		block, t := src[b*tq1Bytes:][:tq1Bytes], trits[b*tqWeights:][:tqWeights]
		scales[b] = fromHalf(binary.LittleEndian.Uint16(block[tq1Bytes-2:]))
		for _, r := range tq1Runs {
			for m := range r.stride {
				rest := block[r.bytes+m]
				for i := range r.digits {
					t[r.first+i*r.stride+m] = int8(uint16(rest)*3>>8) - 1
					rest *= 3
				}
			}
		}
	}
}

// UnpackTQ2 is the inverse of PackTQ2: len(trits) = 256*len(scales). A code 3 is a *CodeError.
func UnpackTQ2(trits []int8, scales []float32, src []byte) error {
	var bad CodeError
	for b := range scales {
		block := src[b*tq2Bytes:][:tq2Bytes]
		scales[b] = fromHalf(binary.LittleEndian.Uint16(block[tq2Bytes-2:]))
		for j := range 2 {
			first := tqWeights*b + 128*j
			t := trits[first:][:128]
			for m, v := range block[32*j:][:32] {
				for k := range 4 {
					u := v >> (2 * k) & 3
					t[32*k+m] = int8(u) - 1
					if u == 3 {
						bad.add(first + 32*k + m)
					}
				}
			}
		}
	}
	return bad.orNil()
}

func decodeTQ1(x []float32, src []byte) {
	var trits [tqWeights]int8
	var scale [1]float32
	UnpackTQ1(trits[:], scale[:], src)
	scaleTrits(x, trits[:], scale[0])
}

func decodeTQ2(x []float32, src []byte) {
	var trits [tqWeights]int8
	var scale [1]float32
	UnpackTQ2(trits[:], scale[:], src) // a code 3 has become trit 2
	scaleTrits(x, trits[:], scale[0])
}

func scaleTrits(x []float32, trits []int8, scale float32) {
	for i, t := range trits {
		x[i] = float32(t) * scale
	}
}
