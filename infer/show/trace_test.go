package show

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// vocabulary has a character that two tokens share, what a terminal would obey, and a text of two columns a character.
var vocabulary = map[int32]string{1: "The", 2: " cat", 3: "\xc3", 4: "\xa9", 5: "\x1b[31m\n", 6: "日本", 7: ".", 8: "<end>"}

func textOf(id int32) string { return vocabulary[id] }

func sample() (Header, []diffusion.Event, End) {
	half, seed := float32(0.5), uint64(7)
	return Header{
			Version: TraceVersion, Program: "0.1.0", Model: "m", Dialect: "fast-dllm-v2", Mode: "iterative", Threshold: &half, BlockSize: 8, SubBlockSize: 4,
			Context: 64, Stop: []int32{8}, Prompt: []int32{1, 5},
		}, []diffusion.Event{
			{Event: "denoise", Sub: 0, Pass: 1, Take: []diffusion.Take{{Position: 2, ID: 1, Confidence: 0.95}, {Position: 3, ID: 2, Confidence: 0.75}}},
			{Event: "denoise", Sub: 4, Pass: 2, Take: []diffusion.Take{{Position: 4, ID: 3, Confidence: 0.5}, {Position: 5, ID: 4, Confidence: 0.25}}},
			{Event: "denoise", Sub: 4, Pass: 3, Take: []diffusion.Take{{Position: 6, ID: 6, Confidence: 1}, {Position: 7, ID: 7, Confidence: 1}}},
			{Event: "next", Block: 8, Sub: diffusion.NoSub, Take: []diffusion.Take{{Position: 8, ID: 5}}},
			{Event: "fill", Block: 8, Sub: diffusion.NoSub, Take: []diffusion.Take{{Position: 9, ID: 8, Confidence: 0.125}}},
		}, End{"stop", 8, &seed}
}

