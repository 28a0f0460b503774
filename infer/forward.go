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
	p.residual = nil
	for i := range p.m.layers {
		l := &p.m.layers[i]

		// h [T, Hidden]; q [T, Heads*HeadDim]; k, v [T, KVHeads*HeadDim]
		p.normalize(l.attnNorm, l.q.sharesInt8() || l.k.sharesInt8() || l.v.sharesInt8())
		p.project(&p.h, output{&l.q, p.q}, output{&l.k, p.k}, output{&l.v, p.v})
		p.rotate(i)                                     // q and k by position; k and v into the caches
		p.attend(i)                                     // o [T, Heads*HeadDim]
		p.subNormalize(l.attnSubNorm, l.o.sharesInt8()) // o = norm(o)
		p.project(&p.o, output{&l.o, p.delta})          // delta [T, Hidden]
		p.residual = p.delta

		p.normalize(l.ffnNorm, l.gate.sharesInt8() || l.up.sharesInt8())
		p.project(&p.h, output{&l.gate, p.gate.x}, output{&l.up, p.up}) // gate, up [T, FeedForward]
		p.activate(l.ffnSubNorm, l.down.sharesInt8())                   // gate = norm(act(gate) * up)
		p.project(&p.gate, output{&l.down, p.delta})
	}
	kernel.Add(p.x, p.residual)
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

// What happens to a row between two products is one step for the threads. It ends with the row as the next projections take it: as int8 too, if
// any of these has ternary weights.

// normalize computes x += residual and h = rmsnorm(x, w).
func (p *pass) normalize(w []float32, int8 bool) { p.eachRow(&p.h, w, int8, p.normalizeRows) }

func (p *pass) normalizePart(lo, hi int) {
	n := p.m.config.Hidden
	if p.residual != nil {
		kernel.Add(p.x[lo*n:hi*n], p.residual[lo*n:hi*n])
	}
	kernel.RMSNorm(p.h.x[lo*n:hi*n], p.x[lo*n:hi*n], p.normWeight, p.m.config.RMSNormEps)
	p.quantize(&p.h, lo, hi)
}

// subNormalize computes o = rmsnorm(o, w) in models that have sub-norms.
func (p *pass) subNormalize(w []float32, int8 bool) { p.eachRow(&p.o, w, int8, p.subNormalizeRows) }

func (p *pass) subNormalizePart(lo, hi int) { p.subNorm(&p.o, lo, hi) }

// activate computes gate = act(gate) * up, and its rmsnorm in models that have sub-norms.
func (p *pass) activate(w []float32, int8 bool) { p.eachRow(&p.gate, w, int8, p.activateRows) }

func (p *pass) activatePart(lo, hi int) {
	n := p.m.config.FeedForward
	if p.m.config.Activation == names.ReLU2 {
		kernel.ReLU2Mul(p.gate.x[lo*n:hi*n], p.up[lo*n:hi*n])
	} else {
		kernel.SiLUMul(p.gate.x[lo*n:hi*n], p.up[lo*n:hi*n])
	}
	p.subNorm(&p.gate, lo, hi)
}

func (p *pass) subNorm(in *input, lo, hi int) {
	if n := len(p.normWeight); n > 0 {
		kernel.RMSNorm(in.x[lo*n:hi*n], in.x[lo*n:hi*n], p.normWeight, p.m.config.SubLNEps)
	}
	p.quantize(in, lo, hi)
}

// eachRow runs f over the rows, which leaves them in in.
func (p *pass) eachRow(in *input, w []float32, int8 bool, f func(lo, hi int)) {
	p.normWeight, in.wanted = w, int8
	if int8 {
		in.int8.Resize(len(p.rows), len(in.x)/len(p.rows))
	}
	p.m.pool.Run(len(p.rows), 1, f)
	if p.overflow.Swap(false) {
		p.failOverflow(in.x, in.int8.Cols)
		p.quantize(in, 0, len(p.rows)) // every row is finite now
	}
}

// quantize makes the int8 form of rows, if it is wanted. Rows with a NaN or infinity have none: their segment will fail and go on as zeros, so
// that its neighbours' rows complete.
func (p *pass) quantize(in *input, lo, hi int) {
	for t := lo; in.wanted && t < hi; t++ {
		if n := in.int8.Cols; !in.int8.QuantizeRow(t, in.x[t*n:][:n]) {
			p.overflow.Store(true)
		}
	}
}

// output is a projection and where its result goes, [T, rows].
type output struct {
	l *linear
	y []float32
}

// project computes y = W·in + bias for each output.
func (p *pass) project(in *input, outputs ...output) {
	p.products = p.products[:0]
	for _, o := range outputs {
		switch l := o.l; {
		case l.normIn != nil:
			p.projectOwn(in, o)
		case l.dense != nil:
			l.dense.MatMul(o.y, in.x, len(p.rows), l.bias, p.m.pool)
		default:
			p.products = append(p.products, kernel.Product{W: l.ternary, Y: o.y, Bias: l.bias})
		}
	}
	if len(p.products) > 0 {
		kernel.MatMuls(p.products, &in.int8, p.m.pool)
	}
}

// projectOwn is project for a projection that has a norm of its own.
func (p *pass) projectOwn(in *input, o output) {
	l := o.l
	p.own.x = grow(p.own.x, len(in.x))
	copy(p.own.x, in.x)
	p.eachRow(&p.own, l.normIn, l.ternary != nil, p.ownRows)
	if l.dense != nil {
		l.dense.MatMul(o.y, p.own.x, len(p.rows), l.bias, p.m.pool)
	} else {
		l.ternary.MatMul(o.y, &p.own.int8, l.bias, p.m.pool)
	}
}

func (p *pass) ownPart(lo, hi int) { p.subNorm(&p.own, lo, hi) }

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

// attend computes o = softmax(q·K/√HeadDim) V. A span of rows and a KV head, with the query heads that share it, are one item of work; items
// are dealt out like cards, so that late rows, which see more, fall to all threads alike. The spans of a head follow one another: the last
// cache still holds its keys and values. A deal has scores of its own.
func (p *pass) attend(layer int) {
	p.layer = layer
	p.m.pool.Run(len(p.scores), 1, p.attendDeals)
}

func (p *pass) attendPart(lo, hi int) {
	h, kvHeads := p.heads, p.m.config.KVHeads
	for deal := lo; deal < hi; deal++ {
		for item := deal; item < len(p.spans)*kvHeads; item += len(p.scores) {
			rows, kvHead := p.spans[item%len(p.spans)], item/len(p.spans)
			kv := p.rows[rows.lo].segment.Cache.view(p.layer, kvHead)
			at := rows.lo*h.Stride + kvHead*h.N*h.Dim
			kernel.Attend(p.o.x[at:], p.q[at:], h, kv, p.ends[rows.lo:rows.hi], p.scores[deal])
		}
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
	if first := &p.rows[wanted[0]]; p.rows[wanted[n-1]].segment == first.segment { // then their places follow one another
		p.m.head.MatMul(first.segment.Out[first.logits*vocab:][:n*vocab], h, n, nil, p.m.pool)
		return
	}
	p.logits = grow(p.logits, n*vocab)
	p.m.head.MatMul(p.logits, h, n, nil, p.m.pool)
	for i, t := range wanted {
		r := &p.rows[t]
		copy(r.segment.Out[r.logits*vocab:][:vocab], p.logits[i*vocab:])
	}
}
