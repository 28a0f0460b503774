package diffusion

import (
	"fmt"
	"math"
	"slices"
)

// Logprob is a token and the natural logarithm of its probability.
type Logprob struct {
	ID      int32   `json:"id"`
	Logprob float64 `json:"logprob"`
}

// TokenLogprob is a token of an answer as it was when it was taken: its probability is its confidence.
type TokenLogprob struct {
	Logprob
	Top []Logprob `json:"top,omitempty"` // the most likely tokens of its position then, in the order of likelihood
}

const (
	maxTopLogprobs = 20    // OpenAI's
	minLogprob     = -9999 // stands for a probability that underflowed; OpenAI's too
)

func logprob(confidence float32) float64 { return max(math.Log(float64(confidence)), minLogprob) }

// top returns the n most likely tokens of a row, in the order of the sampler, given one token of it and that one's confidence.
func (s *sampler) top(logits []float32, n int, id int32, confidence float32) []Logprob {
	base := logprob(confidence) - float64(logits[id])
	best := make([]int32, 0, n+1)
	for i := range int32(len(logits)) {
		if int(i) == s.mask || len(best) == n && !ahead(logits, i, best[n-1]) {
			continue
		}
		at := len(best)
		for at > 0 && ahead(logits, i, best[at-1]) {
			at--
		}
		best = slices.Insert(best, at, i)[:min(len(best)+1, n)]
	}
	all := make([]Logprob, len(best))
	for i, id := range best {
		all[i] = Logprob{id, min(max(base+float64(logits[id]), minLogprob), 0)}
	}
	return all
}

func (o *Options) checkLogprobs() error {
	if o.TopLogprobs < 0 || o.TopLogprobs > maxTopLogprobs {
		return &OptionError{"top_logprobs", fmt.Sprintf("is %d; wanted 0 to %d", o.TopLogprobs, maxTopLogprobs)}
	}
	return nil
}
