package show

import (
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/wrinklefree/wf/infer/diffusion"
)

// Writer writes a trace. The first error stays, and is what every later call returns.
type Writer struct {
	lines *json.Encoder
	text  func(id int32) string
	named map[int32]bool
	err   error
}

// NewWriter writes the header and the texts of its ids. text returns the bytes of an id.
func NewWriter(w io.Writer, h Header, text func(id int32) string) *Writer {
	t := &Writer{lines: json.NewEncoder(w), text: text, named: map[int32]bool{}}
	t.lines.SetEscapeHTML(false)
	h.Version = TraceVersion
	t.line(h)
	t.name(h.Prompt)
	t.name(h.Infill)
	return t
}

// Event writes a pass, behind the texts of the ids that are new in it.
func (t *Writer) Event(e diffusion.Event) error {
	ids := make([]int32, len(e.Take))
	for i, take := range e.Take {
		ids[i] = take.ID
	}
	t.name(ids)
	return t.line(e)
}

// End writes the last line.
func (t *Writer) End(e End) error { return t.line(e) }

func (t *Writer) line(v any) error {
	if t.err == nil {
		t.err = t.lines.Encode(v)
	}
	return t.err
}

// name writes the texts of those ids that have had none.
func (t *Writer) name(ids []int32) {
	texts := map[string]any{}
	for _, id := range ids {
		if !t.named[id] && id != masked {
			t.named[id] = true
			texts[strconv.Itoa(int(id))] = wireText(t.text(id))
		}
	}
	if len(texts) > 0 {
		t.line(map[string]any{"texts": texts})
	}
}

// wireText is the bytes of a token as they stand in JSON: a string, or numbers where they are not UTF-8.
func wireText(text string) any {
	if utf8.ValidString(text) {
		return text
	}
	numbers := make([]int, len(text))
	for i := range numbers {
		numbers[i] = int(text[i])
	}
	return numbers
}
