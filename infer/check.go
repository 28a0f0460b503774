package infer

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// What a weight may be. Each check reads bits rather than decoded numbers, so that looking at every weight costs little beside reading it.

// checkFinite fails with the index of the first weight that is NaN or infinite.
func (w *weights) checkFinite(t *tensor) error {
	const none, grain = math.MaxInt, 1 << 16 // blocks
	first, unit := none, int(t.Type.BlockBytes())
	var lock sync.Mutex
	w.pool.Run(len(t.data)/unit, grain, func(lo, hi int) {
		if i := notFinite(t.Type, t.data[lo*unit:hi*unit]); i >= 0 {
			lock.Lock()
			first = min(first, lo+i)
			lock.Unlock()
		}
	})
	if first == none {
		return nil
	}
	if quant.IsTernary(t.Type) {
		return fault.New("TENSOR_BAD_SCALE", "infer: tensor %q: the scale of block %d is NaN or infinite; the file is damaged", t.Name, first)
	}
	return fault.New("TENSOR_NOT_FINITE", "infer: tensor %q: weight %d is NaN or infinite, so every number computed from it is; the file is damaged "+
		"or its training diverged", t.Name, first*int(t.Type.BlockSize()))
}

// notFinite returns the index of the first block that holds a NaN or infinity, -1 if there is none. A block is one number of a plain type;
// in the others only the half-precision scale can be one.
func notFinite(t gguf.Type, data []byte) int {
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

// scaleOffset is where in its block a type keeps the half-precision scale: at the front in Q8_0 and Q4_0, at the back in the others
// (FORMATS.md 2).
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

// checkScale holds the scale of a ternary matrix to what training can produce. A scale never defaults to 1.
func checkScale(t *tensor, scale float32) error {
	const smallestNormal, largest = 0x1p-126, 0x1.fffffep127
	if scale >= smallestNormal && scale <= largest {
		return nil
	}
	return fault.New("TENSOR_BAD_SCALE", "infer: tensor %q: its scale is %v; it must be a positive, finite, normal number: quantize again from the "+
		"source", t.Name, scale)
}

// constant reports whether all weights of a matrix are the same.
func constant(t *tensor) bool {
	if t.Type == gguf.I2_S {
		codes := t.data[:len(t.data)-quant.I2STailBytes]
		c := codes[0]
		return c == c&3*0b01_01_01_01 && bytes.Count(codes, codes[:1]) == len(codes)
	}
	for r := range t.rows {
		if !bytes.Equal(t.row(r), t.row(0)) {
			return false
		}
	}
	x := make([]float32, t.cols)
	quant.Decode(x, t.Type, t.row(0))
	return !slices.ContainsFunc(x, func(v float32) bool { return v != x[0] })
}

// suspicious warns of a projection that is constant: a converter that lost the weights writes such (microsoft/BitNet issue 608).
func (w *weights) suspicious(t *tensor) error {
	err := fault.New("TENSOR_SUSPICIOUS", "infer: tensor %q: all its weights are the same, as if a converter had lost them", t.Name)
	allowed, _, _ := gguf.Value[[]string](w.file.Metadata, names.AllowedSuspicious)
	if w.options.Strict && !slices.Contains(allowed, t.Name) {
		return err
	}
	w.options.warn("%v [TENSOR_SUSPICIOUS]", err)
	return nil
}
