package fault

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestCode(t *testing.T) {
	inner := New("GGUF_TRUNCATED", "byte %d: %w", 7, io.ErrUnexpectedEOF)
	wrapped := fmt.Errorf("m.gguf: %w", errors.Join(io.EOF, inner))
	if Code(wrapped) != "GGUF_TRUNCATED" || !errors.Is(wrapped, io.ErrUnexpectedEOF) {
		t.Errorf("code %q of %v", Code(wrapped), wrapped)
	}
	if Code(io.EOF) != "" || Code(nil) != "" {
		t.Error("an error without a code has one")
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain", `"plain"`},
		{"a\x1b[31m\n", `"a\x1b[31m\n"`},
		{strings.Repeat("x", 64), `"` + strings.Repeat("x", 64) + `"`},
		{strings.Repeat("x", 65), `"` + strings.Repeat("x", 64) + `"... (65 bytes)`},
		{strings.Repeat("x", 63) + "\u20ac", `"` + strings.Repeat("x", 63) + `"... (66 bytes)`},
		{strings.Repeat("\x00", 64), `"` + strings.Repeat(`\x00`, 16) + `"... (64 bytes)`},
		{strings.Repeat("\xff", 70), `"` + strings.Repeat(`\xff`, 16) + `"... (70 bytes)`},
	} {
		if got := Quote(c.text); got != c.want {
			t.Errorf("Quote(%q) = %s, want %s", c.text, got, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"dir/model.gguf", "dir/model.gguf"},
		{`C:\models\"a".gguf`, `C:\models\"a".gguf`},
		{"modèle.gguf", "modèle.gguf"},
		{"a\x1b[31m\n", `"a\x1b[31m\n"`},
		{"\xff.gguf", `"\xff.gguf"`},
		{strings.Repeat("x", 60), strings.Repeat("x", 60)},
		{strings.Repeat("x", 59) + "/m", "..." + strings.Repeat("x", 58) + "/m"},
		{strings.Repeat("\u20ac", 30) + "x", "..." + strings.Repeat("\u20ac", 19) + "x"},
		{strings.Repeat("\x00", 200), `"...` + strings.Repeat(`\x00`, 15) + `"... (63 bytes)`},
	} {
		if got := Path(c.path); got != c.want {
			t.Errorf("Path(%q) = %s, want %s", c.path, got, c.want)
		}
	}
}
