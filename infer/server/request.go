package server

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// request is what the three routes of completions have in common.
type request struct {
	model     string
	stream    bool
	usage     bool // the stream ends with a count of tokens
	steps     bool // the stream has wf.step events
	choices   int
	toEnd     bool // as many tokens as the context has room for
	maxTokens int  // max_tokens; max_completion_tokens counts first
	options   diffusion.Options
	unused    []string
	prompt    []int32
	infill    bool // the prompt has holes to fill in
}

// Bounds of what a request may ask for. Those that OpenAI has are OpenAI's.
const (
	maxName       = 1 << 20 // bytes of a model's name: longer than any, and then it is simply not found
	maxChoices    = 128
	maxStops      = 16
	maxStopBytes  = 1024
	maxBiases     = 1024
	maxTop        = 20
	maxCompletion = math.MaxInt32
)

func (m *Model) newRequest() *request {
	q := &request{choices: 1, options: m.Defaults}
	q.options.Stop = m.Tokenizer.Stop()
	return q
}

// sampling reads what all routes of completions take by the same names.
func (q *request) sampling(m *Model) members {
	o := &q.options
	return members{
		"model":              func(b *body) error { return b.text(&q.model, maxName) },
		"stream":             func(b *body) error { return b.boolean(&q.stream) },
		"temperature":        func(b *body) error { return b.number(&o.Temperature, 0, 2) },
		"top_p":              func(b *body) error { return b.probability(&o.TopP) },
		"min_p":              func(b *body) error { return b.number(&o.MinP, 0, 1) },
		"top_k":              func(b *body) error { err := b.integer(&o.TopK, -1, math.MaxInt32); o.TopK = max(o.TopK, 0); return err },
		"seed":               func(b *body) error { return b.seed(&o.Seed) },
		"stop":               func(b *body) error { return b.stops(&o.StopStrings) },
		"presence_penalty":   func(b *body) error { return b.number(&o.PresencePenalty, -2, 2) },
		"frequency_penalty":  func(b *body) error { return b.number(&o.FrequencyPenalty, -2, 2) },
		"repetition_penalty": func(b *body) error { return b.number(&o.RepetitionPenalty, 0.01, 10) },
		"logit_bias":         func(b *body) error { return b.biases(&o.LogitBias, m.Config.Vocab) },
		"diffusion":          func(b *body) error { return b.object(q.diffusion(m)) },
	}
}

// openai reads what both routes of OpenAI's take besides.
func (q *request) openai() members {
	return members{
		"n":          func(b *body) error { return b.integer(&q.choices, 1, maxChoices) },
		"max_tokens": func(b *body) error { return b.integer(&q.maxTokens, 1, maxCompletion) },
		"user":       func(b *body) error { return b.text(new(string), 4096) },
		"stream_options": func(b *body) error {
			return b.object(members{"include_usage": func(b *body) error { return b.boolean(&q.usage) }})
		},
		"response_format":      onlyText,
		"chat_template":        refuse(),
		"chat_template_kwargs": refuse(),
		"grammar":              refuse(),
		"json_schema":          refuse(),
		"guided_json":          refuse(),
		"guided_regex":         refuse(),
		"guided_choice":        refuse(),
		"guided_grammar":       refuse(),
	}
}

// diffusion reads the settings of decoding. All of them change the answer, so an unknown one is refused.
func (q *request) diffusion(m *Model) members {
	o := &q.options
	return members{
		"infill":          func(b *body) error { return b.boolean(&q.infill) },
		"decode_mode":     func(b *body) error { return b.text(&o.Mode, 64) },
		"threshold":       func(b *body) error { return b.probability(&o.Threshold) },
		"block_size":      func(b *body) error { return b.integer(&o.BlockSize, 1, m.Config.Context) },
		"sub_block_size":  func(b *body) error { return b.integer(&o.SubBlockSize, 1, m.Config.Context) },
		"sub_block_cache": func(b *body) error { return b.boolean(&o.SubBlockCache) },
		"max_iterations":  func(b *body) error { return b.integer(&o.MaxIterations, 1, m.Config.Context) },
		"stream_steps":    func(b *body) error { return b.boolean(&q.steps) },
		"":                (*body).unsupported, // any other
	}
}

