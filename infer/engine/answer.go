package engine

import (
	"slices"
	"time"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// answer is one choice of a request that runs. It belongs to the loop.
type answer struct {
	*request
	choice     int
	decoder    *diffusion.Decoder // nil while another answer computes the prefix that this one is to begin with
	prefix     *node              // where its prefix lies in the tree; nil for none
	prefilling bool
	failed     bool  // what its cache holds cannot be trusted
	done       bool  // it has its result
	event      Event // what the pass brings
}

// rows is how many rows its next pass has; none while it cannot run.
func (a *answer) rows() int {
	if a.decoder == nil || a.failed {
		return 0
	}
	return len(a.decoder.Next().IDs)
}

func (a *answer) mask(c *infer.Config) infer.Mask { return a.Options.Mask(c) }

// begin makes the decoder. It may call into the request's Text.
func (a *answer) begin(m diffusion.Model, prefix []*infer.Page) (err error) {
	o := a.Options
	o.Choice, o.Prefix = a.choice, prefix
	if o.Text = nil; a.Text != nil {
		o.Text = a.Text()
	}
	o.OnTokens = func(ids []int32) { a.event.Tokens = append(a.event.Tokens, ids...) }
	o.OnText = func(text string) { a.event.Text += text }
	if a.Steps {
		o.OnEvent = func(e diffusion.Event) {
			e.Take = slices.Clone(e.Take)
			a.event.Steps = append(a.event.Steps, e)
		}
	}
	a.decoder, err = diffusion.NewDecoder(m, a.Prompt, o)
	return err
}

// accept takes the logits of the pass and plans the next one. It calls into the request's Text.
func (a *answer) accept(took time.Duration) error {
	a.event = Event{Choice: a.choice}
	if err := a.decoder.Accept(); err != nil {
		return err
	}
	a.decoder.Took(took)
	a.event.Logprobs = a.decoder.LastLogprobs(len(a.event.Tokens))
	if a.decoder.Next() == nil {
		a.event.Result = a.decoder.Result()
	}
	return nil
}
