package diffusion

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
)

// Infilling, in dialect fast-dllm-v2: masks stand between tokens that are given, and a pass sees all of a block.
//
//	prompt            | infill
//	The capital of    | M is Paris.  M M M M M M M M    a block of 16: what is behind the text is masked too, as behind the limit of an answer
//
// The rules of DECODING.md hold. A hole's masks are positions like any other: they are filled in sub-block by sub-block, by confidence; a block
// without masks is committed as it is; a block's first position is chosen from the last row of the block before it, and so without a view of what
// is to its right. Nothing beyond a mask's own block is in its view either. What is filled in between given tokens is never a stop token.
// The last hole, if nothing follows it, is an answer of at most so many tokens, and ends where it ends.

// Masked is where Options.Infill has no token.
const Masked int32 = -1

// Hole is a run of masked positions between given tokens, and what they were filled with.
type Hole struct {
	Position    int       `json:"position"` // of the first, absolute
	IDs         []int32   `json:"ids"`      // as far as they are settled
	Text        string    `json:"text"`     // of IDs; "" without Options.Text
	Confidences []float32 `json:"confidences"`

	// What was given to its right, in tokens: in view of its first mask, and out of its view in other blocks. The first mask sees least.
	Seen   int `json:"right_seen"`
	Unseen int `json:"right_unseen"`

	end int // behind its last position
}

// PromptTokens is how many tokens were given, in a prompt and between what is to be filled in.
func (o Options) PromptTokens(prompt []int32) int {
	return len(prompt) + len(o.Infill) - masks(o.Infill)
}

// masks counts the positions to fill in.
func masks(infill []int32) (n int) {
	for _, id := range infill {
		if id == Masked {
			n++
		}
	}
	return n
}

// infillable returns INFILL_UNSUPPORTED for a model that cannot fill in between given tokens.
func (s *settings) infillable(c *infer.Config) error {
	switch {
	case s.Infill == nil || c.Diffusion != nil && c.Diffusion.Dialect == names.DialectFastDLLM:
		return nil
	case c.Diffusion == nil:
		return fault.New("INFILL_UNSUPPORTED", "this model names no mask token: it writes from left to right and cannot fill in holes; "+
			"a block-diffusion model of dialect fast-dllm-v2 can")
	}
	return fault.New("INFILL_UNSUPPORTED", "dialect %s is causal: a mask sees nothing to its right, so what fills a hole could not fit what follows it; "+
		"dialect fast-dllm-v2 can", fault.Quote(c.Diffusion.Dialect))
}

func (s *settings) checkInfill() (all []error) {
	if s.Infill == nil {
		return nil
	}
	bad := func(option, format string, args ...any) {
		all = append(all, &OptionError{option, fmt.Sprintf(format, args...)})
	}
	n := masks(s.Infill)
	if len(s.Infill) == 0 || s.Infill[0] != Masked {
		bad("infill", "must begin with a position to fill in")
	}
	if s.MaxTokens > 0 && n > s.MaxTokens {
		bad("max_tokens", "is %d; the holes have %d positions", s.MaxTokens, n)
	}
	if len(s.StopStrings) > 0 {
		bad("stop", "strings mean nothing in infilling: the text ends where it was given to end")
	}
	if s.Logprobs {
		bad("logprobs", "are of an answer; in infilling each hole has its confidences")
	}
	return all
}

// fits returns CONTEXT_LENGTH_EXCEEDED if so many positions are more than the context.
func fits(positions, context int) error {
	if positions > context {
		return fault.New("CONTEXT_LENGTH_EXCEEDED", "text and holes have %d positions, more than the context of %d; shorten them or raise --ctx-size",
			positions, context)
	}
	return nil
}

// layOut finds the holes, and what each has in view.
func (d *Decoder) layOut() {
	d.limit, d.sure = d.n0+len(d.Infill), make([]float32, len(d.Infill))
	for i, id := range d.Infill {
		at := d.n0 + i
		if id != Masked {
			d.given = at + 1
			continue
		}
		if n := len(d.holes); n == 0 || d.holes[n-1].end < at {
			d.holes = append(d.holes, Hole{Position: at, IDs: []int32{}, Confidences: []float32{}})
		}
		d.holes[len(d.holes)-1].end = at + 1
	}
	for i := range d.holes {
		h := &d.holes[i]
		view := (h.Position + d.BlockSize - 1) / d.BlockSize * d.BlockSize // to where the block of the row that predicts its first mask ends
		for at := h.end; at < d.given; at++ {
			switch {
			case d.Infill[at-d.n0] == Masked:
			case at < view:
				h.Seen++
			default:
				h.Unseen++
			}
		}
	}
}

// tellUnseen warns of what the holes do not have in view.
func (d *Decoder) tellUnseen() {
	first := slices.IndexFunc(d.holes, func(h Hole) bool { return h.Unseen > 0 })
	if first < 0 {
		return
	}
	h := d.holes[first]
	d.Warn(fmt.Sprintf("hole %d, at position %d, sees %d of the %d tokens to its right: the others lie in later blocks of %d positions",
		first+1, h.Position, h.Seen, h.Seen+h.Unseen, d.BlockSize))
}

// hole returns the hole that a position is in; nil for none.
func (d *Decoder) hole(at int) *Hole {
	i, _ := slices.BinarySearchFunc(d.holes, at, func(h Hole, at int) int { return cmp.Compare(h.end, at+1) })
	if i == len(d.holes) || d.holes[i].Position > at {
		return nil
	}
	return &d.holes[i]
}

// settleHole adds a settled token, and the text that it completes, to its hole; false if it was given.
func (d *Decoder) settleHole(at int, id int32, text string) bool {
	h := d.hole(at)
	if h == nil {
		return false
	}
	h.IDs, h.Text, h.Confidences = append(h.IDs, id), h.Text+text, append(h.Confidences, d.sure[at-d.n0])
	return true
}

// forbid makes tokens impossible.
func forbid(logits []float32, ids []int32) {
	for _, id := range ids {
		if id >= 0 && int(id) < len(logits) {
			logits[id] = float32(math.Inf(-1))
		}
	}
}