// holes makes a text with holes, behind the tokens before, what the request is to fill in. param is the member that has the text.
func (q *request) holes(m *Model, param string, before []int32, text string, e tokenizer.EncodeOptions) (err error) {
	q.options.Context = m.Engine.Context
	q.prompt, err = q.options.ReadInfill(m.Config, before, text, func(parts []string) [][]int32 { return m.Tokenizer.EncodeParts(parts, e) })
	switch fault.Code(err) {
	case "BAD_INFILL":
		return invalid(param, "%v", err)
	case "CONTEXT_LENGTH_EXCEEDED":
		return badRequest("context_length_exceeded", param, "%v", err)
	}
	return err
}

// refuse reads a member that would change the answer and that this server does not support. Values that ask for nothing pass: null, false, empty
// ones, and those named.
func refuse(harmless ...string) func(*body) error {
	return func(b *body) error {
		t, err := b.Next()
		if err != nil {
			return err
		}
		switch v := t.(type) {
		case nil:
			return nil
		case bool:
			if !v {
				return nil
			}
		case string:
			if v == "" || slices.Contains(harmless, v) {
				return nil
			}
		case json.Delim:
			if !b.More() {
				_, err := b.Next()
				return err
			}
		}
		return b.unsupported()
	}
}

func (b *body) unsupported() error {
	return badRequest("unsupported_parameter", b.param, "%s is not supported by this server", fault.Quote(b.param))
}

// onlyText reads {"type": "text"}, which asks for nothing.
func onlyText(b *body) error {
	return b.object(members{"type": refuse("text"), "json_schema": refuse(), "schema": refuse(), "grammar": refuse()})
}

// seed reads a seed; below zero, as llama.cpp has it, is none.
func (b *body) seed(to **uint64) error {
	text, err := b.digits()
	if err != nil || text == "" {
		return err
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n < 0 {
		*to = nil
		return nil
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return b.wrong("is %s; wanted a whole number below 2^64", fault.Quote(text))
	}
	*to = &seed
	return nil
}

// stops reads one string or several.
func (b *body) stops(to *[]string) error {
	var all []string
	one := func(text string) error {
		if len(text) < 1 || len(text) > maxStopBytes {
			return b.wrong("is a string of %d bytes; wanted 1 to %d", len(text), maxStopBytes)
		}
		all = append(all, text)
		return nil
	}
	t, err := b.Next()
	if err != nil {
		return err
	}
	switch v := t.(type) {
	case nil:
		return nil
	case string:
		err = one(v)
	case json.Delim:
		if !isArray(v) {
			return b.wrong("is an object; wanted text or a list of texts")
		}
		err = b.elements(maxStops, func() error {
			text := ""
			if err := b.text(&text, maxStopBytes); err != nil {
				return err
			}
			return one(text)
		})
	default:
		return b.wrong("is neither text nor a list of texts")
	}
	*to = all
	return err
}

// biases reads {"token id": bias}.
func (b *body) biases(to *map[int32]float32, vocab int) error {
	outer, all := b.param, map[int32]float32{}
	defer func() { b.param = outer }()
	err := b.Object(func(key string) error {
		id, err := strconv.Atoi(key)
		if err != nil || id < 0 || id >= vocab {
			return invalid(outer, "%s has the token id %s; wanted 0 to %d", outer, fault.Quote(key), vocab-1)
		}
		if len(all) == maxBiases {
			return invalid(outer, "%s has more than %d tokens", outer, maxBiases)
		}
		bias := float32(0)
		b.param = outer + "." + strconv.Itoa(id)
		err = b.number(&bias, -100, 100)
		all[int32(id)] = bias
		return err
	})
	if len(all) > 0 {
		*to = all
	}
	return err
}

// named checks that a request is for this model.
func (q *request) named(x *exchange, m *Model) error {
	if q.model == "" || q.model == m.Name || q.model == "default" {
		return nil
	}
	x.model = otherLabel
	return &problem{status: 404, code: "model_not_found", param: "model", text: "there is no model " + fault.Quote(q.model) + " here; GET /v1/models lists it"}
}
