package main

import (
	"context"
	"encoding/json"
	"io"
	"strconv"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/strictjson"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

const (
	sessionVersion  = 1
	sessionBytes    = 16 << 20
	sessionMessages = 1 << 16
	sessionSettings = 64
)

// conversation is what /save keeps.
type conversation struct {
	Version  int               `json:"wf_chat"`
	Program  string            `json:"wf"`
	Model    string            `json:"model"`
	System   string            `json:"system,omitempty"`
	Settings map[string]string `json:"settings,omitempty"` // of /set, where they are not what the file and the dialect say
	Messages []message         `json:"messages"`           // user and assistant in turn, an even number
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// write makes a file of the conversation.
func (c *conversation) write(ctx context.Context, path string, force bool) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	file, err := disk.Create(path, disk.CreateOptions{Force: force, Need: uint64(len(text) + 1)})
	if err != nil {
		return err
	}
	defer file.Abort()
	if _, err := file.Write(append(text, '\n')); err != nil {
		return err
	}
	return file.Commit(ctx)
}

// readConversation reads what write made. Codes: those of disk.Open, SESSION_MALFORMED, SESSION_UNSUPPORTED, SESSION_LIMIT.
func readConversation(path string) (*conversation, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > sessionBytes {
		return nil, fault.New("SESSION_LIMIT", "%s: %d bytes; a conversation has at most %d", path, f.Size(), sessionBytes)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return nil, err
	}
	c, err := parseConversation(text)
	return c, inFile(path, err)
}

// sessionProblem is what strictjson has to say.
func sessionProblem(p strictjson.Problem, format string, args ...any) error {
	code := "SESSION_MALFORMED"
	if p == strictjson.Limit {
		code = "SESSION_LIMIT"
	}
	return fault.New(code, "conversation: "+format, args...)
}

func malformedSession(format string, args ...any) error {
	return sessionProblem(strictjson.Malformed, format, args...)
}

func parseConversation(text []byte) (*conversation, error) {
	doc, err := strictjson.New(text, sessionProblem)
	if err != nil {
		return nil, err
	}
	r := sessionReader{doc}
	c := &conversation{Settings: map[string]string{}}
	err = doc.Object(func(key string) error {
		switch key {
		case "wf_chat":
			return r.version(&c.Version)
		case "wf":
			return r.text(key, &c.Program)
		case "model":
			return r.text(key, &c.Model)
		case "system":
			return r.text(key, &c.System)
		case "settings":
			return doc.Object(func(name string) error {
				if len(c.Settings) == sessionSettings {
					return sessionProblem(strictjson.Limit, "more than %d settings", sessionSettings)
				}
				var value string
				err := r.text("settings", &value)
				c.Settings[name] = value
				return err
			})
		case "messages":
			return doc.Array(func() error { return r.message(c) })
		}
		return malformedSession("member %s is unknown", fault.Quote(key))
	})
	switch {
	case err != nil:
		return nil, err
	case c.Version == 0:
		return nil, malformedSession("no member wf_chat; wanted what /save writes")
	case len(c.Messages)%2 != 0:
		return nil, malformedSession("%d messages; wanted an answer to each", len(c.Messages))
	}
	return c, doc.End()
}

type sessionReader struct{ *strictjson.Document }

func (r sessionReader) version(v *int) error {
	t, err := r.Next()
	if err != nil {
		return err
	}
	number, _ := t.(json.Number)
	n, err := strconv.Atoi(number.String())
	switch {
	case err != nil || n < 1:
		return malformedSession("version %s; wanted a number from 1 on", fault.Quote(number.String()))
	case n > sessionVersion:
		return fault.New("SESSION_UNSUPPORTED", "conversation: version %d; this build reads up to %d: use a newer wf", n, sessionVersion)
	}
	*v = n
	return nil
}

func (r sessionReader) text(key string, s *string) error {
	t, err := r.Next()
	if err != nil {
		return err
	}
	text, ok := t.(string)
	if !ok {
		return sessionProblem(strictjson.WrongType, "near byte %d: %s holds no text", r.InputOffset(), key)
	}
	*s = text
	return nil
}

// message reads the next message, whose role its place tells.
func (r sessionReader) message(c *conversation) error {
	if len(c.Messages) == sessionMessages {
		return sessionProblem(strictjson.Limit, "more than %d messages", sessionMessages)
	}
	var m message
	if err := r.Object(func(key string) error {
		switch key {
		case "role":
			return r.text(key, &m.Role)
		case "content":
			return r.text(key, &m.Content)
		}
		return malformedSession("member %s of a message is unknown", fault.Quote(key))
	}); err != nil {
		return err
	}
	if want := []string{"user", "assistant"}[len(c.Messages)%2]; m.Role != want {
		return malformedSession("message %d has role %s; wanted %s", len(c.Messages)+1, fault.Quote(m.Role), want)
	}
	c.Messages = append(c.Messages, m)
	return nil
}

// turns are the messages as a chat template takes them.
func (c *conversation) turns() (all []tokenizer.Message) {
	for _, m := range c.Messages {
		all = append(all, tokenizer.Message(m))
	}
	return all
}
