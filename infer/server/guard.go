package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

// exchange is a request and its reply, with what log and metrics will say of them.
type exchange struct {
	*http.Request
	reply  http.ResponseWriter
	id     string // of the request, also in the reply's header X-Request-Id
	route  string // the pattern that matched; "other" for none
	model  string // the model's name; "other" if the client named one that is not here
	status int    // 0 while nothing is written
	code   string // of the error that it ended with
	tokens int    // new ones
}

// Header returns the reply's; the request's is x.Request.Header.
func (x *exchange) Header() http.Header { return x.reply.Header() }

// WriteHeader begins the reply.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.reply.WriteHeader(status)
}

// Write writes the reply's body.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.reply.Write(b)
}

// Unwrap lets http.ResponseController through.
func (x *exchange) Unwrap() http.ResponseWriter { return x.reply }

// fail ends the exchange with an error. Behind the first byte nothing but the connection's end can tell the client.
func (x *exchange) fail(p *problem) {
	x.code = p.code
	if x.status == 0 {
		p.write(x, x.id)
	}
	x.status = p.status
}

// guard stands before every route: it names the request, bounds its time, contains panics, and logs one line.
func (s *Server) guard(next func(*exchange) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		defer s.connections.work(r.Context())()
		ctx, cancel := context.WithTimeout(r.Context(), s.RequestTime)
		defer cancel()
		x := &exchange{reply: w, Request: r.WithContext(ctx), id: "req_" + strings.ToLower(rand.Text()), route: otherLabel, model: otherLabel}
		h := w.Header()
		h.Set("X-Request-Id", x.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		var abort bool
		defer func() {
			if v := recover(); v != nil {
				if abort = v == http.ErrAbortHandler || x.status != 0; v != http.ErrAbortHandler {
					s.logPanic(x.id, v)
					x.fail(problemOf(fmt.Errorf("panic")))
				}
			}
			s.metrics.observe(x, time.Since(began))
			s.logRequest(x, time.Since(began))
			if abort {
				panic(http.ErrAbortHandler) // closes the connection
			}
		}()
		if err := next(x); err != nil {
			p := problemOf(err)
			if p.code == "internal_error" {
				s.Log.Error("internal error", "request", x.id, "code", fault.Code(err))
			}
			begun := x.status != 0
			x.fail(p)
			if begun || p.status == statusClientClosed {
				panic(http.ErrAbortHandler)
			}
		}
	})
}

// logPanic tells of a panic without what a request holds: an error of the Go runtime is told, any other value only by its type.
func (s *Server) logPanic(id string, v any) {
	what := fmt.Sprintf("%T", v)
	if r, ok := v.(runtime.Error); ok {
		what = r.Error()
	}
	s.metrics.panics.Inc()
	s.Log.Error("panic", "request", id, "what", what, "stack", string(debug.Stack()))
}

func (s *Server) logRequest(x *exchange, took time.Duration) {
	level := slog.LevelInfo
	if x.status >= 500 {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("request", x.id), slog.String("method", cut(x.Method, 16)), slog.String("path", cut(x.URL.Path, 128)),
		slog.Int("status", x.status), slog.Duration("took", took.Round(time.Microsecond)),
	}
	if x.code != "" {
		attrs = append(attrs, slog.String("code", x.code))
	}
	if x.tokens > 0 {
		attrs = append(attrs, slog.Int("tokens", x.tokens))
	}
	s.Log.LogAttrs(context.Background(), level, "request", attrs...)
}

// cut keeps a log line short.
func cut(text string, limit int) string { return text[:min(len(text), limit)] }

// quiet drops what net/http logs of broken connections: it has addresses in it and, of a bad header, what the client sent.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Message = "connection ended early or was not HTTP"
	return q.Handler.Handle(ctx, r)
}
