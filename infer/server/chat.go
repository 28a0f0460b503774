package server

import (
	"strings"

	"github.com/wrinklefree/wf/infer/tokenizer"
)

const maxMessages = 2048

// roles that a message may have, as a chat template knows them.
var roles = map[string]string{"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

// chat is POST /v1/chat/completions.
func (s *Server) chat(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	q := m.newRequest()
	var messages []tokenizer.Message
	completion := 0
	b, err := s.read(x, members{
		"messages":              func(b *body) (err error) { messages, err = b.messages(); return err },
		"max_completion_tokens": func(b *body) error { return b.integer(&completion, 1, maxCompletion) },
		"logprobs":              func(b *body) error { return b.boolean(&q.options.Logprobs) },
		"top_logprobs":          func(b *body) error { return b.integer(&q.options.TopLogprobs, 0, maxTop) },
		"tools":                 refuse(),
		"tool_choice":           refuse("none", "auto"),
		"functions":             refuse(),
		"function_call":         refuse("none", "auto"),
		"audio":                 refuse(),
		"web_search_options":    refuse(),
		"modalities": func(b *body) error {
			return b.list(8, func() error { return refuse("text")(b) })
		},
	}, q.openai(), q.sampling(m))
	if err != nil {
		return err
	}
	if err := q.named(x, m); err != nil {
		return err
	}
	if len(messages) == 0 {
		return invalid("messages", "messages is empty; wanted at least one message")
	}
	if q.options.TopLogprobs > 0 && !q.options.Logprobs {
		return invalid("top_logprobs", "top_logprobs has no meaning without logprobs")
	}
	if completion > 0 {
		q.maxTokens = completion
	}
	last := messages[len(messages)-1]
	if q.infill {
		if last.Role != "assistant" {
			return invalid("messages", "the last message is of role %s; wanted assistant, with holes to fill in", last.Role)
		}
		messages = messages[:len(messages)-1]
	}
	if q.prompt, err = m.Tokenizer.Chat(messages, true); err != nil {
		return err
	}
	if q.infill {
		if err := q.holes(m, "messages", q.prompt, last.Content, tokenizer.EncodeOptions{}); err != nil {
			return err
		}
	}
	q.unused = b.unused
	return s.answer(x, m, q, chatForm{})
}

// messages reads the conversation.
func (b *body) messages() (all []tokenizer.Message, err error) {
	err = b.list(maxMessages, func() error {
		var role string
		var content *string
		err := b.object(members{
			"role":          func(b *body) error { return b.text(&role, 64) },
			"content":       func(b *body) (err error) { content, err = b.content(); return err },
			"tool_calls":    refuse(),
			"function_call": refuse(),
		})
		if err != nil {
			return err
		}
		known, ok := roles[role]
		if !ok {
			return invalid(b.param+".role", "%s.role is none of system, developer, user and assistant", b.param)
		}
		if content == nil {
			return invalid(b.param+".content", "%s.content is missing or null; wanted text", b.param)
		}
		all = append(all, tokenizer.Message{Role: known, Content: *content})
		return nil
	})
	return all, err
}

// content reads a text, or a list of parts that are all text.
func (b *body) content() (*string, error) {
	t, err := b.Next()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case nil:
		return nil, nil
	case string:
		return &v, nil
	}
	if !isArray(t) {
		return nil, b.wrong("is neither text nor a list of parts")
	}
	var text strings.Builder
	err = b.elements(maxMessages, func() error {
		kind, part := "", ""
		err := b.object(members{
			"type": func(b *body) error {
				if err := b.text(&kind, 64); err != nil {
					return err
				}
				if kind != "text" {
					return badRequest("unsupported_parameter", b.param, "%s is not text; this server reads text alone", b.param)
				}
				return nil
			},
			"text":        func(b *body) error { return b.text(&part, int(^uint(0)>>1)) },
			"image_url":   refuse(),
			"input_audio": refuse(),
			"file":        refuse(),
		})
		if err == nil && kind == "" {
			err = invalid(b.param+".type", "%s.type is missing; wanted text", b.param)
		}
		text.WriteString(part)
		return err
	})
	joined := text.String()
	return &joined, err
}
