package infer

import (
	"math"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// reference computes the logits [len(ids)][vocab] of FORMATS.md 5.5 in float64, one row after the other, without a cache, blocks or threads.
// Its only float32 steps are RoPE's angles, which the format defines.
type reference struct {
	f                *modelFile
	eps, subEps      float64
	int8, relu2      bool
	interleaved      bool
	theta, factor    float64
	mask             Mask
	heads, kv, width int
}

func newReference(f *modelFile, mask Mask) *reference {
	r := &reference{f: f, eps: 1e-5, subEps: 1e-5, theta: 10000, factor: 1, mask: mask, heads: f.shape.heads, kv: f.shape.kv, width: f.shape.dim}
	r.interleaved = f.arch == names.Llama
	activation, _ := f.md.Get(f.key(names.HiddenActivation))
	r.relu2 = activation == names.ReLU2
	linear, _ := f.md.Get(names.LinearActivation)
	r.int8 = linear == names.ActivationInt8
	if e, ok := f.md.Get(names.SubLNEps); ok {
		r.subEps = float64(e.(float32))
	}
	if s, ok := f.md.Get(f.key(names.RopeFactor)); ok {
		r.factor = float64(s.(float32))
	}
	return r
}

func (r *reference) weights(name string) []float32 {
	if t := r.f.tensor(name); t != nil {
		return t.values
	}
	return nil
}

func norm(x []float64, w []float32, eps float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+eps) * float64(w[i])
	}
	return y
}

func product(w []float32, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for j, v := range x {
			y[i] += float64(w[i*len(x)+j]) * v
		}
	}
	return y
}

// linear is a projection: own norm, int8 rounding of the input, product, bias.
func (r *reference) linear(layer int, part string, x []float64) []float64 {
	if w := r.weights(names.Block(layer, part+names.NormIn, "weight")); w != nil {
		x = norm(x, w, r.subEps)
	}
	x = r.rounded(names.Block(layer, part, "weight"), x)
	y := product(r.weights(names.Block(layer, part, "weight")), x)
	for i, b := range r.weights(names.Block(layer, part, "bias")) {
		y[i] += float64(b)
	}
	return y
}

// rounded is what a matrix multiplies with: x to 8 bits, with one scale for the row or for each block, or x itself.
func (r *reference) rounded(name string, x []float64) []float64 {
	block := len(x)
	switch typ := r.f.tensor(name).typ; typ {
	case gguf.Q8_0, gguf.Q4_0:
		block = 32
	case gguf.Q6_K:
		block = 256
	case gguf.F32, gguf.F16, gguf.BF16:
		if !r.int8 || !quant.IsProjection(name) {
			return x
		}
	}
	y := make([]float64, len(x))
	for lo := 0; lo < len(x); lo += block {
		amax := 1e-5
		for _, v := range x[lo:][:block] {
			amax = max(amax, math.Abs(v))
		}
		for i, v := range x[lo:][:block] {
			y[lo+i] = math.RoundToEven(v*127/amax) * amax / 127
		}
	}
	return y
}

func (r *reference) rope(x []float64, pos int) {
	d, freqs := r.width, r.weights(names.RopeFreqs)
	for h := 0; h < len(x); h += d {
		for j := range d / 2 {
			inv := 1 / float32(math.Pow(r.theta, float64(2*j)/float64(d)))
			inv /= float32(r.factor)
			if freqs != nil {
				inv /= freqs[j]
			}
			sin, cos := math.Sincos(float64(float32(pos) * inv))
			a, b := h+j, h+j+d/2
			if r.interleaved {
				a, b = h+2*j, h+2*j+1
			}
			x[a], x[b] = x[a]*cos-x[b]*sin, x[b]*cos+x[a]*sin
		}
	}
}

func (r *reference) logits(ids []int32) [][]float64 {
	x := make([][]float64, len(ids))
	embed := r.weights(names.TokenEmbedding)
	for i, id := range ids {
		for _, v := range embed[int(id)*r.f.shape.hidden:][:r.f.shape.hidden] {
			x[i] = append(x[i], float64(v))
		}
	}
	for l := range r.f.shape.layers {
		q, k, v := make([][]float64, len(ids)), make([][]float64, len(ids)), make([][]float64, len(ids))
		for i := range ids {
			h := norm(x[i], r.weights(names.Block(l, names.AttnNorm, "weight")), r.eps)
			q[i], k[i], v[i] = r.linear(l, names.AttnQ, h), r.linear(l, names.AttnK, h), r.linear(l, names.AttnV, h)
			r.rope(q[i], i)
			r.rope(k[i], i)
		}
		for i := range ids {
			o := make([]float64, r.heads*r.width)
			for head := range r.heads {
				r.attend(o[head*r.width:][:r.width], q[i][head*r.width:], k, v, head/(r.heads/r.kv)*r.width, i)
			}
			if w := r.weights(names.Block(l, names.AttnSubNorm, "weight")); w != nil {
				o = norm(o, w, r.subEps)
			}
			accumulate(x[i], r.linear(l, names.AttnOutput, o))

			h := norm(x[i], r.weights(names.Block(l, names.FFNNorm, "weight")), r.eps)
			gate, up := r.linear(l, names.FFNGate, h), r.linear(l, names.FFNUp, h)
			for j, g := range gate {
				if r.relu2 {
					g = max(g, 0) * max(g, 0)
				} else {
					g /= 1 + math.Exp(-g)
				}
				gate[j] = g * up[j]
			}
			if w := r.weights(names.Block(l, names.FFNSubNorm, "weight")); w != nil {
				gate = norm(gate, w, r.subEps)
			}
			accumulate(x[i], r.linear(l, names.FFNDown, gate))
		}
	}
	name := names.Output
	if r.f.tensor(name) == nil {
		name = names.TokenEmbedding
	}
	out := make([][]float64, len(ids))
	for i := range ids {
		out[i] = product(r.weights(name), r.rounded(name, norm(x[i], r.weights(names.OutputNorm), r.eps)))
	}
	return out
}

// attend adds the values that row i sees, one head; keys and values of that head begin at element at.
func (r *reference) attend(o, q []float64, k, v [][]float64, at, i int) {
	var p []float64
	sum, top := 0.0, math.Inf(-1)
	for j := range k {
		if r.mask.Block == 0 && j > i || r.mask.Block > 0 && j/r.mask.Block > i/r.mask.Block {
			break
		}
		s := 0.0
		for e := range r.width {
			s += q[e] * k[j][at+e]
		}
		p = append(p, s/math.Sqrt(float64(r.width)))
		top = max(top, p[j])
	}
	for j := range p {
		p[j] = math.Exp(p[j] - top)
		sum += p[j]
	}
	for j := range p {
		for e := range o {
			o[e] += p[j] / sum * v[j][at+e]
		}
	}
}

func accumulate(x, y []float64) {
	for i, v := range y {
		x[i] += v
	}
}
