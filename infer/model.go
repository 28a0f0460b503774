// Package infer runs a GGUF model: it maps the file, checks what it says, and computes logits for any rows at any positions.
//
// The network (BitNet b1.58, arXiv:2402.17764; Llama, arXiv:2302.13971; Qwen2, arXiv:2407.10671), for one row of token id at position p:
//
//	x = embed[id]                                          x [Hidden], the residual stream, float32
//	for each layer:
//	    h = rmsnorm(x, attn_norm)
//	    q, k, v = Wq h, Wk h, Wv h                         q [Heads, HeadDim]; k, v [KVHeads, HeadDim]
//	    q, k = rope(q, p), rope(k, p)                      k and v go to the cache at p
//	    o = softmax(q·K/√HeadDim) V                        over the positions that the mask lets p see
//	    x = x + Wo subln(o)                                subln: an RMSNorm that only BitNet models have
//	    h = rmsnorm(x, ffn_norm)
//	    x = x + Wdown subln(act(Wgate h) * Wup h)          act: silu, or relu² in BitNet
//	logits = Whead rmsnorm(x, output_norm)                 only for the rows that somebody asked for
//
// A projection with ternary weights takes its input as int8, one scale a row, and sums in int32 (FORMATS.md 5.3). Every float sum has one
// canonical order (DESIGN.md, Numbers; package kernel), so a row's logits do not depend on threads, neighbours or how a prompt was cut.
package infer

import (
	"errors"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer/kernel"
)

// Model is a loaded model. Its weights are read-only. Forward uses all threads and one set of buffers, so it may not be called concurrently.
type Model struct {
	config    Config
	cacheType gguf.Type
	file      *gguf.File
	owned     bool   // Load opened the file, so Close closes it
	arena     *arena // the weights that do not lie in the file as they are used
	pool      *kernel.Pool
	rope      *kernel.Rotary

	embedding  *kernel.Dense // [Vocab, Hidden]
	layers     []layer
	outputNorm []float32     // [Hidden]
	head       *kernel.Dense // [Vocab, Hidden]; the embedding where the file has no output.weight

	pass *pass
}

// layer holds one layer's weights. Sub-norms are nil where the model has none.
type layer struct {
	attnNorm    []float32 // [Hidden]
	q           linear    // [Heads*HeadDim, Hidden]
	k, v        linear    // [KVHeads*HeadDim, Hidden]
	attnSubNorm []float32 // [Heads*HeadDim]
	o           linear    // [Hidden, Heads*HeadDim]

	ffnNorm    []float32 // [Hidden]
	gate, up   linear    // [FeedForward, Hidden]
	ffnSubNorm []float32 // [FeedForward]
	down       linear    // [Hidden, FeedForward]
}

// linear is a projection y = W·norm(x) + bias. Exactly one of ternary and dense is set.
type linear struct {
	ternary *kernel.Ternary
	dense   *kernel.Dense
	bias    []float32 // nil or [rows]
	scale   []float32 // nil or [1]: multiplies the weights; ternary and dense have it in them
	normIn  []float32 // nil or [cols]: the projection has an RMSNorm of its own
}

// sharesInt8 reports whether the projection takes the int8 form of an input that it shares with others.
func (l *linear) sharesInt8() bool { return l.ternary != nil && l.normIn == nil }

// Config returns what the file says of the model. Do not modify it.
func (m *Model) Config() *Config { return &m.config }

// Metadata returns the file's metadata, for the tokenizer. Do not modify it.
func (m *Model) Metadata() *gguf.Metadata { return m.file.Metadata }

// Close ends the threads, frees the weights and, for a model from Load, unmaps the file. Caches stay valid memory but cannot be used any more.
func (m *Model) Close() error {
	m.pool.Close()
	err := m.arena.close()
	if m.owned {
		err = errors.Join(err, m.file.Close())
	}
	return err
}
