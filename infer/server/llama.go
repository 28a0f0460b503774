package server

import (
	"math"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/infer/engine"
)

// llamaComplete is POST /completion of llama.cpp's server.
func (s *Server) llamaComplete(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	q := m.newRequest()
	var p prompt
	predict, probs := 0, 0
	b, err := s.read(x, members{
		"prompt":              func(b *body) error { return b.prompt(&p, m.Config.Vocab) },
		"n_predict":           func(b *body) error { return b.integer(&predict, -1, maxCompletion) },
		"max_tokens":          func(b *body) error { return b.integer(&predict, -1, maxCompletion) },
		"repeat_penalty":      func(b *body) error { return b.number(&q.options.RepetitionPenalty, 0.01, 10) },
		"n_probs":             func(b *body) error { return b.integer(&probs, 0, maxTop) },
		"grammar":             refuse(),
		"json_schema":         refuse(),
		"image_data":          refuse(),
		"samplers":            func(b *body) error { return b.ignore("samplers") },
		"cache_prompt":        func(b *body) error { return b.boolean(new(bool)) }, // the engine always does
		"n_cmpl":              func(b *body) error { return b.integer(new(int), 1, 1) },
		"ignore_eos":          refuse(),
		"mirostat":            func(b *body) error { return b.integer(new(int), 0, 0) },
		"typical_p":           func(b *body) error { return b.number(new(float32), 1, 1) },
		"dry_multiplier":      func(b *body) error { return b.number(new(float32), 0, 0) },
		"xtc_probability":     func(b *body) error { return b.number(new(float32), 0, 0) },
		"dynatemp_range":      func(b *body) error { return b.number(new(float32), 0, 0) },
		"post_sampling_probs": refuse(),
	}, q.sampling(m))
	if err != nil {
		return err
	}
	if err := q.named(x, m); err != nil {
		return err
	}
	q.toEnd, q.maxTokens = predict < 0, max(predict, 0)
	q.options.Logprobs, q.options.TopLogprobs = probs > 0, probs
	q.unused = b.unused
	if err := q.take(p, m); err != nil {
		return err
	}
	return s.answer(x, m, q, llamaForm{})
}

// llamaForm is what llama.cpp's clients read: a final object, and before it, in a stream, parts of the same kind.
type llamaForm struct{}

type llamaReply struct {
	Index           int            `json:"index"`
	Content         string         `json:"content"`
	Tokens          []int32        `json:"tokens"`
	Stop            bool           `json:"stop"`
	Model           string         `json:"model"`
	TokensPredicted int            `json:"tokens_predicted"`
	TokensEvaluated int            `json:"tokens_evaluated"`
	TokensCached    int            `json:"tokens_cached"`
	StopType        string         `json:"stop_type,omitempty"` // eos, word, limit
	StoppingWord    string         `json:"stopping_word"`
	Truncated       bool           `json:"truncated"`
	Probabilities   []tokenLogprob `json:"completion_probabilities,omitempty"`
	Timings         *llamaTimings  `json:"timings,omitempty"`
	Report          *report        `json:"wf,omitempty"`
}

type llamaTimings struct {
	PromptN            int     `json:"prompt_n"`
	PredictedN         int     `json:"predicted_n"`
	PredictedMS        float64 `json:"predicted_ms"`
	PredictedPerSecond float64 `json:"predicted_per_second"`
}

// final is the object that ends an answer; text and probabilities are of the whole answer, or of its last part.
func (a *answer) final(text string, probabilities []tokenLogprob) llamaReply {
	r := a.results[0]
	reply := llamaReply{
		Content: text, Tokens: []int32{}, Stop: true, Model: a.model.Name, TokensPredicted: r.Stats.NewTokens, TokensEvaluated: r.Stats.PromptTokens,
		TokensCached: r.Stats.PrefixTokens, StopType: "limit", Probabilities: probabilities, Report: a.report(),
	}
	seconds := 0.0
	for _, t := range r.Stats.Seconds {
		seconds += t
	}
	reply.Timings = &llamaTimings{r.Stats.PromptTokens - r.Stats.PrefixTokens, r.Stats.NewTokens, seconds * 1000, r.Stats.TokensPerSecond()}
	if r.FinishReason == "stop" {
		last := len(r.IDs) - 1
		switch {
		case last >= 0 && slices.Contains(a.options.Stop, r.IDs[last]):
			reply.StopType = "eos"
		case !a.infill: // what was given to infill ends where it ends
			reply.StopType, reply.StoppingWord = "word", a.stoppingWord(r.IDs, r.Text)
		}
	}
	return reply
}

// stoppingWord finds which stop string ended the text: the first that follows what is shown of it.
func (a *answer) stoppingWord(ids []int32, shown string) string {
	rest := strings.TrimPrefix(a.model.Tokenizer.Decode(ids, false), shown)
	for _, word := range a.options.StopStrings {
		if strings.HasPrefix(rest, word) {
			return word
		}
	}
	return ""
}

func (llamaForm) whole(a *answer) any {
	r := a.results[0]
	reply := a.final(r.Text, a.tokenLogprobs(r.Logprobs))
	reply.Tokens = r.IDs
	return reply
}

func (llamaForm) begin(*answer) []any { return nil }

func (llamaForm) event(a *answer, e engine.Event) []any {
	probabilities := a.tokenLogprobs(e.Logprobs)
	if e.Result != nil {
		return []any{a.final(e.Text, probabilities)}
	}
	if e.Text == "" && len(probabilities) == 0 {
		return nil
	}
	return []any{llamaReply{Content: e.Text, Tokens: e.Tokens, Model: a.model.Name, TokensEvaluated: a.options.PromptTokens(a.prompt), Probabilities: probabilities}}
}

func (llamaForm) end(*answer) []any { return nil }
func (llamaForm) done() string      { return "" }

// maxText is as much as a body can hold.
const maxText = math.MaxInt
