package server

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
)

// answer is a request that the engine has taken.
type answer struct {
	*request
	id      string
	model   *Model
	created int64
	from    *engine.Stream
	results []*diffusion.Result // by choice, as far as they are complete
}

// form is how one route writes answers.
type form interface {
	whole(a *answer) any                   // the complete reply
	begin(a *answer) []any                 // parts of the stream before the first event
	event(a *answer, e engine.Event) []any // what an event adds
	end(a *answer) []any                   // what follows the last
	done() string                          // the data that ends the stream; "" for none
}

// answer runs a request and writes what comes of it.
func (s *Server) answer(x *exchange, m *Model, q *request, f form) error {
	o := &q.options
	if o.MaxTokens = q.maxTokens; o.MaxTokens == 0 && q.toEnd && !q.infill {
		o.MaxTokens = max(m.Engine.Context-len(q.prompt), 1)
	}
	if o.MaxTokens == 0 && !q.infill {
		o.MaxTokens = m.Defaults.MaxTokens
		if room := m.Engine.Context - len(q.prompt); room > 0 && o.MaxTokens > room {
			o.MaxTokens = room
		}
	}
	q.unused = append(q.unused, prefixed("diffusion.", o.Unused(m.Config))...)
	stream, err := m.Engine.Submit(x.Context(), engine.Request{
		ID: x.id, Prompt: q.prompt, Choices: q.choices, Steps: q.steps && q.stream, Options: *o,
		Text: func() diffusion.TextStream { return m.Tokenizer.NewStream() },
	})
	if err != nil {
		return err
	}
	a := &answer{q, x.id, m, time.Now().Unix(), stream, make([]*diffusion.Result, q.choices)}
	if q.stream {
		return s.stream(x, a, f)
	}
	if a.results, err = stream.Collect(); err != nil {
		return err
	}
	for _, r := range a.results {
		x.tokens += r.Stats.NewTokens
	}
	return s.reply(x, f.whole(a))
}

func prefixed(prefix string, names []string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

// reply writes a JSON object.
func (s *Server) reply(x *exchange, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.allow(x)
	x.Header().Set("Content-Type", "application/json")
	_, err = x.Write(append(text, '\n'))
	return clientGone(err)
}

// usage counts tokens as OpenAI does. A prompt is counted once, however many choices were made of it.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	Details          struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func (a *answer) usage() *usage {
	u := &usage{PromptTokens: a.options.PromptTokens(a.prompt)}
	for i, r := range a.results {
		u.CompletionTokens += r.Stats.NewTokens
		if i == 0 {
			u.Details.CachedTokens = r.Stats.PrefixTokens
		}
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// complete reports whether every choice has its result.
func (a *answer) complete() bool { return !slices.Contains(a.results, nil) }

// report is the member "wf" of a reply: what OpenAI's has no place for.
type report struct {
	Seed         uint64             `json:"seed"`
	UnusedFields []string           `json:"unused_fields"`   // members of the request without effect
	Stats        []diffusion.Stats  `json:"stats"`           // of each choice
	Holes        [][]diffusion.Hole `json:"holes,omitempty"` // of each choice, with diffusion.infill
}

func (a *answer) report() *report {
	r := &report{Seed: a.from.Seed, UnusedFields: a.unused}
	if r.UnusedFields == nil {
		r.UnusedFields = []string{}
	}
	for _, result := range a.results {
		r.Stats = append(r.Stats, result.Stats)
		if a.infill {
			r.Holes = append(r.Holes, result.Holes)
		}
	}
	return r
}
