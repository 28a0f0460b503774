package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Limits of the JSON files beside a checkpoint. Published ones stay far below: a config.json has 3 KiB and 4 levels, the largest
// tokenizer.json 33 MiB.
const (
	maxConfigBytes    = 4 << 20
	maxTokenizerBytes = 64 << 20
	maxDepth          = 64
	maxKeys           = 1 << 20 // in one object
)

// family is the first word of the codes of one kind of file: CONFIG or TOKENIZER.
type family string

// What can be wrong with a JSON file, whatever it describes.
const (
	badJSON      = "_BAD_JSON"
	badValue     = "_BAD_VALUE"
	missingKey   = "_MISSING_KEY"
	duplicateKey = "_DUPLICATE_KEY"
	limit        = "_LIMIT"
)

// document is one JSON file, read token by token, so that its memory is bounded by what the caller keeps.
type document struct {
	name string // base name, for messages
	family
	*json.Decoder
}

// newDocument checks what the decoder lets pass, in one pass over the bytes: nesting, UTF-8 and halves of surrogate pairs, which
// encoding/json would replace by U+FFFD and so fold different names into one.
func newDocument(name string, data []byte, f family) (*document, error) {
	d := &document{name: name, family: f}
	if !utf8.Valid(data) {
		return nil, d.fail(badJSON, "it is not UTF-8")
	}
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
			if n := surrogate(data[min(i, len(data)):]); n < 0 {
				return nil, d.fail(badJSON, "byte %d: half of a surrogate pair", i)
			} else {
				i += n
			}
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return nil, d.fail(limit, "byte %d: nested deeper than %d", i, maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	d.Decoder = json.NewDecoder(bytes.NewReader(data))
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

func (d *document) fail(kind, format string, args ...any) error {
	return fault.New(string(d.family)+kind, "%s: "+format, append([]any{d.name}, args...)...)
}

func (d *document) token() (json.Token, error) {
	offset := d.InputOffset()
	t, err := d.Token()
	if err != nil {
		return nil, d.fail(badJSON, "near byte %d: %s", offset, fault.Quote(err.Error()))
	}
	return t, nil
}

// object reads an object and calls f behind each key; f must read the value. A null is an empty object.
func (d *document) object(f func(key string) error) error {
	t, err := d.token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return d.fail(badValue, "near byte %d: want an object", d.InputOffset())
	}
	return d.members(f)
}

// members reads an object behind its brace.
func (d *document) members(f func(key string) error) error {
	seen := map[string]bool{}
	for d.More() {
		t, err := d.token()
		if err != nil {
			return err
		}
		key := t.(string) // the decoder lets nothing else stand before a colon
		if seen[key] {
			return d.fail(duplicateKey, "near byte %d: key %s appears twice", d.InputOffset(), fault.Quote(key))
		}
		if len(seen) == maxKeys {
			return d.fail(limit, "near byte %d: an object has more than %d keys", d.InputOffset(), maxKeys)
		}
		seen[key] = true
		if err := f(key); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
}

// array reads an array and calls f before each element, which f must read. A null is an empty array.
func (d *document) array(f func() error) error {
	t, err := d.token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return d.fail(badValue, "near byte %d: want an array", d.InputOffset())
	}
	return d.elements(f)
}

func (d *document) elements(f func() error) error {
	for d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
}

// value reads any value: map[string]any, []any, string, json.Number, bool or nil.
func (d *document) value() (any, error) {
	t, err := d.token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		members := map[string]any{}
		return members, d.members(func(key string) error {
			v, err := d.value()
			members[key] = v
			return err
		})
	case json.Delim('['):
		elements := []any{}
		return elements, d.elements(func() error {
			v, err := d.value()
			elements = append(elements, v)
			return err
		})
	}
	return t, nil
}

