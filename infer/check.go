package infer

import (
	"bytes"
	"math"
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
		if i := quant.NotFinite(t.Type, t.data[lo*unit:hi*unit]); i >= 0 {
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
