package quant

import (
	"encoding/binary"
	"math/bits"

	"github.com/wrinklefree/wf/gguf"
)

// NotFinite returns the index of the first block of data that holds a NaN or an infinity, -1 if there is none. It reads bits rather than
// decoded numbers, so that looking at every weight costs little beside reading it. A block is one number of a plain type; in the others only
// the half-precision scale can be one. t is any known type but I2_S, which has no scale in its blocks.
func NotFinite(t gguf.Type, data []byte) int {
	switch t {
	case gguf.F32:
		return allOnes(data, 4, 0x7f800000)
	case gguf.F16:
		return allOnes(data, 2, 0x7c00)
	case gguf.BF16:
		return allOnes(data, 2, 0x7f80)
	}
	unit, at := int(t.BlockBytes()), scaleOffset(t)
	for b := 0; b < len(data)/unit; b++ {
		if binary.LittleEndian.Uint16(data[b*unit+at:])&0x7c00 == 0x7c00 {
			return b
		}
	}
	return -1
}

// scaleOffset is where in its block a type keeps the half-precision scale: at the front in Q8_0 and Q4_0, at the back in the others.
func scaleOffset(t gguf.Type) int {
	if t == gguf.Q8_0 || t == gguf.Q4_0 {
		return 0
	}
	return int(t.BlockBytes()) - 2
}

// allOnes returns the index of the first number of size bytes whose exponent field has no zero bit (NaN or infinity), or -1. It looks at
// eight bytes at a time: adding one at the bottom of an exponent carries into the sign's place only if all its bits are ones.
func allOnes(data []byte, size int, exponent uint64) int {
	lanes := uint64(1)
	for lane := 8 * size; lane < 64; lane += 8 * size {
		lanes |= 1 << lane
	}
	one := exponent & -exponent
	mask, low, sign := exponent*lanes, one*lanes, (exponent+one)*lanes
	whole := len(data) &^ 7
	for i := 0; i < whole; i += 8 {
		if hit := (binary.LittleEndian.Uint64(data[i:])&mask + low) & sign; hit != 0 {
			return (i + bits.TrailingZeros64(hit)/8) / size
		}
	}
	var rest [8]byte
	copy(rest[:], data[whole:])
	if hit := (binary.LittleEndian.Uint64(rest[:])&mask + low) & sign; hit != 0 {
		return (whole + bits.TrailingZeros64(hit)/8) / size
	}
	return -1
}
