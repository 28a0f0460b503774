package template

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2024, 2, 9, 15, 4, 5, 0, time.UTC)

// render parses and renders a template for a conversation.
func render(source string, messages []Message, prompt bool) (Text, error) {
	parsed, err := Parse(source)
	if err != nil {
		return Text{}, err
	}
	return parsed.Render(Input{
		Messages: messages, AddGenerationPrompt: prompt, Now: noon, Variables: map[string]string{"bos_token": "<s>", "eos_token": "</s>"},
	})
}

// testdata/golden.json is what jinja2 makes of the same templates; its maker is make.py.
func TestGolden(t *testing.T) {
	var golden struct {
		Conversations [][][2]string
		Templates     map[string][][2]*string
		Expressions   [][2]*string
	}
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	var conversations [][]Message
	for _, c := range golden.Conversations {
		var messages []Message
		for _, m := range c {
			messages = append(messages, Message{m[0], m[1]})
		}
		conversations = append(conversations, messages)
	}
	check := func(what, source string, messages []Message, prompt bool, want *string) {
		t.Helper()
		got, err := render(source, messages, prompt)
		switch {
		case want == nil && err == nil:
			t.Errorf("%s: got %q, want an error", what, got.String)
		case want != nil && err != nil:
			t.Errorf("%s: %v; want %q", what, err, *want)
		case want != nil && got.String != *want:
			t.Errorf("%s:\n got %q\nwant %q", what, got.String, *want)
		}
	}
	for name, outputs := range golden.Templates {
		source, err := os.ReadFile("testdata/templates/" + name + ".jinja")
		if err != nil {
			t.Fatal(err)
		}
		for i, messages := range conversations {
			check(name, string(source), messages, false, outputs[i][0])
			check(name, string(source), messages, true, outputs[i][1])
		}
	}
	for _, e := range golden.Expressions {
		check(*e[0], strings.ReplaceAll(*e[0], `\n`, "\n"), conversations[1], true, e[1])
	}
	if len(golden.Templates) < 12 || len(golden.Expressions) < 100 {
		t.Errorf("only %d templates and %d expressions", len(golden.Templates), len(golden.Expressions))
	}
}