func written(t testing.TB) string {
	h, events, end := sample()
	var b bytes.Buffer
	w := NewWriter(&b, h, textOf)
	for _, e := range events {
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(end); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestTraceReturns reads what was written.
func TestTraceReturns(t *testing.T) {
	h, events, end := sample()
	got, err := ReadTrace(strings.NewReader(written(t)))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Trace{h, vocabulary, events, &end}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	w := NewWriter(brokenPipe{}, h, textOf)
	if err := w.End(end); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing into nothing: %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestGoldenTraces reads the reference program's lines, which have no header, and draws them to their end.
func TestGoldenTraces(t *testing.T) {
	text, err := os.ReadFile("../../testdata/tinydlm/golden/traces.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens []struct {
		Name   string            `json:"name"`
		Prompt []int32           `json:"prompt_ids"`
		IDs    []int32           `json:"new_ids"`
		Trace  []json.RawMessage `json:"trace"`
	}
	if err := json.Unmarshal(text, &goldens); err != nil || len(goldens) == 0 {
		t.Fatal(err)
	}
	for _, g := range goldens {
		trace, err := ReadTrace(strings.NewReader(join(g.Trace)))
		if err != nil {
			t.Fatalf("%s: %v", g.Name, err)
		}
		v := trace.View(nil)
		for _, e := range trace.Events {
			v.Apply(e)
		}
		if v.first != len(g.Prompt) || v.settled-v.first < len(g.IDs) {
			t.Fatalf("%s: answer from %d to %d, want %d to at least %d", g.Name, v.first, v.settled, len(g.Prompt), len(g.Prompt)+len(g.IDs))
		}
		for i, id := range g.IDs {
			if v.cells[i].id != id {
				t.Errorf("%s: position %d is %d, want %d", g.Name, i, v.cells[i].id, id)
			}
		}
	}
}

func join(lines []json.RawMessage) string {
	var b strings.Builder
	for _, line := range lines {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

const header = `{"wf_trace":1,"wf":"0.1.0","model":"m","mode":"","block_size":8,"ctx_size":64,"temperature":0,"stop_ids":[],"prompt_ids":[1,2]}` + "\n"

// TestHostileTraces: whatever stands in a trace is an error with a code and one line of printable text.
func TestHostileTraces(t *testing.T) {
	for _, c := range []struct{ name, text, code string }{
		{"nothing", "", "TRACE_MALFORMED"},
		{"header alone", header, "TRACE_MALFORMED"},
		{"no JSON", "\x1b[31mhello\n", "TRACE_MALFORMED"},
		{"not UTF-8", "{\"event\":\"\xff\"}\n", "TRACE_MALFORMED"},
		{"half a surrogate", `{"texts":{"1":"\ud800"}}`, "TRACE_MALFORMED"},
		{"an array", "[1]\n", "TRACE_MALFORMED"},
		{"empty line", "\n", "TRACE_MALFORMED"},
		{"two objects", `{"event":"next","pos":1,"token":2}{}`, "TRACE_MALFORMED"},
		{"key twice", `{"event":"next","pos":1,"pos":2,"token":2}`, "TRACE_MALFORMED"},
		{"key in another case", `{"event":"next","pos":1,"POS":2,"token":2}`, "TRACE_MALFORMED"},
		{"deep", `{"event":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "TRACE_LIMIT"},
		{"no kind", `{"hello":1}`, "TRACE_MALFORMED"},
		{"two kinds", `{"event":"next","pos":1,"token":2,"end":"stop"}`, "TRACE_MALFORMED"},
		{"unknown event", `{"event":"explode","block":0,"take":[[0,1,1]]}`, "TRACE_MALFORMED"},
		{"no take", `{"event":"denoise","block":0,"take":[]}`, "TRACE_MALFORMED"},
		{"take of two", `{"event":"denoise","block":0,"take":[[0,1]]}`, "TRACE_MALFORMED"},
		{"position of a billion", `{"event":"denoise","block":1000000000,"take":[[1000000000,1,1]]}`, "TRACE_LIMIT"},
		{"position beyond 64 bits", `{"event":"next","pos":99999999999999999999,"token":1}`, "TRACE_MALFORMED"},
		{"negative position", `{"event":"next","pos":-1,"token":1}`, "TRACE_MALFORMED"},
		{"position far from its block", header + `{"event":"denoise","block":0,"take":[[8,1,1]]}`, "TRACE_MALFORMED"},
		{"positions that fall", `{"event":"denoise","block":0,"take":[[2,1,1],[1,1,1]]}`, "TRACE_MALFORMED"},
		{"position twice", `{"event":"next","pos":1,"token":1}` + "\n" + `{"event":"next","pos":1,"token":1}`, "TRACE_MALFORMED"},
		{"confidence of two", `{"event":"denoise","block":0,"take":[[0,1,2]]}`, "TRACE_MALFORMED"},
		{"negative token", `{"event":"next","pos":1,"token":-1}`, "TRACE_MALFORMED"},
		{"header below", `{"event":"next","pos":1,"token":1}` + "\n" + header, "TRACE_MALFORMED"},
		{"version 0", strings.Replace(header, `trace":1`, `trace":0`, 1), "TRACE_MALFORMED"},
		{"version 2", strings.Replace(header, `trace":1`, `trace":2`, 1), "TRACE_UNSUPPORTED"},
		{"version in words", strings.Replace(header, `trace":1`, `trace":"one"`, 1), "TRACE_MALFORMED"},
		{"block of 0", strings.Replace(header, `size":8`, `size":0`, 1), "TRACE_MALFORMED"},
		{"block of a billion", strings.Replace(header, `size":8`, `size":1000000000`, 1), "TRACE_MALFORMED"},
		{"no prompt", strings.Replace(header, "[1,2]", "[]", 1), "TRACE_MALFORMED"},
		{"no texts", `{"texts":{}}`, "TRACE_MALFORMED"},
		{"text of no id", `{"texts":{"one":"a"}}`, "TRACE_MALFORMED"},
		{"id with a zero before it", `{"texts":{"01":"a"}}`, "TRACE_MALFORMED"},
		{"text twice", `{"texts":{"1":"a"}}` + "\n" + `{"texts":{"1":"b"}}`, "TRACE_MALFORMED"},
		{"text of a number", `{"texts":{"1":1}}`, "TRACE_MALFORMED"},
		{"byte of 256", `{"texts":{"1":[256]}}`, "TRACE_MALFORMED"},
		{"text of 2 KiB", `{"texts":{"1":"` + strings.Repeat("a", 2048) + `"}}`, "TRACE_LIMIT"},
		{"line of 9 MiB", `{"a":"` + strings.Repeat("a", 9<<20) + `"}`, "TRACE_LIMIT"},
		{"more after the end", `{"event":"next","pos":1,"token":1}` + "\n" + `{"end":"stop","new_tokens":1}` + "\n" + `{"event":"next","pos":2,"token":1}`, "TRACE_MALFORMED"},
		{"end of minus one", `{"end":"stop","new_tokens":-1}`, "TRACE_MALFORMED"},
		{"max_tokens of minus one", strings.Replace(header, `"model"`, `"max_tokens":-1,"model"`, 1), "TRACE_MALFORMED"},
		{"2000 stop tokens", strings.Replace(header, `ids":[]`, `ids":[1`+strings.Repeat(",1", 2000)+`]`, 1), "TRACE_MALFORMED"},
		{"infill of text", strings.Replace(header, `"model"`, `"infill":"x","model"`, 1), "TRACE_MALFORMED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace, err := ReadTrace(strings.NewReader(c.text))
			if fault.Code(err) != c.code || trace != nil {
				t.Fatalf("got %v (code %q), want code %s", err, fault.Code(err), c.code)
			}
			if text := err.Error(); Visible(text) != text {
				t.Errorf("the message carries what a terminal obeys: %q", text)
			}
		})
	}
}

// TestEndlessTraces: lines that go on for ever end at a limit, with what is kept bounded.
func TestEndlessTraces(t *testing.T) {
	for _, c := range []struct {
		name string
		line func(n int) string
	}{
		{"one line for ever", func(n int) string { return strings.Repeat("a", 1<<16) }},
		{"ever new texts", func(n int) string {
			return `{"texts":{"` + itoa(n) + `":"` + strings.Repeat("a", 1000) + `"}}` + "\n"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ReadTrace(&endless{line: c.line}); fault.Code(err) != "TRACE_LIMIT" {
				t.Errorf("got %v, want TRACE_LIMIT", err)
			}
		})
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

type endless struct {
	line func(n int) string
	n    int
	rest string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.line(e.n)
		e.n++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// FuzzReadTrace: any bytes give an error with a code, or a trace whose pictures keep to their columns and hold nothing that a terminal obeys but
// their own attributes.
func FuzzReadTrace(f *testing.F) {
	f.Add(written(f))
	f.Add(header + `{"event":"denoise","block":0,"sub":0,"take":[[2,1,0.9],[3,2,0.1]]}`)
	f.Add(`{"event":"next","pos":3,"token":5}` + "\n" + `{"event":"denoise","block":3,"take":[[5,1,0.5]]}`)
	f.Add(strings.Replace(header, `"model"`, `"max_tokens":9223372036854775807,"model"`, 1) + `{"event":"next","pos":2,"token":1}`)
	f.Add(`{"texts":{"5":[27,91,51,49,109],"6":"\u202e\u0000日本"}}` + "\n" + `{"event":"next","pos":0,"token":6}` + "\n" + `{"event":"next","pos":1,"token":5}`)
	f.Add(strings.Replace(header, `"model"`, `"infill":[-1,5,-1],"model"`, 1) + `{"event":"fill","block":0,"take":[[2,1,0.9],[4,2,0.1]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := ReadTrace(strings.NewReader(text))
		if err != nil {
			if fault.Code(err) == "" {
				t.Fatalf("no code: %v", err)
			}
			return
		}
		v := trace.View(nil)
		for i, e := range trace.Events {
			v.Apply(e)
			if line := Line(e, trace.Text(nil)); Visible(line) != line {
				t.Fatalf("line %q", line)
			}
			if i < 8 {
				checkPicture(t, v.Picture(40, 10, i%2 == 0), 40, 10)
			}
		}
	})
}
