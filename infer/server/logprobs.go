package server

import (
	"github.com/wrinklefree/wf/infer/diffusion"
)

// likelyToken is a token as OpenAI's chat and llama.cpp show it.
type likelyToken struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"` // the token's own: they need not be whole characters
}

// tokenLogprob is a token of an answer with the alternatives that it had.
type tokenLogprob struct {
	likelyToken
	Top []likelyToken `json:"top_logprobs"`
}

type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal *string        `json:"refusal"`
}

func (m *Model) likely(p diffusion.Logprob) likelyToken {
	text := m.Tokenizer.Text(p.ID)
	t := likelyToken{ID: p.ID, Token: text, Logprob: p.Logprob, Bytes: make([]int, len(text))}
	for i := range len(text) {
		t.Bytes[i] = int(text[i])
	}
	return t
}

// tokenLogprobs leaves out control tokens, which are no part of the text.
func (a *answer) tokenLogprobs(all []diffusion.TokenLogprob) []tokenLogprob {
	shown := []tokenLogprob{}
	for _, p := range all {
		if a.model.Tokenizer.IsControl(p.ID) {
			continue
		}
		t := tokenLogprob{a.model.likely(p.Logprob), []likelyToken{}}
		for _, alternative := range p.Top {
			t.Top = append(t.Top, a.model.likely(alternative))
		}
		shown = append(shown, t)
	}
	return shown
}

// chatLogprobs returns nil where none were asked for, or none are left.
func (a *answer) chatLogprobs(all []diffusion.TokenLogprob) *chatLogprobs {
	if shown := a.tokenLogprobs(all); len(shown) > 0 {
		return &chatLogprobs{Content: shown}
	}
	return nil
}
