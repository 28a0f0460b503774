package infer

import (
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/kernel"
)

// run computes p.rows: the network of the package comment, line by line. T is len(p.rows).
func (p *pass) run() {
	p.size()
	c := &p.m.config
	p.embed() // x [T, Hidden], and the angles of the rows' positions
	for i := range p.m.layers {
		l := &p.m.layers[i]

		p.norm(&p.h, p.x, l.attnNorm, c.RMSNormEps) // h [T, Hidden]
		p.project(p.q, &l.q, &p.h)                  // q [T, Heads*HeadDim]
		p.project(p.k, &l.k, &p.h)                  // k [T, KVHeads*HeadDim]
		p.project(p.v, &l.v, &p.h)                  // v [T, KVHeads*HeadDim]
		p.rotate(i)                                 // q and k by position; k and v into the caches
		p.attend(i)                                 // o [T, Heads*HeadDim]
		p.subNorm(&p.o, l.attnSubNorm)
		p.project(p.delta, &l.o, &p.o)
		p.add() // x += delta

		p.norm(&p.h, p.x, l.ffnNorm, c.RMSNormEps)
		p.project(p.gate.x, &l.gate, &p.h) // gate [T, FeedForward]
		p.project(p.up, &l.up, &p.h)       // up [T, FeedForward]
		p.activate()                       // gate = act(gate) * up
		p.subNorm(&p.gate, l.ffnSubNorm)
		p.project(p.delta, &l.down, &p.gate)
		p.add()
	}
	p.failOverflow(p.x, c.Hidden)
	p.head() // logits [wanted rows, Vocab], into the segments
	for _, r := range p.rows {
		if r.segment.Err == nil {
			r.segment.Cache.filled = max(r.segment.Cache.filled, r.pos+1)
		}
	}
}

// embed looks up the rows' tokens and the angles of their positions.
func (p *pass) embed() { p.m.pool.Run(len(p.rows), 1, p.embedRows) }

func (p *pass) embedPart(lo, hi int) {
	n := p.m.config.Hidden
	for t := lo; t < hi; t++ {
		r := &p.rows[t]
		p.m.embedding.Row(p.x[t*n:][:n], int(r.segment.IDs[r.index]))
		p.m.rope.Angles(p.angles[t*p.m.config.HeadDim:][:p.m.config.HeadDim], r.pos)
	}
}

// norm computes dst = rmsnorm(x, w), row by row. dst.x may be x.
func (p *pass) norm(dst *input, x, w []float32, eps float32) {
	p.normTo, p.normFrom, p.normWeight, p.normEps = dst.x, x, w, eps
	p.m.pool.Run(len(x)/len(w), 1, p.normRows)
	dst.ready = false
}

func (p *pass) normPart(lo, hi int) {
	n := len(p.normWeight)
	kernel.RMSNorm(p.normTo[lo*n:hi*n], p.normFrom[lo*n:hi*n], p.normWeight, p.normEps)
}

// subNorm normalises in place in models that have sub-norms.
func (p *pass) subNorm(in *input, w []float32) {
	in.ready = false
	if w != nil {
		p.norm(in, in.x, w, p.m.config.SubLNEps)
	}
}

// project computes y [T, rows] = W·in + bias. Projections that share an input share its int8 form.
func (p *pass) project(y []float32, l *linear, in *input) {
	if l.normIn != nil {
		p.own.x = grow(p.own.x, len(in.x))
		p.norm(&p.own, in.x, l.normIn, p.m.config.SubLNEps)
		in = &p.own
	}
	if l.dense != nil {
		l.dense.MatMul(y, in.x, len(p.rows), l.bias, p.m.pool)
		return
	}
	if !in.ready {
		p.quantize(in)
	}
	l.ternary.MatMul(y, &in.int8, l.bias, p.m.pool)
}

// quantize fills in.int8. Rows with a NaN or infinity have no int8 form: their segment fails and goes on as zeros, so that its neighbours'
// rows complete.
func (p *pass) quantize(in *input) {
	cols := len(in.x) / len(p.rows)
	err := in.int8.Quantize(in.x, len(p.rows), cols)
	if err != nil {
		p.failOverflow(in.x, cols)
		err = in.int8.Quantize(in.x, len(p.rows), cols)
	}
	if err != nil {
		panic(err) // every row is finite now
	}
	in.ready = true
}

