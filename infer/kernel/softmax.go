package kernel

import (
	"math"
	"slices"
	"sync"
)

// expWork is scratch for the exp of a row, piece by piece; a piece is a multiple of 16, so that lanes go on from piece to piece.
type expWork struct {
	lanes lanes
	terms [4096]float32
}

// Kernels are called through the table, so what they get a pointer to lives on the heap.
var expWorks = sync.Pool{New: func() any { return new(expWork) }}

// softmaxTerms replaces each x[i] by exp(x[i]*scale - top) and returns the sum in the canonical order.
func softmaxTerms(x []float32, scale, top float32) float32 {
	w := expWorks.Get().(*expWork)
	defer expWorks.Put(w)
	w.lanes = lanes{}
	for step := len(w.terms); len(x) > 0; {
		n := min(step, len(x))
		active.exp(&w.lanes, x[:n], x[:n], scale, top)
		x = x[n:]
	}
	return w.lanes.sum()
}

// ArgMaxConfidence returns the index of the largest logit (ties to the lower index; the index skip is never chosen, -1 for none) and its
// softmax probability without skip, summed in the canonical order. ok is false if a logit is NaN or +Inf, or all are -Inf; skip's own logit
// counts for nothing.
func ArgMaxConfidence(logits []float32, skip int) (index int, p float32, ok bool) {
	w := expWorks.Get().(*expWork)
	defer expWorks.Put(w)
	top, piece := float32(math.Inf(-1)), -1 // the largest, and where the piece begins that has it first
	for at := 0; at < len(logits); at += len(w.terms) {
		if t := active.top(w.load(logits, at, skip)); t > top {
			top, piece = t, at
		}
	}
	if !(top <= math.MaxFloat32) || piece < 0 {
		return oddLogit(logits, skip)
	}
	index = piece + slices.Index(w.load(logits, piece, skip), top)
	w.lanes = lanes{}
	for at := 0; at < len(logits); at += len(w.terms) {
		terms := w.load(logits, at, skip)
		active.exp(&w.lanes, terms, terms, 1, top)
	}
	if p = 1 / w.lanes.sum(); p != p {
		return oddLogit(logits, skip)
	}
	return index, p, true
}

// load copies a piece of the logits to terms, with -Inf, of which exp is +0, for the one to skip.
func (w *expWork) load(logits []float32, at, skip int) []float32 {
	terms := w.terms[:copy(w.terms[:], logits[at:])]
	if i := skip - at; i >= 0 && i < len(terms) {
		terms[i] = float32(math.Inf(-1))
	}
	return terms
}

// oddLogit is ArgMaxConfidence where there is no answer: the first logit that is NaN or +Inf, or -1 if all are -Inf.
func oddLogit(logits []float32, skip int) (index int, p float32, ok bool) {
	for i, v := range logits {
		if !(v <= math.MaxFloat32) && i != skip {
			return i, 0, false
		}
	}
	return -1, 0, false
}