// skip reads any value and keeps nothing.
func (d *document) skip() error {
	for depth := 0; ; {
		t, err := d.token()
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

// end refuses anything behind the top value.
func (d *document) end() error {
	if _, err := d.Token(); err != io.EOF {
		return d.fail(badJSON, "near byte %d: text follows the document", d.InputOffset())
	}
	return nil
}

// readObject reads a whole small file that must hold one object.
func readObject(name string, data []byte, f family) (fields, error) {
	d, err := newDocument(name, data, f)
	if err != nil {
		return fields{}, err
	}
	v, err := d.value()
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return fields{}, err
	}
	members, ok := v.(map[string]any)
	if !ok {
		return fields{}, d.fail(badJSON, "want an object")
	}
	return fields{doc: d, members: members, problems: new([]error)}, nil
}

// fields reads the members of an object with their ranges and collects every problem. A null counts as absent.
type fields struct {
	doc      *document
	path     string // "rope_scaling." inside that object
	members  map[string]any
	problems *[]error
}

func (f fields) err() error {
	if f.problems == nil {
		return nil
	}
	return errors.Join(*f.problems...)
}

func (f fields) wrong(key, want string) {
	*f.problems = append(*f.problems, f.doc.fail(badValue, "%s is %s; want %s", fault.Quote(f.path+key), show(f.members[key]), want))
}

// missing notes that a required key is not there.
func (f fields) missing(key string) {
	*f.problems = append(*f.problems, f.doc.fail(missingKey, "%s is missing", fault.Quote(f.path+key)))
}

// unsupported notes a value that is well formed and beyond wf.
func (f fields) unsupported(format string, args ...any) {
	*f.problems = append(*f.problems, fault.New("UNSUPPORTED_CONFIG", "%s: "+format, append([]any{f.doc.name}, args...)...))
}

// show prints a value for a message.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return fault.Quote(v)
	case json.Number:
		return fault.Quote(v.String())
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case bool:
		return strconv.FormatBool(v)
	}
	return "null"
}

func (f fields) has(key string) bool { return f.members[key] != nil }

// lookup finds a member of one Go type.
func lookup[T any](f fields, key, want string) (T, bool) {
	v, ok := f.members[key].(T)
	if !ok && f.has(key) {
		f.wrong(key, want)
	}
	return v, ok
}

func (f fields) text(key string) (string, bool) { return lookup[string](f, key, "text") }

func (f fields) boolean(key string) (value, ok bool) { return lookup[bool](f, key, "true or false") }

// integer reads a whole number in [lo, hi].
func (f fields) integer(key string, lo, hi int64) (int64, bool) {
	want := "a whole number from " + strconv.FormatInt(lo, 10) + " to " + strconv.FormatInt(hi, 10)
	n, ok := lookup[json.Number](f, key, want)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || v < lo || v > hi {
		f.wrong(key, want)
		return 0, false
	}
	return v, true
}

// number reads a number in [lo, hi].
func (f fields) number(key string, lo, hi float64) (float64, bool) {
	want := "a number from " + strconv.FormatFloat(lo, 'g', -1, 64) + " to " + strconv.FormatFloat(hi, 'g', -1, 64)
	n, ok := lookup[json.Number](f, key, want)
	if !ok {
		return 0, false
	}
	v, err := n.Float64()
	if err != nil || !(v >= lo && v <= hi) {
		f.wrong(key, want)
		return 0, false
	}
	return v, true
}

func (f fields) requiredInteger(key string, hi int64) int {
	if !f.has(key) {
		f.missing(key)
	}
	v, _ := f.integer(key, 1, hi)
	return int(v)
}

func (f fields) requiredNumber(key string, lo, hi float64) float64 {
	if !f.has(key) {
		f.missing(key)
	}
	v, _ := f.number(key, lo, hi)
	return v
}

// object returns a member that is an object.
func (f fields) object(key string) (fields, bool) {
	members, ok := lookup[map[string]any](f, key, "an object")
	return fields{doc: f.doc, path: f.path + key + ".", members: members, problems: f.problems}, ok
}

// texts reads an array of strings; nil if absent.
func (f fields) texts(key string) []string {
	list, ok := lookup[[]any](f, key, "an array of texts")
	if !ok {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			f.wrong(key, "an array of texts")
			return nil
		}
	}
	return out
}

// ids reads a token id or a list of them; nil if absent.
func (f fields) ids(key string) []int32 {
	list, isList := f.members[key].([]any)
	if !isList {
		if id, ok := f.integer(key, 0, maxTokens-1); ok {
			return []int32{int32(id)}
		}
		return nil
	}
	element := fields{doc: f.doc, path: f.path, members: map[string]any{}, problems: f.problems}
	var out []int32
	for _, v := range list {
		element.members[key] = v
		if id, ok := element.integer(key, 0, maxTokens-1); ok {
			out = append(out, int32(id))
		}
	}
	return out
}
