package server

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/strictjson"
)

const maxUnused = 64 // members without effect that one request may have

// body is a request's JSON object, read member by member into what the route wants. Nothing else of it is kept.
type body struct {
	*strictjson.Document
	param  string // the path of the member at hand, such as messages[2].content
	strict bool
	unused []string // members that have no effect
}

// members says how each member of an object is read. Whatever has no line has no effect, unless "" reads it.
type members map[string]func(*body) error

// read reads a request's body, within the limits of size, time and type.
func (s *Server) read(x *exchange, tables ...members) (*body, error) {
	in := x.Request.Header
	if encoding := in.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding", text: "the body is compressed; send it as it is"}
	}
	if kind, _, err := mime.ParseMediaType(in.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", text: "wanted Content-Type: application/json"}
	}
	control := http.NewResponseController(x.reply)
	control.SetReadDeadline(time.Now().Add(s.BodyTime))
	data, err := io.ReadAll(http.MaxBytesReader(x.reply, x.Body, s.Body))
	if err != nil {
		return nil, bodyProblem(err)
	}
	control.SetReadDeadline(time.Time{})
	if s.LogBodies {
		s.Log.Info("request body", "request", x.id, "body", string(data))
	}
	b := &body{strict: s.Strict}
	if b.Document, err = strictjson.New(data, b.malformed); err != nil {
		return nil, err
	}
	if err := b.object(tables...); err != nil {
		return nil, err
	}
	b.param = ""
	return b, b.End()
}

func bodyProblem(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &problem{status: http.StatusRequestEntityTooLarge, code: "request_too_large",
			text: "the body is larger than " + strconv.FormatInt(large.Limit, 10) + " bytes"}
	}
	var late interface{ Timeout() bool }
	if errors.As(err, &late) && late.Timeout() {
		return &problem{status: http.StatusRequestTimeout, code: "timeout", text: "the body did not arrive in time"}
	}
	return invalid("", "the body ends early or is badly framed")
}

func (b *body) malformed(p strictjson.Problem, format string, args ...any) error {
	param := "" // it is the body that is wrong, wherever the reader stands
	if p == strictjson.WrongType {
		param = b.param
	}
	return invalid(param, "the body is not acceptable JSON: "+format, args...)
}

func (b *body) wrong(format string, args ...any) error {
	return invalid(b.param, b.param+" "+format, args...)
}

// object reads an object whose members are in the tables; the first that has one counts. A null is an empty object.
func (b *body) object(tables ...members) error {
	outer := b.param
	defer func() { b.param = outer }()
	t, err := b.Next()
	if err != nil || t == nil && outer != "" {
		return err
	}
	if t != json.Delim('{') {
		return invalid(outer, "%s is not an object", strings.TrimSpace("the body "+outer))
	}
	return b.Members(func(key string) error {
		b.param = strings.TrimPrefix(outer+"."+key, ".")
		for _, table := range tables {
			if read := table[key]; read != nil {
				return read(b)
			}
		}
		if other := tables[0][""]; other != nil {
			return other(b)
		}
		return b.ignore(key)
	})
}

// ignore passes over a member that has no effect, and remembers it unless it says nothing either.
func (b *body) ignore(key string) error {
	if len(key) > 64 {
		b.param = ""
		return invalid("", "a member has a name of %d bytes", len(key))
	}
	if b.strict {
		return badRequest("unknown_parameter", b.param, "%s is not a parameter of this server, and it is strict", fault.Quote(b.param))
	}
	path := unindexed(b.param)
	if !slices.Contains(b.unused, path) {
		if len(b.unused) == maxUnused {
			return invalid("", "more than %d members mean nothing here", maxUnused)
		}
		b.unused = append(b.unused, path)
	}
	return b.Skip()
}

// unindexed takes the numbers out of a path: what a thousand messages have in common is told once.
func unindexed(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, "[") {
		if at := strings.IndexByte(part, ']'); at >= 0 && b.Len() > 0 {
			part = "[" + part[at:]
		}
		b.WriteString(part)
	}
	return b.String()
}

// scalar reads a value that is neither object nor array; nil for null.
func (b *body) scalar(want string) (json.Token, error) {
	t, err := b.Next()
	if _, nested := t.(json.Delim); err == nil && nested {
		return nil, b.wrong("is an object or an array; wanted %s", want)
	}
	return t, err
}

// text reads a string of at most limit bytes into to; a null leaves it as it is.
func (b *body) text(to *string, limit int) error {
	t, err := b.scalar("text")
	if err != nil || t == nil {
		return err
	}
	text, ok := t.(string)
	if !ok {
		return b.wrong("is not text")
	}
	if len(text) > limit {
		return b.wrong("has %d bytes; wanted at most %d", len(text), limit)
	}
	*to = text
	return nil
}

func (b *body) boolean(to *bool) error {
	t, err := b.scalar("true or false")
	if err != nil || t == nil {
		return err
	}
	v, ok := t.(bool)
	if !ok {
		return b.wrong("is neither true nor false")
	}
	*to = v
	return nil
}

// digits reads a number as it is written; "" for null.
func (b *body) digits() (string, error) {
	t, err := b.scalar("a number")
	if err != nil || t == nil {
		return "", err
	}
	n, ok := t.(json.Number)
	if !ok {
		return "", b.wrong("is not a number")
	}
	return n.String(), nil
}

func (b *body) integer(to *int, low, high int) error {
	text, err := b.digits()
	if err != nil || text == "" {
		return err
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < low || v > high {
		return b.wrong("is %s; wanted a whole number from %d to %d", fault.Quote(text), low, high)
	}
	*to = v
	return nil
}

func (b *body) number(to *float32, low, high float64) error {
	text, err := b.digits()
	if err != nil || text == "" {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= low && v <= high) {
		return b.wrong("is %s; wanted a number from %v to %v", fault.Quote(text), low, high)
	}
	*to = float32(v)
	return nil
}

// probability reads a number from 0 to 1 that may be absent.
func (b *body) probability(to **float32) error {
	v := float32(math.NaN())
	err := b.number(&v, 0, 1)
	if v == v {
		*to = &v
	}
	return err
}

// list reads an array of at most so many elements. A null is an empty one.
func (b *body) list(limit int, element func() error) error {
	t, err := b.Next()
	if err != nil || t == nil {
		return err
	}
	if !isArray(t) {
		return b.wrong("is not a list")
	}
	return b.elements(limit, element)
}

func isArray(t json.Token) bool { return t == json.Delim('[') }

// elements reads an array behind its bracket.
func (b *body) elements(limit int, element func() error) error {
	outer, n := b.param, 0
	defer func() { b.param = outer }()
	return b.Elements(func() error {
		if n == limit {
			return invalid(outer, "%s has more than %d elements", outer, limit)
		}
		b.param = outer + "[" + strconv.Itoa(n) + "]"
		n++
		return element()
	})
}
