package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/engine"
)

// stream writes an answer as server-sent events: committed text alone, in order, never revised. Until the first event an error is an ordinary
// reply; later it is an event, and the connection ends without the stream's own end, so that nobody takes half an answer for a whole one.
func (s *Server) stream(x *exchange, a *answer, f form) error {
	silence := time.NewTimer(s.KeepAlive)
	defer silence.Stop()
	e, began, first := events{s: s, x: x}, time.Now(), true
	for {
		var event engine.Event
		var open bool
		select {
		case event, open = <-a.from.Events:
		case <-silence.C:
			silence.Reset(s.KeepAlive)
			if err := e.comment("keep-alive"); err != nil {
				return err
			}
			continue
		}
		if !open {
			break
		}
		if first {
			first = false
			s.metrics.firstToken.Observe(time.Since(began).Seconds())
			e.send("", f.begin(a)...)
		}
		if !a.infill { // or some of them were given
			x.tokens += len(event.Tokens)
		}
		if event.Result != nil {
			a.results[event.Choice] = event.Result
			if a.infill {
				x.tokens += event.Result.Stats.NewTokens
			}
		}
		e.send("wf.step", a.stepEvents(event)...)
		e.send("", f.event(a, event)...)
		if err := e.flush(); err != nil {
			return err
		}
		silence.Reset(s.KeepAlive)
	}
	if err := a.from.Err(); err != nil {
		if x.status != 0 {
			e.raw("data: " + string(problemOf(err).body(x.id)) + "\n\n")
			e.flush()
		}
		return err
	}
	if !a.complete() {
		return fmt.Errorf("the engine ended a request without a result")
	}
	e.send("", f.end(a)...)
	if done := f.done(); done != "" {
		e.raw("data: " + done + "\n\n")
	}
	return e.flush()
}

// events collects server-sent events until flush. The first error stays.
type events struct {
	s      *Server
	x      *exchange
	buffer bytes.Buffer
	err    error
}

func (e *events) raw(text string) { e.buffer.WriteString(text) }

// send adds one event for each value. An event without a name is what clients of OpenAI read.
func (e *events) send(name string, values ...any) {
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			e.err = err
			return
		}
		if name != "" {
			e.raw("event: " + name + "\n")
		}
		e.buffer.WriteString("data: ")
		e.buffer.Write(text)
		e.raw("\n\n")
	}
}

// comment writes a line that readers ignore.
func (e *events) comment(text string) error {
	e.raw(": " + text + "\n\n")
	return e.flush()
}

// flush writes what was collected. A client that does not take it in time is gone.
func (e *events) flush() error {
	if e.err != nil || e.buffer.Len() == 0 {
		return e.err
	}
	if e.x.status == 0 {
		h := e.x.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	}
	e.s.allow(e.x)
	if _, err := e.x.Write(e.buffer.Bytes()); err != nil {
		e.err = clientGone(err)
		return e.err
	}
	e.buffer.Reset()
	e.err = clientGone(http.NewResponseController(e.x).Flush())
	return e.err
}

// allow gives the client time to take what is written next.
func (s *Server) allow(x *exchange) {
	http.NewResponseController(x.reply).SetWriteDeadline(time.Now().Add(s.WriteTime))
}

// clientGone is the error of a write: nobody reads any more, or not fast enough.
func clientGone(err error) error {
	if err == nil {
		return nil
	}
	return fault.New("CANCELLED", "server: the client does not read: %w", err)
}
