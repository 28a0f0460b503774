package diffusion

import (
	"fmt"
	"maps"
	"slices"
)

// adjustments change a row of logits before anything looks at it, so that confidence, sampling and thresholds all see what they make of it. Of
// a token that stands n > 0 times in the prompt and the settled answer:
//
//	x > 0 ? x/repetition : x*repetition     arXiv:1909.05858
//	x - presence - n*frequency              as OpenAI has it
//
// and of every token that has one, x + bias. Tokens that are taken but have a mask before them do not count yet.
type adjustments struct {
	repetition, presence, frequency float32
	bias                            map[int32]float32
	counts                          map[int32]int
	counted                         int // positions that are in counts
}

const (
	maxPenalty    = 2 // OpenAI's, either way
	maxRepetition = 10
	maxBias       = 100 // OpenAI's, either way
)

// newAdjustments returns nil where there is nothing to adjust.
func newAdjustments(o *Options) *adjustments {
	a := &adjustments{o.RepetitionPenalty, o.PresencePenalty, o.FrequencyPenalty, o.LogitBias, map[int32]int{}, 0}
	if a.repetition == 0 {
		a.repetition = 1
	}
	if a.repetition == 1 && a.presence == 0 && a.frequency == 0 && len(a.bias) == 0 {
		return nil
	}
	return a
}

// count takes in the ids of settled positions that it has not seen.
func (a *adjustments) count(settled []int32) {
	for _, id := range settled[a.counted:] {
		a.counts[id]++
	}
	a.counted = len(settled)
}

func (a *adjustments) apply(logits []float32) {
	for id, n := range a.counts {
		x := logits[id]
		if x > 0 {
			x /= a.repetition
		} else {
			x *= a.repetition
		}
		logits[id] = x - (a.presence + float32(float32(n)*a.frequency))
	}
	for id, bias := range a.bias {
		logits[id] += bias
	}
}

// checkAdjustments returns every setting out of its range.
func (o *Options) checkAdjustments(vocab int) (all []error) {
	within := func(option string, value, low, high float32) {
		if !(value >= low && value <= high) {
			all = append(all, &OptionError{option, fmt.Sprintf("is %v; wanted %v to %v", value, low, high)})
		}
	}
	within("repetition_penalty", o.RepetitionPenalty, 0, maxRepetition)
	within("presence_penalty", o.PresencePenalty, -maxPenalty, maxPenalty)
	within("frequency_penalty", o.FrequencyPenalty, -maxPenalty, maxPenalty)
	for _, id := range slices.Sorted(maps.Keys(o.LogitBias)) {
		within("logit_bias", o.LogitBias[id], -maxBias, maxBias)
		if id < 0 || int(id) >= vocab {
			all = append(all, &OptionError{"logit_bias", fmt.Sprintf("names token %d; the vocabulary has ids 0 to %d", id, vocab-1)})
		}
	}
	return all
}
