package server

import (
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
)

// stepVersion is the schema of wf.step events; docs/api.md writes it down. Fields may be added under the same version.
const stepVersion = 1

// stepEvent is one pass of a choice: what it filled in, in order of positions, which may lie behind masks that are still open.
type stepEvent struct {
	ID      string     `json:"id"`     // of the request, as in X-Request-Id
	Object  string     `json:"object"` // wf.step
	Version int        `json:"version"`
	Index   int        `json:"index"` // of the choice
	Event   string     `json:"event"` // denoise, next, fill
	Block   int        `json:"block"` // first position of the block
	Sub     *int       `json:"sub"`   // offset of the sub-block in it; null where there is none
	Step    int        `json:"step"`  // denoise steps that the block has had; 0 for next
	Take    []stepTake `json:"take"`
	Choices []struct{} `json:"choices"` // empty: a reader of ordinary chunks finds nothing to show
}

type stepTake struct {
	Position   int     `json:"position"` // absolute: the prompt's first token is 0
	ID         int32   `json:"id"`
	Text       string  `json:"text"`
	Confidence float32 `json:"confidence"`
}

func (a *answer) stepEvents(e engine.Event) (all []any) {
	for _, step := range e.Steps {
		v := stepEvent{
			ID: a.id, Object: "wf.step", Version: stepVersion, Index: e.Choice, Event: step.Event, Block: step.Block, Step: step.Pass,
			Take: make([]stepTake, len(step.Take)), Choices: []struct{}{},
		}
		if step.Sub != diffusion.NoSub {
			v.Sub = &step.Sub
		}
		for i, t := range step.Take {
			v.Take[i] = stepTake{t.Position, t.ID, a.model.Tokenizer.Text(t.ID), t.Confidence}
		}
		all = append(all, v)
	}
	return all
}
