package server

import (
	"encoding/json"
	"math"

	"github.com/wrinklefree/wf/infer/tokenizer"
)

// tokenize is POST /tokenize {content} -> {tokens}.
func (s *Server) tokenize(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	var content string
	var o tokenizer.EncodeOptions
	pieces := false
	_, err = s.read(x, members{
		"content":       func(b *body) error { return b.text(&content, maxText) },
		"add_special":   func(b *body) error { return b.boolean(&o.AddBOS) },
		"parse_special": func(b *body) error { return b.boolean(&o.Special) },
		"with_pieces":   func(b *body) error { return b.boolean(&pieces) },
	})
	if err != nil {
		return err
	}
	ids := m.Tokenizer.Encode(content, o)
	if !pieces {
		return s.reply(x, map[string][]int32{"tokens": append([]int32{}, ids...)})
	}
	type piece struct {
		ID    int32  `json:"id"`
		Piece string `json:"piece"`
	}
	all := make([]piece, len(ids))
	for i, id := range ids {
		all[i] = piece{id, m.Tokenizer.Text(id)}
	}
	return s.reply(x, map[string][]piece{"tokens": all})
}

// detokenize is POST /detokenize {tokens} -> {content}.
func (s *Server) detokenize(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	ids := []int32{}
	_, err = s.read(x, members{"tokens": func(b *body) error {
		return b.list(math.MaxInt, func() error {
			digits, err := b.digits()
			if err != nil {
				return err
			}
			id, err := tokenID(b, json.Number(digits), m.Config.Vocab)
			ids = append(ids, id)
			return err
		})
	}})
	if err != nil {
		return err
	}
	return s.reply(x, map[string]string{"content": m.Tokenizer.Decode(ids, true)})
}

// applyTemplate is POST /apply-template {messages} -> {prompt}. A control token that a message spells is text in the prompt of /v1/chat/completions
// and would be a token in a raw one; only the ids tell them apart, so they come along.
func (s *Server) applyTemplate(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	var messages []tokenizer.Message
	generation := true
	_, err = s.read(x, members{
		"messages":              func(b *body) (err error) { messages, err = b.messages(); return err },
		"add_generation_prompt": func(b *body) error { return b.boolean(&generation) },
		"chat_template":         refuse(),
		"chat_template_kwargs":  refuse(),
	})
	if err != nil {
		return err
	}
	if len(messages) == 0 {
		return invalid("messages", "messages is empty; wanted at least one message")
	}
	ids, err := m.Tokenizer.Chat(messages, generation)
	if err != nil {
		return err
	}
	return s.reply(x, map[string]any{"prompt": m.Tokenizer.Decode(ids, true), "tokens": ids})
}
