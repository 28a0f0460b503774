package engine

import (
	"runtime/debug"
	"slices"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// awaits reports whether another answer is computing a longer prefix of a's prompt than there is: then a waits for it instead of doing the same.
func (e *Engine) awaits(a *answer) bool {
	if e.prefixes == nil {
		return false
	}
	mask := a.mask(e.model.Config())
	unit := diffusion.PrefixUnit(mask)
	_, pages := e.prefixes.find(mask, a.Prompt)
	have := len(pages) * infer.PagePositions
	for _, b := range e.running {
		if b.decoder != nil && b.prefilling && !b.failed && !b.done && b.mask(e.model.Config()) == mask {
			if common(a.Prompt[:len(a.Prompt)-1], b.Prompt[:len(b.Prompt)-1])/unit*unit > have {
				return true
			}
		}
	}
	return false
}

// common is how many ids two prompts begin with alike.
func common(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// begin starts an answer with the longest prefix that is kept. When the machine has no memory left, what is kept goes, and the answer waits for
// another to end.
func (e *Engine) begin(a *answer) {
	var at *node
	var pages []*infer.Page
	if e.prefixes != nil {
		at, pages = e.prefixes.find(a.mask(e.model.Config()), a.Prompt)
	}
	err := e.contain(a.ID, func() error {
		err := a.begin(e.model, pages)
		if err == nil {
			a.decoder.Next()
		}
		return err
	})
	if fault.Code(err) == "MEMORY_ESTIMATE" && e.yield() {
		return
	}
	if err != nil {
		e.failAnswer(a, err)
		return
	}
	if a.prefix = at; at != nil {
		at.pins++
	}
	s := a.decoder.Result().Stats
	e.mu.Lock()
	defer e.mu.Unlock()
	e.metrics.PromptTokens += uint64(s.PromptTokens)
	e.metrics.PrefixTokens += uint64(s.PrefixTokens)
	switch {
	case e.prefixes == nil:
	case s.PrefixTokens > 0:
		e.metrics.PrefixHits++
	default:
		e.metrics.PrefixMisses++
	}
}

// yield drops the prefixes that are kept and reports whether that, or the end of an answer that runs, can bring memory.
func (e *Engine) yield() bool {
	if e.prefixes != nil {
		before := e.prefixes.bytes
		e.prefixes.evict(0)
		e.countPrefixes()
		if e.prefixes.bytes < before {
			debug.FreeOSMemory() // or the system still counts it as ours
			return true
		}
	}
	return slices.ContainsFunc(e.running, func(b *answer) bool { return b.rows() > 0 })
}

// keep offers an answer's final keys and values to those that come.
func (e *Engine) keep(a *answer) {
	if e.prefixes != nil && !a.failed {
		ids, pages := a.decoder.Prefix()
		e.prefixes.add(a.mask(e.model.Config()), ids, pages)
		e.countPrefixes()
	}
}

func (e *Engine) countPrefixes() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.metrics.PrefixBytes, e.metrics.PrefixEvictions = e.prefixes.bytes, e.prefixes.evicted
}
