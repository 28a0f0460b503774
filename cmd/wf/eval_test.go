package main

import (
	"testing"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// tally is the outcome of asking questions.
type tally struct {
	right, asked  map[string]int // by split
	tokens, steps int            // new tokens; passes that took them
}

func (a *tally) share(split string) float64 { return float64(a.right[split]) / float64(a.asked[split]) }

// ask puts each question through the chat template and counts exact answers. A question may cost 96 new tokens, as in the reference's scores.
func ask(t *testing.T, m *infer.Model, questions []question, o diffusion.Options) *tally {
	t.Helper()
	tok := loadTokenizer(t, m)
	a := &tally{right: map[string]int{}, asked: map[string]int{}}
	for _, q := range questions {
		o.MaxTokens, o.Stop, o.Text = 96, tok.Stop(), tok.NewStream()
		prompt, err := tok.Chat([]tokenizer.Message{{Role: "user", Content: q.Question}}, true)
		if err != nil {
			t.Fatal(err)
		}
		r, err := diffusion.Generate(t.Context(), m, prompt, o)
		if err != nil {
			t.Fatal(err)
		}
		a.asked[q.Split]++
		if r.Text == q.Answer {
			a.right[q.Split]++
		}
		a.tokens += r.Stats.NewTokens
		a.steps += r.Stats.DenoiseSteps() + r.Stats.Passes[diffusion.Decode]
	}
	return a
}
