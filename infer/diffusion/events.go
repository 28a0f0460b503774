package diffusion

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
)

// Take is one position filled in.
type Take struct {
	Position   int // absolute: the prompt's first token is 0
	ID         int32
	Confidence float32 // the probability of ID at the position, 0..1

	top *[]Logprob // with Options.TopLogprobs
}

// Event is one pass, next token or fill. As JSON it has the fields of one line of a trace:
//
//	{"event":"denoise","block":32,"sub":8,"take":[[41,304,0.999989],[42,314,0.999966]]}  a denoise step; wrinklefree has no "sub"
//	{"event":"next","pos":32,"token":304}                                                the token chosen after a prefill, commit or single row
//	{"event":"fill","block":45,"take":[[47,304,0.41]]}                                   the best guesses, once max_iterations are used up
type Event struct {
	Event string // denoise, next, fill
	Block int    // first position of the block; of next, the token's position
	Sub   int    // offset of the sub-block in its block, 0 in greedy mode; NoSub where the dialect has none
	Pass  int    // denoise steps that the block has had, this one included; 0 for next. Not part of the JSON
	Take  []Take // ascending by position, also past a stop token or the limit
}

// NoSub is the sub-block offset of an event that belongs to no sub-block.
const NoSub = -1

const (
	eventDenoise = "denoise"
	eventNext    = "next"
	eventFill    = "fill"
)

// wireEvent orders the fields of a trace line; an absent one is nil.
type wireEvent struct {
	Event    string `json:"event"`
	Block    *int   `json:"block,omitempty"`
	Sub      *int   `json:"sub,omitempty"`
	Take     []Take `json:"take,omitempty"`
	Position *int   `json:"pos,omitempty"`
	Token    *int32 `json:"token,omitempty"`
}

// MarshalJSON writes a trace line.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Event == eventNext {
		return json.Marshal(wireEvent{Event: e.Event, Position: &e.Take[0].Position, Token: &e.Take[0].ID})
	}
	w := wireEvent{Event: e.Event, Block: &e.Block, Take: e.Take}
	if e.Sub != NoSub {
		w.Sub = &e.Sub
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads a trace line. Pass, and the confidence of a next token, are not in it.
func (e *Event) UnmarshalJSON(line []byte) error {
	var w wireEvent
	if err := json.Unmarshal(line, &w); err != nil {
		return err
	}
	*e = Event{Event: w.Event, Sub: NoSub, Take: w.Take}
	switch {
	case w.Event == eventNext && w.Position != nil && w.Token != nil:
		e.Block, e.Take = *w.Position, []Take{{Position: *w.Position, ID: *w.Token}}
	case (w.Event == eventDenoise || w.Event == eventFill) && w.Block != nil && len(w.Take) > 0:
		e.Block = *w.Block
		if w.Sub != nil {
			e.Sub = *w.Sub
		}
	default:
		return errors.New("trace event lacks a field: denoise and fill have block and take, next has pos and token")
	}
	if e.Block < 0 || slices.ContainsFunc(e.Take, func(t Take) bool { return t.Position < e.Block || t.ID < 0 }) {
		return errors.New("trace event has a negative number, or a position before its block")
	}
	return nil
}

// MarshalJSON writes [position, id, confidence], the confidence to six places.
func (t Take) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]any{t.Position, t.ID, math.Round(float64(t.Confidence)*1e6) / 1e6})
}

// UnmarshalJSON reads [position, id, confidence].
func (t *Take) UnmarshalJSON(text []byte) error {
	fields := []any{&t.Position, &t.ID, &t.Confidence}
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	if len(fields) != 3 {
		return errors.New("a take of a trace event is [position, id, confidence]")
	}
	return nil
}
