package infer

import (
	"sync/atomic"

	"github.com/wrinklefree/wf/infer/kernel"
)

// pass holds the buffers of a forward pass. They are as large as the largest run so far, so a denoise step allocates nothing.
type pass struct {
	m        *Model
	segments []*Segment
	rows     []row        // T of them
	heads    kernel.Heads // that share a head of keys
	maxRows  int          // bounds T, and with it the buffers; more rows take several runs, which changes no bit of the result

	x      []float32   // [T, Hidden] the residual stream
	angles []float32   // [T, HeadDim] of the rows' positions
	h      input       // [T, Hidden] what attention, the feed-forward part and the head begin with
	q      []float32   // [T, Heads*HeadDim]
	k, v   []float32   // [T, KVHeads*HeadDim]
	o      input       // [T, Heads*HeadDim]
	gate   input       // [T, FeedForward]
	up     []float32   // [T, FeedForward]
	delta  []float32   // [T, Hidden] what a part adds to x
	own    input       // of a projection that has an RMSNorm of its own
	spans  []span      // the rows as attention takes them
	ends   []int       // [T] row t sees positions [0, ends[t])
	scores [][]float32 // by thread
	wanted []int
	logits []float32 // [at most headRows, Vocab]

	products []kernel.Product // of the projections under way
	overflow atomic.Bool      // a row has a NaN or infinity

	// What threads run, bound once: binding a method allocates. The fields below are the arguments that vary.
	runAll                                                            func() error
	embedRows, normalizeRows, subNormalizeRows, activateRows, ownRows func(lo, hi int)
	rotateRows, attendDeals                                           func(lo, hi int)
	normWeight                                                        []float32 // nil: no norm
	residual                                                          []float32 // what is still to be added to x: delta, nil at first
	layer                                                             int
}

// input is what projections multiply with: rows of floats, and the same as int8 if a ternary projection wants it.
type input struct {
	x      []float32
	int8   kernel.Activations
	wanted bool
}

// maxRows is how many rows a run has at most.
const maxRows = 512

func newPass(m *Model) *pass {
	p := &pass{m: m, maxRows: maxRows, scores: make([][]float32, m.pool.Threads()), wanted: make([]int, 0, headRows)}
	c := &m.config
	p.heads = kernel.Heads{N: c.Heads / c.KVHeads, Dim: c.HeadDim, Stride: c.Heads * c.HeadDim}
	p.runAll = p.all
	p.embedRows, p.normalizeRows, p.subNormalizeRows = p.embedPart, p.normalizePart, p.subNormalizePart
	p.activateRows, p.ownRows, p.rotateRows, p.attendDeals = p.activatePart, p.ownPart, p.rotatePart, p.attendPart
	return p
}

// size gives every buffer the length that the run's rows need.
func (p *pass) size() {
	c, n := &p.m.config, len(p.rows)
	attn, kv := n*c.Heads*c.HeadDim, n*c.KVHeads*c.HeadDim
	p.x, p.h.x, p.delta = grow(p.x, n*c.Hidden), grow(p.h.x, n*c.Hidden), grow(p.delta, n*c.Hidden)
	p.q, p.k, p.v, p.o.x = grow(p.q, attn), grow(p.k, kv), grow(p.v, kv), grow(p.o.x, attn)
	p.angles = grow(p.angles, n*c.HeadDim)
	p.gate.x, p.up = grow(p.gate.x, n*c.FeedForward), grow(p.up, n*c.FeedForward)
	longest := 0
	p.spans, p.ends = grow(p.spans, n)[:0], grow(p.ends, n)
	most := max(1, min(p.heads.AttendRows(), n*c.KVHeads/(2*len(p.scores)))) // rows of a span: every thread gets some
	for i := range p.rows {
		r := &p.rows[i]
		p.ends[i] = r.end
		longest = max(longest, r.segment.Cache.capacity) // rather than what a row sees now, which grows from pass to pass
		if last := len(p.spans) - 1; i == 0 || r.segment != p.rows[i-1].segment || i-p.spans[last].lo >= most {
			p.spans = append(p.spans, span{i, i})
		}
		p.spans[len(p.spans)-1].hi = i + 1
	}
	for i := range p.scores {
		p.scores[i] = grow(p.scores[i], kernel.AttendScratch(longest, c.HeadDim))
	}
}

// span is rows [lo, hi) of one segment.
type span struct{ lo, hi int }

// passBytes is what the buffers take after a run of so many rows, of which at most headRows want logits, over caches of so many positions.
func passBytes(c *Config, rows, positions, threads int) uint64 {
	attn, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	floats := rows*(3*c.Hidden+2*attn+2*kv+2*c.FeedForward+c.HeadDim) + threads*kernel.AttendScratch(positions, c.HeadDim)
	int8s := rows * (c.Hidden + attn + c.FeedForward)
	return 4*uint64(floats) + uint64(int8s) + 4*uint64(min(rows, headRows))*uint64(c.Vocab)
}

// grow returns s with length n, in a new array only if it is too small.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
