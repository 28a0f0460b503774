package diffusion

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/wrinklefree/wf/infer/kernel"
)

// sampler chooses a token from a row of logits. The mask token is never chosen.
//
// At temperature 0 it is the arg max, ties to the lower id. Above, the distribution softmax(logits/T) is cut to the top k, then to the fewest
// tokens whose mass reaches top-p, then to those at least min-p times as likely as the best; all three keep a head of one and the same order
// (logit downward, ties to the lower id), so the shortest head counts. What is left is renormalised and sampled in the order of ids.
//
// Every sum runs upward by id in float64 over the kernel's exp, so the choice is the same on every machine.
type sampler struct {
	temperature, topP, minP float32
	topK                    int
	mask                    int // or noMask
	seed                    uint64
	choice                  int
	random                  *rand.ChaCha8
	weights                 []float32 // [vocab] exp((logit-max)/T), 0 for what cannot be chosen
	order                   []int32   // heap of ids, best first
}

func newSampler(s *settings, vocab int) *sampler {
	p := &sampler{temperature: s.Temperature, topP: s.topP, minP: s.MinP, topK: s.TopK, mask: int(s.mask), choice: s.Choice}
	if s.Seed != nil {
		p.seed = *s.Seed
	} else {
		p.seed = NewSeed()
	}
	if p.temperature > 0 {
		p.random = rand.NewChaCha8([32]byte{})
		p.weights, p.order = make([]float32, vocab), make([]int32, 0, vocab)
	}
	return p
}

// NewSeed draws a seed of 53 bits: a JSON reader that holds numbers as doubles can send it back.
func NewSeed() uint64 { return rand.Uint64() >> 11 }

// choose returns a token for a position and its confidence: its probability in the unscaled softmax of everything but the mask, so that a
// threshold means the same at every temperature. step is the number of the pass in its block. ok is false where the logits are not a
// distribution: NaN, +inf, or all -inf.
func (s *sampler) choose(logits []float32, position, step int) (id int32, confidence float32, ok bool) {
	best, p, ok := kernel.ArgMaxConfidence(logits, s.mask)
	if !ok || s.temperature == 0 {
		return int32(best), p, ok
	}
	mass := s.weigh(logits, logits[best])
	last := s.cut(logits, mass)
	id = s.draw(logits, last, s.uniform(position, step))
	return id, kernel.Exp(logits[id]-logits[best]) * p, true // p is exp(0)/sum
}

// weigh fills in the weights of all tokens and returns their sum.
func (s *sampler) weigh(logits []float32, highest float32) (mass float64) {
	for id, x := range logits {
		w := kernel.Exp((x - highest) / s.temperature)
		if id == s.mask {
			w = 0
		}
		s.weights[id] = w
		mass += float64(w)
	}
	return mass
}

// cut returns the last token, in the order of ahead, that top-k and top-p keep; -1 if they keep all.
func (s *sampler) cut(logits []float32, mass float64) int32 {
	if s.topK == 0 && s.topP == 1 {
		return -1
	}
	s.order = s.order[:0]
	for id, w := range s.weights {
		if w > 0 {
			s.order = append(s.order, int32(id))
		}
	}
	h := heap{logits, s.order}
	h.build()
	wanted, reached := float64(s.topP)*mass, 0.0
	for kept := 1; ; kept++ {
		id := h.pop()
		reached += float64(s.weights[id])
		if kept == s.topK || s.topP < 1 && reached >= wanted || len(h.ids) == 0 {
			return id
		}
	}
}

// draw samples among the tokens not behind last, u being uniform in [0, 1).
func (s *sampler) draw(logits []float32, last int32, u float64) int32 {
	kept := 0.0
	for id, w := range s.weights {
		if w < s.minP || last >= 0 && ahead(logits, last, int32(id)) {
			s.weights[id] = 0
			continue
		}
		kept += float64(w)
	}
	goal, sum, id := u*kept, 0.0, 0
	for i, w := range s.weights {
		if w == 0 {
			continue
		}
		id = i // of the last one, should rounding carry goal up to the whole
		if sum += float64(w); sum > goal {
			break
		}
	}
	return int32(id)
}

// uniform draws a number in [0, 1) from the request, the position and the pass, and from nothing else: neither threads nor neighbours change it.
func (s *sampler) uniform(position, step int) float64 {
	var key [32]byte
	for i, v := range [4]uint64{s.seed, uint64(s.choice), uint64(position), uint64(step)} {
		binary.LittleEndian.PutUint64(key[8*i:], v)
	}
	s.random.Seed(key)
	return float64(s.random.Uint64()>>11) / (1 << 53)
}

// ahead is the order of tokens: the higher logit first, ties to the lower id.
func ahead(logits []float32, a, b int32) bool {
	return logits[a] > logits[b] || logits[a] == logits[b] && a < b
}

// heap yields ids in the order of ahead. It sorts no more of a large vocabulary than is popped.
type heap struct {
	logits []float32
	ids    []int32
}

func (h *heap) build() {
	for i := len(h.ids)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

func (h *heap) pop() int32 {
	top, last := h.ids[0], len(h.ids)-1
	h.ids[0] = h.ids[last]
	h.ids = h.ids[:last]
	h.sink(0)
	return top
}

func (h *heap) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.ids) {
			return
		}
		if child+1 < len(h.ids) && ahead(h.logits, h.ids[child+1], h.ids[child]) {
			child++
		}
		if !ahead(h.logits, h.ids[child], h.ids[i]) {
			return
		}
		h.ids[i], h.ids[child] = h.ids[child], h.ids[i]
		i = child
	}
}
