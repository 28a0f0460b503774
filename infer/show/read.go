package show

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/strictjson"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// Limits of a trace. Every line but the first adds a position or a text that was not there before, so they bound the lines too.
const (
	maxTraceBytes = 256 << 20
	maxLineBytes  = 8 << 20
	maxPositions  = 1 << 20
	maxStops      = 1 << 10
	maxTextBytes  = 16 << 20 // of all texts together
	maxTokenBytes = 1 << 10  // of one
)

// ReadTrace reads a trace. What it keeps is bounded, whatever r holds. Errors name the line:
//
//	TRACE_MALFORMED    not JSON, not UTF-8, a line of no kind, a position taken twice, no event at all, ...
//	TRACE_UNSUPPORTED  a version that this build does not know
//	TRACE_LIMIT        more than 256 MiB, a line of more than 8 MiB, a position beyond 2^20, a text of more than 1 KiB, 16 MiB of them
//
// and r's own.
func ReadTrace(r io.Reader) (*Trace, error) {
	t := &traceReader{Trace: Trace{Texts: map[int32]string{}}, taken: make([]bool, maxPositions)}
	limited := &io.LimitedReader{R: r, N: maxTraceBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxLineBytes)
	for t.number = 1; lines.Scan(); t.number++ {
		if err := t.read(lines.Bytes()); err != nil {
			return nil, err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, t.limit("longer than %d bytes", maxLineBytes)
	case err != nil:
		return nil, err
	case limited.N == 0:
		return nil, t.limit("the trace is larger than %d bytes", maxTraceBytes)
	case len(t.Events) == 0:
		return nil, fault.New("TRACE_MALFORMED", "trace: %d lines and no event; wanted what wf generate --trace writes", t.number-1)
	}
	if t.Header.Version == 0 {
		t.Header.BlockSize = 1 << bits.Len(uint(t.widest)) // the least power of two that holds every position of every block
	}
	return &t.Trace, nil
}

type traceReader struct {
	Trace
	number    int    // of the line
	taken     []bool // by position
	textBytes int
	widest    int // distance of a position from its block's first
	step      int // denoise steps that the block has had
}

func (t *traceReader) malformed(format string, args ...any) error {
	return t.fail("TRACE_MALFORMED", format, args...)
}
func (t *traceReader) limit(format string, args ...any) error {
	return t.fail("TRACE_LIMIT", format, args...)
}

func (t *traceReader) fail(code, format string, args ...any) error {
	return fault.New(code, "trace: line %d: "+format, append([]any{t.number}, args...)...)
}

// problem is what strictjson has to say.
func (t *traceReader) problem(p strictjson.Problem, format string, args ...any) error {
	if p == strictjson.Limit {
		return t.limit(format, args...)
	}
	return t.malformed(format, args...)
}

// read reads a line of any kind: its keys tell which.
func (t *traceReader) read(line []byte) error {
	kind := ""
	err := eachKey(line, t.problem, func(key string) error {
		switch key {
		case "wf_trace", "texts", "event", "end":
			if kind != "" {
				return t.malformed("it has both %s and %s; wanted one", kind, key)
			}
			kind = key
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case t.End != nil:
		return t.malformed("it follows the end of the trace")
	}
	switch kind {
	case "wf_trace":
		return t.header(line)
	case "texts":
		return t.names(line)
	case "event":
		return t.event(line)
	case "end":
		return t.ending(line)
	}
	return t.malformed("wanted a header, texts, an event or an end; see docs/chat.md")
}

// eachKey checks a text that is to be one JSON object, and calls f for its keys. Those that differ in case alone would be one to encoding/json.
func eachKey(text []byte, fail func(p strictjson.Problem, format string, args ...any) error, f func(key string) error) error {
	doc, err := strictjson.New(text, fail)
	if err != nil {
		return err
	}
	if err := doc.Object(func(key string) error {
		if strings.ToLower(key) != key {
			return fail(strictjson.Malformed, "key %s; wanted lower case", fault.Quote(key))
		}
		if err := f(key); err != nil {
			return err
		}
		return doc.Skip()
	}); err != nil {
		return err
	}
	return doc.End()
}

// decode fills v from a line that eachKey has been through.
func (t *traceReader) decode(line []byte, v any) error {
	if err := json.Unmarshal(line, v); err != nil {
		return t.malformed("%s", fault.Quote(err.Error()))
	}
	return nil
}

func (t *traceReader) header(line []byte) error {
	if t.number != 1 {
		return t.malformed("a header; wanted it in the first line alone")
	}
	var version struct {
		Version int `json:"wf_trace"`
	}
	if err := t.decode(line, &version); err != nil {
		return err
	}
	if version.Version > TraceVersion {
		return t.fail("TRACE_UNSUPPORTED", "version %d; this build reads up to %d: use a newer wf", version.Version, TraceVersion)
	}
	h := &t.Header
	if err := t.decode(line, h); err != nil {
		return err
	}
	switch {
	case h.Version < 1:
		return t.malformed("version %d; wanted 1 or more", h.Version)
	case h.BlockSize < 1 || h.BlockSize > maxPositions:
		return t.malformed("block_size %d; wanted 1 to %d", h.BlockSize, maxPositions)
	case len(h.Prompt) == 0 || len(h.Prompt) > maxPositions:
		return t.malformed("%d prompt_ids; wanted 1 to %d", len(h.Prompt), maxPositions)
	case h.MaxTokens < 0:
		return t.malformed("max_tokens %d; wanted 0 or more", h.MaxTokens)
	case len(h.Stop) > maxStops:
		return t.malformed("%d stop_ids; wanted at most %d", len(h.Stop), maxStops)
	case len(h.Infill) > maxPositions:
		return t.malformed("infill has %d positions; wanted at most %d", len(h.Infill), maxPositions)
	}
	return nil
}

func (t *traceReader) names(line []byte) error {
	var texts struct {
		Texts map[string]tokenText `json:"texts"`
	}
	if err := t.decode(line, &texts); err != nil {
		return err
	}
	if len(texts.Texts) == 0 {
		return t.malformed("no texts; wanted at least one")
	}
	for key, text := range texts.Texts {
		id, err := strconv.ParseUint(key, 10, 31)
		if _, again := t.Texts[int32(id)]; err != nil || again || key != strconv.FormatUint(id, 10) {
			return t.malformed("text of %s; wanted a token id that had none yet", fault.Quote(key))
		}
		if len(text) > maxTokenBytes {
			return t.limit("the text of %d has %d bytes; this build reads up to %d", id, len(text), maxTokenBytes)
		}
		t.Texts[int32(id)] = string(text)
		if t.textBytes += len(text) + 1; t.textBytes > maxTextBytes {
			return t.limit("more than %d bytes of texts", maxTextBytes)
		}
	}
	return nil
}

func (t *traceReader) event(line []byte) error {
	var e diffusion.Event
	if err := t.decode(line, &e); err != nil {
		return err
	}
	last := -1
	for _, take := range e.Take {
		switch p := take.Position; {
		case p >= maxPositions:
			return t.limit("position %d; this build reads up to %d", p, maxPositions-1)
		case p <= last || t.taken[p]:
			return t.malformed("position %d; wanted positions that ascend and were not taken before", p)
		case t.Header.Version > 0 && p-e.Block >= t.Header.BlockSize:
			return t.malformed("position %d in the block of %d; wanted less than block_size %d behind it", p, e.Block, t.Header.BlockSize)
		case !(take.Confidence >= 0 && take.Confidence <= 1):
			return t.malformed("confidence %v; wanted 0 to 1", take.Confidence)
		default:
			last, t.taken[p], t.widest = p, true, max(t.widest, p-e.Block)
		}
	}
	if n := len(t.Events); n == 0 || t.Events[n-1].Block != e.Block {
		t.step = 0
	}
	switch e.Event {
	case eventNext:
		t.step = 0
	case eventDenoise:
		t.step++
		e.Pass = t.step
	default:
		e.Pass = t.step
	}
	t.Events = append(t.Events, e)
	return nil
}

func (t *traceReader) ending(line []byte) error {
	t.End = &End{}
	if err := t.decode(line, t.End); err != nil {
		return err
	}
	if n := t.End.NewTokens; n < 0 || n > maxPositions {
		return t.malformed("new_tokens %d; wanted 0 to %d", n, maxPositions)
	}
	return nil
}

// tokenText reads what wireText makes.
type tokenText string

func (t *tokenText) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		var values []uint16 // of []uint8 encoding/json would want base64
		if err := json.Unmarshal(text, &values); err != nil {
			return err
		}
		bytes := make([]byte, len(values))
		for i, v := range values {
			if v > 255 {
				return fmt.Errorf("byte %d of a text; wanted 0 to 255", v)
			}
			bytes[i] = byte(v)
		}
		*t = tokenText(bytes)
		return nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	*t = tokenText(s)
	return err
}
