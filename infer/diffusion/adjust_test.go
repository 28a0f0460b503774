package diffusion

import (
	"math"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
)

func TestAdjustments(t *testing.T) {
	if newAdjustments(&Options{RepetitionPenalty: 1}) != nil {
		t.Error("nothing to adjust costs something")
	}
	a := newAdjustments(&Options{RepetitionPenalty: 2, PresencePenalty: 0.5, FrequencyPenalty: 0.25, LogitBias: map[int32]float32{3: -100, 1: 1}})
	a.count([]int32{1, 2})
	a.count([]int32{1, 2, 1}) // what was counted is not counted again
	logits := []float32{4, 4, -4, 4}
	a.apply(logits)
	for id, want := range []float32{4, 4/2 - 0.5 - 2*0.25 + 1, -4*2 - 0.5 - 0.25, 4 - 100} {
		if logits[id] != want {
			t.Errorf("logit %d is %v, want %v", id, logits[id], want)
		}
	}
	c := &infer.Config{Vocab: 4, Context: 16}
	nan := float32(math.NaN())
	for option, o := range map[string]Options{
		"repetition_penalty": {RepetitionPenalty: 11}, "presence_penalty": {PresencePenalty: nan}, "frequency_penalty": {FrequencyPenalty: -3},
		"logit_bias": {LogitBias: map[int32]float32{4: 0}}, "logit_bias ": {LogitBias: map[int32]float32{1: nan}}, "top_logprobs": {TopLogprobs: 21},
	} {
		if err := o.Validate(c); fault.Code(err) != "BAD_OPTION" {
			t.Errorf("%s: %v", option, err)
		}
	}
}

func TestTopLogprobs(t *testing.T) {
	s := &sampler{mask: 2}
	logits := []float32{1, 3, 9, 3, 2}
	sum := math.Exp(1) + 2*math.Exp(3) + math.Exp(2)
	top := s.top(logits, 3, 1, float32(math.Exp(3)/sum))
	for i, id := range []int32{1, 3, 4} { // not the mask; ties to the lower id
		if want := float64(logits[id]) - math.Log(sum); top[i].ID != id || !(math.Abs(top[i].Logprob-want) < 1e-6) {
			t.Errorf("%d: %+v, want id %d and %v", i, top[i], id, want)
		}
	}
	if got := logprob(0); got != minLogprob {
		t.Errorf("a probability of 0 has %v", got)
	}
	if all := s.top(logits, 20, 1, 0.4); len(all) != 4 {
		t.Errorf("%d alternatives of 4", len(all))
	}
}
