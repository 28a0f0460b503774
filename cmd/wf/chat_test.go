package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/show"
)

// TestConversationReturns reads what was written.
func TestConversationReturns(t *testing.T) {
	want := &conversation{
		Version: sessionVersion, Program: version, Model: "m", System: "be\nkind", Settings: map[string]string{"temp": "0.5"},
		Messages: []message{{"user", "\"<>&\x1b"}, {"assistant", "日本"}},
	}
	path := filepath.Join(t.TempDir(), "c.json")
	if err := want.write(t.Context(), path, false); err != nil {
		t.Fatal(err)
	}
	if got, err := readConversation(path); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v)\nwant %+v", got, err, want)
	}
}

// TestHostileConversations: whatever stands in the file is an error with a code and one line of printable text.
func TestHostileConversations(t *testing.T) {
	many := strings.Repeat(`{"role":"user","content":""},{"role":"assistant","content":""},`, sessionMessages/2)
	for _, c := range []struct{ name, text, code string }{
		{"no JSON", "hello", "SESSION_MALFORMED"},
		{"not UTF-8", "{\"model\":\"\xff\"}", "SESSION_MALFORMED"},
		{"an array", "[]", "SESSION_MALFORMED"},
		{"nothing in it", "{}", "SESSION_MALFORMED"},
		{"version 0", `{"wf_chat":0}`, "SESSION_MALFORMED"},
		{"version in words", `{"wf_chat":"1"}`, "SESSION_MALFORMED"},
		{"version with a point", `{"wf_chat":1.0}`, "SESSION_MALFORMED"},
		{"version of the future", `{"wf_chat":99}`, "SESSION_UNSUPPORTED"},
		{"key twice", `{"wf_chat":1,"wf_chat":1}`, "SESSION_MALFORMED"},
		{"unknown member", `{"wf_chat":1,"\u001b[31m":1}`, "SESSION_MALFORMED"},
		{"unknown member of a message", `{"wf_chat":1,"messages":[{"role":"user","content":"","name":"x"}]}`, "SESSION_MALFORMED"},
		{"system role", `{"wf_chat":1,"messages":[{"role":"system","content":""}]}`, "SESSION_MALFORMED"},
		{"no answer", `{"wf_chat":1,"messages":[{"role":"user","content":""}]}`, "SESSION_MALFORMED"},
		{"content of a number", `{"wf_chat":1,"messages":[{"role":"user","content":1}]}`, "SESSION_MALFORMED"},
		{"message of text", `{"wf_chat":1,"messages":["x"]}`, "SESSION_MALFORMED"},
		{"cut short", `{"wf_chat":1,"messages":[{"role":"user"`, "SESSION_MALFORMED"},
		{"two documents", `{"wf_chat":1}{}`, "SESSION_MALFORMED"},
		{"deep", `{"wf_chat":1,"messages":` + strings.Repeat("[", 100), "SESSION_LIMIT"},
		{"many messages", `{"wf_chat":1,"messages":[` + many + many[:29] + "]}", "SESSION_LIMIT"},
		{"many settings", `{"wf_chat":1,"settings":{` + settingsOf(sessionSettings+1) + "}}", "SESSION_LIMIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConversation([]byte(c.text))
			if fault.Code(err) != c.code {
				t.Fatalf("got %v (code %q), want code %s", err, fault.Code(err), c.code)
			}
			if text := err.Error(); show.Visible(text) != text {
				t.Errorf("the message carries what a terminal obeys: %q", text)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, sessionBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readConversation(path); fault.Code(err) != "SESSION_LIMIT" {
		t.Errorf("17 MiB: %v, want SESSION_LIMIT", err)
	}
}

func settingsOf(n int) string {
	var all []string
	for i := range n {
		all = append(all, `"`+strings.Repeat("a", i+1)+`":""`)
	}
	return strings.Join(all, ",")
}

// FuzzConversation: any bytes give an error with a code, or a conversation whose messages take turns.
func FuzzConversation(f *testing.F) {
	f.Add([]byte(`{"wf_chat":1,"wf":"0.1.0","model":"m","system":"s","settings":{"temp":"1"},"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`))
	f.Add([]byte(`{"wf_chat":1,"messages":null}`))
	f.Add([]byte(`{"wf_chat":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConversation(text)
		if err != nil {
			if fault.Code(err) == "" {
				t.Fatalf("no code: %v", err)
			}
			return
		}
		for i, m := range c.Messages {
			if want := []string{"user", "assistant"}[i%2]; m.Role != want {
				t.Fatalf("message %d has role %q", i, m.Role)
			}
		}
	})
}

// TestHistory keeps lines across chats, printable, without repetition, and not more than it should.
func TestHistory(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	open := func() *history {
		t.Helper()
		h, err := openHistory()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.close)
		return h
	}
	h := open()
	for _, line := range []string{"one", "one", " ", "two\x1b[2J\xff", strings.Repeat("x", 2000)} {
		h.Add(line)
	}
	h.close()
	h = open()
	if h.Len() != 3 || h.At(2) != "one" || h.At(1) != "two [2J" || len(h.At(0)) != 2000 {
		t.Errorf("%d lines: %.40q", h.Len(), h.lines)
	}
	for i := range 2000 {
		h.Add(strings.Repeat("y", 600) + string(rune('a'+i%26)))
	}
	h.close()
	h = open()
	path := filepath.Join(state, "wf", "history")
	if info, err := os.Stat(path); err != nil || h.Len() != historyLines || info.Size() > historyBytes || info.Mode().Perm() != 0o600 {
		t.Errorf("%d lines in %v (%v)", h.Len(), info, err)
	}
	h.close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openHistory(); fault.Code(err) != "NOT_A_REGULAR_FILE" {
		t.Errorf("a folder as history: %v", err)
	}
}

// TestHarmless: a terminal gets a model's text with line ends and tabs, and nothing that it would obey.
func TestHarmless(t *testing.T) {
	var b strings.Builder
	if n, err := (harmless{&b}).Write([]byte("a\tb\n\x1b[2J\u009b日\xff\r\n\n")); n != 17 || err != nil {
		t.Errorf("wrote %d (%v)", n, err)
	}
	if want := "a\tb\n" + `\x1b[2J\u009b日\xff\r` + "\n\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// TestPaste: what is pasted stays one line for the editor, in whatever pieces it comes, and comes apart again.
func TestPaste(t *testing.T) {
	text := "a\rb" + pasteBegins + "c\r\nd\te\nf" + pasteEnds + "\r"
	want := "a\rb" + pasteBegins + "c⏎d⇥e⏎f" + pasteEnds + "\r"
	for size := 1; size <= len(text); size++ {
		k := &keys{in: &pieces{text, size}}
		var got []byte
		p := make([]byte, 3)
		for {
			n, err := k.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				break
			}
		}
		if string(got) != want {
			t.Errorf("in pieces of %d: %q, want %q", size, got, want)
		}
	}
	if got := unfold.Replace("c⏎d⇥e"); got != "c\nd\te" {
		t.Errorf("unfolded %q", got)
	}
}

type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, os.ErrClosed
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}
