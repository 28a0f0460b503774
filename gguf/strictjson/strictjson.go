// Package strictjson reads JSON that others wrote, token by token, so that memory is bounded by what the caller keeps.
//
// It refuses what encoding/json lets pass and what readers understand differently: text that is not UTF-8 and halves of surrogate pairs (both
// would become U+FFFD and so fold different names into one), keys that stand twice, deep nesting, and text behind the document.
package strictjson

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Limits of every document. Published ones have 4 levels.
const (
	maxDepth = 64
	maxKeys  = 1 << 20 // in one object
)

// Problem is a kind of what can be wrong.
type Problem int

// The kinds of problems.
const (
	Malformed Problem = iota // it is not JSON
	WrongType                // another kind of value is wanted
	Duplicate                // a key stands twice
	Limit                    // deeper or larger than this package reads
)

// Document is a JSON text on its way. Every method that reads returns the error that the caller's fail makes of a problem, or that a callback
// returned.
type Document struct {
	*json.Decoder
	fail func(p Problem, format string, args ...any) error
}

// New checks what the decoder lets pass, in one pass over the bytes. Numbers are read as json.Number.
func New(data []byte, fail func(p Problem, format string, args ...any) error) (*Document, error) {
	if !utf8.Valid(data) {
		return nil, fail(Malformed, "it is not UTF-8")
	}
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
			if n := surrogate(data[min(i, len(data)):]); n < 0 {
				return nil, fail(Malformed, "byte %d: half of a surrogate pair", i)
			} else {
				i += n
			}
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return nil, fail(Limit, "byte %d: nested deeper than %d", i, maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	d := &Document{json.NewDecoder(bytes.NewReader(data)), fail}
	d.UseNumber()
	return d, nil
}

// surrogate looks at an escape, behind its backslash: -1 for half of a surrogate pair, else how many more bytes to step over.
func surrogate(escape []byte) int {
	unit := func(s []byte) uint64 {
		if len(s) < 5 || s[0] != 'u' {
			return 0
		}
		u, _ := strconv.ParseUint(string(s[1:5]), 16, 16)
		return u
	}
	switch high := unit(escape); {
	case high >= 0xDC00 && high <= 0xDFFF:
		return -1
	case high < 0xD800 || high > 0xDBFF:
		return 0
	}
	if low := escape[5:]; len(low) < 1 || low[0] != '\\' || unit(low[1:]) < 0xDC00 || unit(low[1:]) > 0xDFFF {
		return -1
	}
	return 10 // uXXXX\uXXXX without the byte that the caller steps over
}

// Next reads a token: json.Delim, string, json.Number, bool or nil.
func (d *Document) Next() (json.Token, error) {
	offset := d.InputOffset()
	t, err := d.Token()
	if err != nil {
		return nil, d.fail(Malformed, "near byte %d: %s", offset, fault.Quote(err.Error()))
	}
	return t, nil
}

// Object reads an object and calls f behind each key; f must read the value. A null is an empty object.
func (d *Document) Object(f func(key string) error) error {
	t, err := d.Next()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return d.fail(WrongType, "near byte %d: want an object", d.InputOffset())
	}
	return d.Members(f)
}

// Members reads an object behind its brace, as Object does.
func (d *Document) Members(f func(key string) error) error {
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Next()
		if err != nil {
			return err
		}
		key := t.(string) // the decoder lets nothing else stand before a colon
		if seen[key] {
			return d.fail(Duplicate, "near byte %d: key %s appears twice", d.InputOffset(), fault.Quote(key))
		}
		if len(seen) == maxKeys {
			return d.fail(Limit, "near byte %d: an object has more than %d keys", d.InputOffset(), maxKeys)
		}
		seen[key] = true
		if err := f(key); err != nil {
			return err
		}
	}
	_, err := d.Next()
	return err
}

// Array reads an array and calls f before each element, which f must read. A null is an empty array.
func (d *Document) Array(f func() error) error {
	t, err := d.Next()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return d.fail(WrongType, "near byte %d: want an array", d.InputOffset())
	}
	return d.Elements(f)
}

// Elements reads an array behind its bracket, as Array does.
func (d *Document) Elements(f func() error) error {
	for d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := d.Next()
	return err
}

// Value reads any value: map[string]any, []any, string, json.Number, bool or nil.
func (d *Document) Value() (any, error) {
	t, err := d.Next()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		members := map[string]any{}
		return members, d.Members(func(key string) error {
			v, err := d.Value()
			members[key] = v
			return err
		})
	case json.Delim('['):
		elements := []any{}
		return elements, d.Elements(func() error {
			v, err := d.Value()
			elements = append(elements, v)
			return err
		})
	}
	return t, nil
}

// Skip reads any value and keeps nothing.
func (d *Document) Skip() error {
	for depth := 0; ; {
		t, err := d.Next()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// End refuses anything behind the top value.
func (d *Document) End() error {
	if _, err := d.Token(); err != io.EOF {
		return d.fail(Malformed, "near byte %d: text follows the document", d.InputOffset())
	}
	return nil
}
