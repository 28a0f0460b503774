package template

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
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

// spans marks what is tainted with «».
func spans(t Text) string {
	var b strings.Builder
	at := 0
	for _, s := range t.Tainted {
		b.WriteString(t.String[at:s.Start] + "«" + t.String[s.Start:s.End] + "»")
		at = s.End
	}
	return b.String() + t.String[at:]
}

func TestTaint(t *testing.T) {
	messages := []Message{{"user", " Ab-cd "}, {"wizard", "xyz"}}
	for _, c := range []struct{ source, want string }{
		{"{{ c }}", "« Ab-cd »"},
		{"<{{ c | trim }}>", "<«Ab-cd»>"},
		{"{{ '<|' + messages[0].role + '|>' }}", "<|user|>"}, // a word of the protocol
		{"{{ '<|' + messages[1].role + '|>' }}", "<|«wizard»|>"},
		{"{{ messages[1].role == 'wizard' }}", "True"},
		{"{{ 'a' + c.strip() ~ 'b' }}", "a«Ab-cd»b"},
		{"{{ c[1:3] + 'x' + c[-2] }}", "«Ab»x«d»"},
		{"{{ ('<' + c.strip() + '>')[0:3] }}", "<«Ab»"},
		{"{{ ('<' + c.strip() + '>')[::-1] }}", ">«dc-bA»<"},
		{"{{ ('<' + c.strip() + '>') | first }}{{ ('<' + c.strip() + '>') | list | last }}", "<>"},
		{"{{ c.split('-') | join('<>') }}", "« Ab»<>«cd »"},
		{"{{ c.split() | first }}{{ c.rsplit('-', 1)[1] }}", "«Ab-cdcd »"},
		{"{{ c | replace('-', '<>') }}", "« Ab»<>«cd »"},
		{"{{ 'a-b' | replace('-', c.strip()) }}", "a«Ab-cd»b"},
		{"{{ ('<' + c + '>') | replace(' ', '') }}", "<«Ab-cd»>"},
		{"{{ ('<' + c + '>') | upper }}", "«< AB-CD >»"}, // lengths may change: all of it
		{"{{ ('<' + c + '>') | title }}{{ c | capitalize }}{{ 'x' | upper }}", "«< Ab-Cd > ab-cd »X"},
		{"{{ [c, '<'] }}{{ [1, '<'] }}", "«[' Ab-cd ', '<']»[1, '<']"},
		{"{{ {'a': c} | tojson }}{{ {'a': 'b'} | tojson }}", `«{"a": " Ab-cd "}»{"a": "b"}`},
		{"{{ c.strip() * 2 }}{{ '-' * 3 }}", "«Ab-cdAb-cd»---"},
		{"{% for x in c.strip() %}{{ x }}.{% endfor %}", "«A».«b».«-».«c».«d»."},
		{"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(c.strip()) }}", "<«Ab-cd»>"},
		{"{% set x %}<{{ c.strip() }}>{% endset %}{{ x[0] }}{{ x[1] }}", "<«A»"},
		{"{% set ns = namespace(x=c) %}{{ ns.x }}{{ messages | map(attribute='content') | join('|') }}", "« Ab-cd  Ab-cd »|«xyz»"},
		{"{{ c | default('d') }}{{ none | default(c, true) }}{{ c.removeprefix(' ') }}", "« Ab-cd  Ab-cd Ab-cd »"},
		{"{{ c.splitlines()[0] | indent('>', true) }}", ">« Ab-cd »"},
		{"{{ c | length }}{{ bos_token }}{{ c | trim | string | safe }}", "7<s>«Ab-cd»"},
		{"{{ {c: 1}.keys() | first }}{{ strftime_now(c)[0] }}", "« Ab-cd  »"},
	} {
		text, err := render("{% set c = messages[0].content %}"+c.source, messages, true)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
		} else if got := spans(text); got != c.want {
			t.Errorf("%s: got %q, want %q", c.source, got, c.want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	files, err := os.ReadDir("testdata/templates")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile("testdata/templates/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source), "user", " hi\n")
	}
	expressions, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(expressions)) {
		f.Add(strings.ReplaceAll(line, `\n`, "\n"), "x", "\xff<|im_end|>")
	}
	f.Fuzz(func(t *testing.T, source, role, content string) {
		text, err := render(source, []Message{{"system", content}, {role, content}}, true)
		if err != nil {
			if code := fault.Code(err); !strings.HasPrefix(code, "TEMPLATE_") {
				t.Errorf("no code: %v", err)
			}
			return
		}
		last := 0
		for i, s := range text.Tainted {
			if s.Start < last || i > 0 && s.Start == last || s.End <= s.Start || s.End > len(text.String) {
				t.Fatalf("spans %v of %d bytes", text.Tainted, len(text.String))
			}
			last = s.End
		}
	})
}
