package convert

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/strictjson"
)

// Limits of the JSON files beside a checkpoint. Published ones stay far below: a config.json has 3 KiB, the largest tokenizer.json 33 MiB.
const (
	maxConfigBytes    = 4 << 20
	maxTokenizerBytes = 64 << 20
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

// problems are the kinds of strictjson as codes.
var problems = [...]string{
	strictjson.Malformed: badJSON, strictjson.WrongType: badValue, strictjson.Duplicate: duplicateKey, strictjson.Limit: limit,
}

// document is one JSON file, read token by token.
type document struct {
	*strictjson.Document
	name string // base name, for messages
	family
}

func newDocument(name string, data []byte, f family) (d *document, err error) {
	d = &document{name: name, family: f}
	d.Document, err = strictjson.New(data, func(p strictjson.Problem, format string, args ...any) error {
		return d.fail(problems[p], format, args...)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *document) fail(kind, format string, args ...any) error {
	return fault.New(string(d.family)+kind, "%s: "+format, append([]any{d.name}, args...)...)
}

// readObject reads a whole small file that must hold one object.
func readObject(name string, data []byte, f family) (fields, error) {
	d, err := newDocument(name, data, f)
	if err != nil {
		return fields{}, err
	}
	v, err := d.Value()
	if err == nil {
		err = d.End()
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
