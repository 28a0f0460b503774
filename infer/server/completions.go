package server

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// prompt is text, or ids.
type prompt struct {
	text string
	ids  []int32
}

// prompt reads a text, a list of ids, or a list of one of these.
func (b *body) prompt(to *prompt, vocab int) error {
	t, err := b.Next()
	if err != nil || t == nil {
		return err
	}
	switch v := t.(type) {
	case string:
		to.text = v
		return nil
	case json.Delim:
		if !isArray(t) {
			break
		}
		n := 0
		return b.elements(math.MaxInt, func() error {
			t, err := b.Next()
			if err != nil {
				return err
			}
			n++
			if digits, ok := t.(json.Number); ok && (n == 1 || len(to.ids) == n-1) {
				id, err := tokenID(b, digits, vocab)
				to.ids = append(to.ids, id)
				return err
			}
			switch text, ok := t.(string); {
			case n > 1:
				return b.wrong("is a second prompt; this server takes one at a time")
			case ok:
				to.text = text
				return nil
			case isArray(t):
				return b.elements(math.MaxInt, func() error {
					digits, err := b.digits()
					if err != nil {
						return err
					}
					id, err := tokenID(b, json.Number(digits), vocab)
					to.ids = append(to.ids, id)
					return err
				})
			}
			return b.wrong("is neither text nor a token id")
		})
	}
	return b.wrong("is neither text nor a list of token ids")
}

func tokenID(b *body, digits json.Number, vocab int) (int32, error) {
	id, err := strconv.Atoi(digits.String())
	if err != nil || id < 0 || id >= vocab {
		return 0, b.wrong("is %s; wanted a token id from 0 to %d", fault.Quote(digits.String()), vocab-1)
	}
	return int32(id), nil
}

// take makes a raw prompt the request's: control tokens in its text are recognised, the mask token is not.
func (q *request) take(p prompt, m *Model) error {
	e := tokenizer.EncodeOptions{Special: true, AddBOS: true}
	switch {
	case q.infill && p.ids != nil:
		return invalid("prompt", "prompt is a list of token ids, which has no holes; wanted text")
	case q.infill:
		return q.holes(m, "prompt", nil, p.text, e)
	case p.ids != nil:
		q.prompt = p.ids
	default:
		q.prompt = m.Tokenizer.Encode(p.text, e)
	}
	return nil
}

// complete is POST /v1/completions.
func (s *Server) complete(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	q := m.newRequest()
	var p prompt
	top := -1
	b, err := s.read(x, members{
		"prompt":   func(b *body) error { return b.prompt(&p, m.Config.Vocab) },
		"logprobs": func(b *body) error { return b.integer(&top, 0, maxTop) },
		"best_of":  func(b *body) error { return b.integer(new(int), 1, 1) },
		"echo":     refuse(),
		"suffix":   refuse(),
	}, q.openai(), q.sampling(m))
	if err != nil {
		return err
	}
	if err := q.named(x, m); err != nil {
		return err
	}
	q.options.Logprobs, q.options.TopLogprobs = top >= 0, max(top, 0)
	q.unused = b.unused
	if err := q.take(p, m); err != nil {
		return err
	}
	return s.answer(x, m, q, &textForm{offsets: make([]int, q.choices)})
}

// textForm is OpenAI's text_completion, whole and in parts alike.
type textForm struct {
	offsets []int // of the next token in each choice's text
}

type textReply struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"`
	Model       string       `json:"model"`
	Fingerprint string       `json:"system_fingerprint"`
	Choices     []textChoice `json:"choices"`
	Usage       *usage       `json:"usage,omitempty"`
	Report      *report      `json:"wf,omitempty"`
}

type textChoice struct {
	Index        int           `json:"index"`
	Text         string        `json:"text"`
	Logprobs     *textLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type textLogprobs struct {
	Tokens   []string             `json:"tokens"`
	Logprobs []float64            `json:"token_logprobs"`
	Top      []map[string]float64 `json:"top_logprobs"`
	Offsets  []int                `json:"text_offset"`
}

func (a *answer) text(choices ...textChoice) textReply {
	if choices == nil {
		choices = []textChoice{}
	}
	return textReply{ID: "cmpl-" + a.id, Object: "text_completion", Created: a.created, Model: a.model.Name, Fingerprint: a.model.Fingerprint, Choices: choices}
}

func (f *textForm) logprobs(a *answer, choice int, all []diffusion.TokenLogprob) *textLogprobs {
	shown := a.tokenLogprobs(all)
	if len(shown) == 0 {
		return nil
	}
	l := &textLogprobs{}
	for _, t := range shown {
		top := map[string]float64{}
		for _, alternative := range t.Top {
			top[alternative.Token] = alternative.Logprob
		}
		l.Tokens, l.Logprobs = append(l.Tokens, t.Token), append(l.Logprobs, t.Logprob)
		l.Top, l.Offsets = append(l.Top, top), append(l.Offsets, f.offsets[choice])
		f.offsets[choice] += len(t.Token)
	}
	return l
}

func (f *textForm) whole(a *answer) any {
	r := a.text()
	for i, result := range a.results {
		r.Choices = append(r.Choices, textChoice{i, result.Text, f.logprobs(a, i, result.Logprobs), &result.FinishReason})
	}
	r.Usage, r.Report = a.usage(), a.report()
	return r
}

func (f *textForm) begin(*answer) []any { return nil }

func (f *textForm) event(a *answer, e engine.Event) []any {
	choice := textChoice{Index: e.Choice, Text: e.Text, Logprobs: f.logprobs(a, e.Choice, e.Logprobs)}
	if e.Result != nil {
		choice.FinishReason = &e.Result.FinishReason
	} else if choice.Text == "" && choice.Logprobs == nil {
		return nil
	}
	chunk := a.text(choice)
	if e.Result != nil && !a.request.usage && a.complete() {
		chunk.Report = a.report()
	}
	return []any{chunk}
}

func (f *textForm) end(a *answer) []any {
	if !a.request.usage {
		return nil
	}
	last := a.text()
	last.Usage, last.Report = a.usage(), a.report()
	return []any{last}
}

func (f *textForm) done() string { return "[DONE]" }
