package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
)

// optional is a flag that knows whether it was given, for values whose zero means something.
type optional[T any] struct {
	value *T
	parse func(string) (T, error)
	kind  string
}

func (o *optional[T]) Set(text string) error {
	if text == "" { // a setting that is there and empty
		o.value = nil
		return nil
	}
	v, err := o.parse(text)
	if err != nil {
		return fmt.Errorf("wanted %s", o.kind)
	}
	o.value = &v
	return nil
}

func (o *optional[T]) String() string {
	if o.value == nil {
		return ""
	}
	return fmt.Sprint(*o.value)
}

func (o *optional[T]) Type() string { return o.kind }

func optionalFloat() optional[float32] {
	return optional[float32]{kind: "number", parse: func(s string) (float32, error) {
		v, err := strconv.ParseFloat(s, 32)
		return float32(v), err
	}}
}

func optionalSeed() optional[uint64] {
	return optional[uint64]{kind: "seed", parse: func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }}
}

func optionalBool() optional[bool] {
	return optional[bool]{kind: "true or false", parse: strconv.ParseBool}
}

// maskToken is --mask-token-id: an id, or none for a model that is to be treated as autoregressive.
type maskToken struct {
	id   *int32
	none bool
}

func (m *maskToken) Set(text string) error {
	*m = maskToken{}
	if strings.EqualFold(text, "none") {
		m.none = true
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil || v < 0 {
		return fmt.Errorf("wanted a token id or none")
	}
	id := int32(v)
	m.id = &id
	return nil
}

func (m *maskToken) String() string {
	switch {
	case m.none:
		return "none"
	case m.id != nil:
		return strconv.Itoa(int(*m.id))
	}
	return ""
}

func (m *maskToken) Type() string { return "id" }

// word is a flag whose value is one of a few words, in any case.
type word struct {
	value *string
	words []string
}

// oneOf makes a flag of a string that the zero value leaves to the model or the library.
func oneOf(value *string, words ...string) *word { return &word{value, words} }

// decodeModes are the values of --decode-mode where a model runs; only auto is not recorded in files.
var decodeModes = []string{names.ModeIterative, names.ModeGreedy, names.ModeAdaptive, names.ModeAutoregressive, "auto"}

func (w *word) Set(text string) error {
	for _, each := range w.words {
		if strings.EqualFold(text, each) {
			*w.value = each
			return nil
		}
	}
	if text == "" { // a setting that is there and empty
		*w.value = ""
		return nil
	}
	return fmt.Errorf("wanted %s%s", either(w.words), didYouMean("", text, w.words))
}

func (w *word) String() string {
	if w.value == nil { // the zero value, of which pflag asks its default
		return ""
	}
	return *w.value
}

func (w *word) Type() string { return "word" }

func (w *word) choices() []string { return w.words }

// tensorType is a flag that names a tensor type, in any case. An empty one means the command's own choice.
type tensorType struct {
	value gguf.Type
	given bool
	allow []gguf.Type // empty: all
}

func (t *tensorType) Set(text string) error {
	v, ok := gguf.ParseType(text)
	if !ok || !t.allowed(v) {
		return fmt.Errorf("wanted %s%s", either(t.choices()), didYouMean("", text, t.choices()))
	}
	t.value, t.given = v, true
	return nil
}

func (t *tensorType) allowed(v gguf.Type) bool {
	return len(t.allow) == 0 || slices.Contains(t.allow, v)
}

func (t *tensorType) choices() (names []string) {
	for _, name := range gguf.TypeNames() {
		if typ, _ := gguf.ParseType(name); t.allowed(typ) {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

func (t *tensorType) String() string {
	if !t.given {
		return ""
	}
	return strings.ToLower(t.value.String())
}

func (t *tensorType) Type() string { return "type" }

// byteSize is --split-max-size: a number of bytes with K, M or G behind it for thousands, as llama.cpp counts them.
type byteSize uint64

func (b *byteSize) Set(text string) error {
	unit := uint64(1)
	if n := len(text); n > 0 {
		if u, ok := map[byte]uint64{'K': 1e3, 'M': 1e6, 'G': 1e9}[text[n-1]&^0x20]; ok {
			unit, text = u, text[:n-1]
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || n > 1<<62/unit {
		return fmt.Errorf("wanted a size such as 2G or 500M")
	}
	*b = byteSize(n * unit)
	return nil
}

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*b), 10)
}

func (b *byteSize) Type() string { return "size" }

// idList is --token-ids: ids separated by commas or spaces.
type idList []int32

func (l *idList) Set(text string) error {
	ids := idList{}
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '[' || r == ']' }) {
		v, err := strconv.ParseInt(field, 10, 32)
		if err != nil || v < 0 {
			return fmt.Errorf("%q is not a token id; wanted ids separated by commas", field)
		}
		ids = append(ids, int32(v))
	}
	*l = ids
	return nil
}

func (l *idList) String() string {
	if len(*l) == 0 {
		return ""
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint([]int32(*l)), "[]"), " ", ",")
}

func (l *idList) Type() string { return "ids" }