// failOverflow ends every segment that has a NaN or infinity in its rows of x [T, cols].
func (p *pass) failOverflow(x []float32, cols int) {
	for t := range p.rows {
		r := &p.rows[t]
		if r.segment.Err == nil && !finite(x[t*cols:][:cols]) {
			r.segment.Err = fault.New("NUMERIC_ERROR", "infer: NaN or infinity in the network at position %d (token %d); "+
				"with --cache-type f16, try f32", r.pos, r.segment.IDs[r.index])
		}
	}
	hidden := p.m.config.Hidden
	for t, r := range p.rows {
		if r.segment.Err != nil {
			clear(x[t*cols:][:cols])
			clear(p.x[t*hidden:][:hidden])
		}
	}
}

// finite reports whether an RMSNorm of x is one: neither a number nor the sum of squares may overflow, or the norm would be all zeros.
func finite(x []float32) bool {
	sum := float32(0)
	for _, v := range x {
		sum += float32(v * v)
	}
	return sum-sum == 0
}

// rotate turns queries and keys by their positions and writes keys and values to the caches.
func (p *pass) rotate(layer int) {
	p.layer = layer
	p.m.pool.Run(len(p.rows), 1, p.rotateRows)
}

func (p *pass) rotatePart(lo, hi int) {
	c := &p.m.config
	attn, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	for t := lo; t < hi; t++ {
		r := &p.rows[t]
		k, angles := p.k[t*kv:][:kv], p.angles[t*c.HeadDim:][:c.HeadDim]
		p.m.rope.Apply(p.q[t*attn:][:attn], c.HeadDim, angles)
		p.m.rope.Apply(k, c.HeadDim, angles)
		r.segment.Cache.put(p.layer, r.pos, k, p.v[t*kv:][:kv])
	}
}

// attend computes o = softmax(q·K/√HeadDim) V. A row and a KV head, with the query heads that share it, are one item of work; items are
// dealt out like cards, so that late rows, which see more, fall to all threads alike. A deal has scores of its own.
func (p *pass) attend(layer int) {
	p.layer = layer
	p.m.pool.Run(len(p.scores), 1, p.attendDeals)
}

func (p *pass) attendPart(lo, hi int) {
	c := &p.m.config
	group, d := c.Heads/c.KVHeads, c.HeadDim
	for deal := lo; deal < hi; deal++ {
		for item := deal; item < len(p.rows)*c.KVHeads; item += len(p.scores) {
			r, kvHead := &p.rows[item/c.KVHeads], item%c.KVHeads
			kv := r.segment.Cache.view(p.layer, kvHead)
			for at := item * group * d; at < (item+1)*group*d; at += d {
				kernel.Attend(p.o.x[at:][:d], p.q[at:][:d], kv, r.end, p.scores[deal])
			}
		}
	}
}

// elementGrain is the least work worth a thread in steps that treat each number alone.
const elementGrain = 4096

// add computes x += delta.
func (p *pass) add() { p.m.pool.Run(len(p.x), elementGrain, p.addRange) }

func (p *pass) addPart(lo, hi int) { kernel.Add(p.x[lo:hi], p.delta[lo:hi]) }

// activate computes gate = act(gate) * up.
func (p *pass) activate() { p.m.pool.Run(len(p.up), elementGrain, p.activateRange) }

func (p *pass) activatePart(lo, hi int) {
	if p.m.config.Activation == names.ReLU2 {
		kernel.ReLU2Mul(p.gate.x[lo:hi], p.up[lo:hi])
	} else {
		kernel.SiLUMul(p.gate.x[lo:hi], p.up[lo:hi])
	}
}

// headRows is how many rows of logits are computed at once: enough to read the head's weights seldom, few enough to hold.
const headRows = 64

// head computes the logits that segments want of these rows, and of no others.
func (p *pass) head() {
	for t := 0; t < len(p.rows); {
		for p.wanted = p.wanted[:0]; t < len(p.rows) && len(p.wanted) < headRows; t++ {
			if r := &p.rows[t]; r.logits >= 0 && r.segment.Err == nil {
				p.wanted = append(p.wanted, t)
			}
		}
		p.headOf(p.wanted)
	}
}

func (p *pass) headOf(wanted []int) {
	n, hidden, vocab := len(wanted), p.m.config.Hidden, p.m.config.Vocab
	if n == 0 {
		return
	}
	h := p.h.x[:n*hidden]
	for i, t := range wanted {
		copy(h[i*hidden:], p.x[t*hidden:][:hidden])
	}
	kernel.RMSNorm(h, h, p.m.outputNorm, p.m.config.RMSNormEps)
	p.logits = grow(p.logits, n*vocab)
	p.m.head.MatMul(p.logits, h, n, nil, p.m.pool)
	for i, t := range wanted {
		r := &p.rows[t]
		copy(r.segment.Out[r.logits*vocab:][:vocab], p.logits[i*vocab:])
	}
}
