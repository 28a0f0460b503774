package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// problem is the error that the tests' fail makes.
type problem struct {
	kind Problem
	text string
}

func (p *problem) Error() string { return p.text }

func fail(p Problem, format string, args ...any) error {
	return &problem{p, fmt.Sprintf(format, args...)}
}

// read reads a whole document as values.
func read(text string) (any, error) {
	d, err := New([]byte(text), fail)
	if err != nil {
		return nil, err
	}
	v, err := d.Value()
	if err == nil {
		err = d.End()
	}
	return v, err
}

func TestValue(t *testing.T) {
	const text = `{"a": [1, -2.50, 1e400, 18446744073709551616], "": {"b": null, "c": true}, "pair": "\ud83d\ude00 \"\\ \u0041", "ü": [] , "o": {}}`
	want := map[string]any{
		"a":    []any{json.Number("1"), json.Number("-2.50"), json.Number("1e400"), json.Number("18446744073709551616")}, // to the last digit
		"":     map[string]any{"b": nil, "c": true},
		"pair": "\U0001f600 \"\\ A", "ü": []any{}, "o": map[string]any{},
	}
	got, err := read(" \n" + text + "\t ")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestProblems(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	if _, err := read(nested(maxDepth)); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	if _, err := read(`["` + strings.Repeat(`[{\"`, 1000) + `"]`); err != nil {
		t.Errorf("brackets in a string: %v", err)
	}
	for _, c := range []struct {
		name, text string
		kind       Problem
		says       string
	}{
		{"duplicate key", `{"a": 1, "b": 2, "a": 1}`, Duplicate, `"a"`},
		{"duplicate key, escaped", `{"a": 1, "\u0061": 2}`, Duplicate, `"a"`},
		{"duplicate key, inside", `[{"x": {"long\nkey": 1, "long\nkey": 1}}]`, Duplicate, `"long\nkey"`},
		{"too deep", nested(maxDepth + 1), Limit, "64"},
		{"too deep and never closed", strings.Repeat(`{"a":`, 100_000), Limit, "64"},
		{"not UTF-8", "{\"a\xff\": 1}", Malformed, "UTF-8"},
		{"not UTF-8 outside a string", "[1\x80]", Malformed, "UTF-8"},
		{"surrogate in UTF-8", "[\"\xed\xa0\x80\"]", Malformed, "UTF-8"},
		{"high half alone", `["\ud83d"]`, Malformed, "surrogate"},
		{"high half before a letter", `["\ud83dx"]`, Malformed, "surrogate"},
		{"high half before another", `["\ud83d\ud83d"]`, Malformed, "surrogate"},
		{"low half alone", `["\ude00"]`, Malformed, "surrogate"},
		{"low half behind an escaped backslash", `["\\\uDE00"]`, Malformed, "surrogate"},
		{"key of half a pair", `{"\ud83d": 1}`, Malformed, "surrogate"},
		{"text behind", `{} {}`, Malformed, "follows"},
		{"bracket behind", `[]]`, Malformed, "follows"},
		{"garbage behind", "1 x", Malformed, "follows"},
		{"nothing", "", Malformed, "byte 0"},
		{"blank", " \n", Malformed, "near byte"},
		{"cut", `{"a": [1,`, Malformed, "near byte"},
		{"cut in a string", `["a`, Malformed, "near byte"},
		{"cut in an escape", `["a\`, Malformed, "near byte"},
		{"cut in a surrogate", `["\ud8`, Malformed, "near byte"},
		{"bad escape", `["\x41"]`, Malformed, "near byte"},
		{"newline in a string", "[\"a\nb\"]", Malformed, "near byte"},
		{"no key", `{1: 2}`, Malformed, "near byte"},
		{"comma at the end", `[1,]`, Malformed, "near byte"},
		{"comment", "[1 /* one */]", Malformed, "near byte"},
		{"number with a leading zero", `[01]`, Malformed, "near byte"},
		{"plus", `[+1]`, Malformed, "near byte"},
		{"half a number", `[1.]`, Malformed, "near byte"},
		{"NaN", `[NaN]`, Malformed, "near byte"},
		{"infinity", `[-Infinity]`, Malformed, "near byte"},
		{"hexadecimal", `[0x10]`, Malformed, "near byte"},
		{"byte order mark", "\ufeff{}", Malformed, "near byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := read(c.text)
			var p *problem
			if !errors.As(err, &p) || p.kind != c.kind || !strings.Contains(p.text, c.says) || len(p.text) > 200 || strings.ContainsAny(p.text, "\n\x1b") {
				t.Errorf("read as %v, %v; want problem %d with %q", v, err, c.kind, c.says)
			}
		})
	}
}

func TestManyKeys(t *testing.T) {
	var text strings.Builder
	for i := range maxKeys {
		fmt.Fprintf(&text, `"%x":0,`, i)
	}
	count := func(more string) (n int, err error) {
		d, err := New([]byte("{"+text.String()+more+"}"), fail)
		if err != nil {
			return 0, err
		}
		return n, d.Object(func(string) error { n++; return d.Skip() })
	}
	_, err := count(`"last": 0`)
	if p, ok := err.(*problem); !ok || p.kind != Limit {
		t.Errorf("%d keys: %v", maxKeys+1, err)
	}
}

// TestShapes: what is read by its shape, and what a callback says.
func TestShapes(t *testing.T) {
	open := func(text string) *Document {
		d, err := New([]byte(text), fail)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open(`{"skipped": {"a": [1, {"b": "]}"}]}, "list": [1, 2], "none": null, "last": "x"}`)
	var seen []any
	err := d.Object(func(key string) error {
		seen = append(seen, key)
		switch key {
		case "skipped":
			return d.Skip()
		case "last":
			v, err := d.Next()
			seen = append(seen, v)
			return err
		}
		return d.Array(func() error {
			v, err := d.Value()
			seen = append(seen, v)
			return err
		})
	})
	if err == nil {
		err = d.End()
	}
	want := []any{"skipped", "list", json.Number("1"), json.Number("2"), "none", "last", "x"}
	if err != nil || !reflect.DeepEqual(seen, want) {
		t.Errorf("saw %v, %v", seen, err)
	}

	never := func(string) error { t.Error("called"); return nil }
	if err := open(`null`).Object(never); err != nil {
		t.Errorf("null as an object: %v", err)
	}
	for _, text := range []string{`[1]`, `"a"`, `1`, `true`} {
		if p, ok := open(text).Object(never).(*problem); !ok || p.kind != WrongType {
			t.Errorf("%s passes as an object", text)
		}
	}
	for _, text := range []string{`{"a": 1}`, `"a"`, `1`, `false`} {
		if p, ok := open(text).Array(func() error { return never("") }).(*problem); !ok || p.kind != WrongType {
			t.Errorf("%s passes as an array", text)
		}
	}

	mine := errors.New("the caller's own")
	if err := open(`{"a": 1}`).Object(func(string) error { return mine }); err != mine {
		t.Errorf("a callback's error became %v", err)
	}
	if err := open(`[1]`).Array(func() error { return mine }); err != mine {
		t.Errorf("a callback's error became %v", err)
	}
}
