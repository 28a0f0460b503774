// Package server answers HTTP requests with one model: OpenAI's chat and text completions, llama.cpp's own routes, health and metrics.
//
//	connection -> limits (connections, header, time) -> host -> origin -> key -> route -> strict JSON -> engine -> JSON or events
//
// Whatever a client sends, it gets an answer in OpenAI's shape of errors, and costs no more than Options allow. Nothing that a request names is ever
// opened: no path, no URL. Nothing of a conversation is logged unless Options.LogBodies asks for it.
//
// docs/api.md is the reference of the routes.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// Options of a server. The zero value works.
type Options struct {
	Version        string        // of wf, for /version and /props
	Keys           []string      // one of them must come with a request; none: everyone may ask
	AllowedHosts   []string      // names that a Host header may have besides those of the address, with a port or for any port
	AllowedOrigins []string      // pages of other sites that may ask: https://app.example
	TLS            *tls.Config   // nil: plain HTTP
	Strict         bool          // refuses members of a request that have no effect
	LogBodies      bool          // logs what is asked, with the conversation in it
	Log            *slog.Logger  // nil: no log
	Body           int64         // bytes of a request's body; 0: 4 MiB
	Connections    int           // at a time; 0: 2048. Beyond them the one that has been silent for longest is closed
	RequestTime    time.Duration // from a request's header to the end of its answer; 0: 10 min
	HeaderTime     time.Duration // for a header to arrive; 0: 10 s
	BodyTime       time.Duration // for a body to arrive; 0: 30 s
	WriteTime      time.Duration // for the client to take what is written; 0: 20 s
	KeepAlive      time.Duration // between comments that keep a silent stream alive; 0: 15 s
}

const (
	maxHeader = 16 << 10
	idleTime  = 2 * time.Minute // of a connection between requests
)

// Model is what requests run on.
type Model struct {
	Name        string // clients may also call it "default", or not name it
	Config      *infer.Config
	Tokenizer   *tokenizer.Tokenizer
	Engine      *engine.Engine
	Defaults    diffusion.Options // of decoding, where a request says nothing
	Fingerprint string            // servers with the same one give the same ids to the same request and seed
	Loaded      time.Time
}

// Server serves one model, once it has it. Until then, and while it drains, health says so and other requests are turned away.
type Server struct {
	Options
	keys        keyring
	model       atomic.Pointer[Model]
	draining    atomic.Bool
	metrics     *metrics
	connections connections
	http        http.Server
}

// New makes a server without a model.
func New(o Options) *Server {
	o.Body = cmp.Or(o.Body, 4<<20)
	o.Connections = cmp.Or(o.Connections, 2048)
	o.RequestTime = cmp.Or(o.RequestTime, 10*time.Minute)
	o.HeaderTime = cmp.Or(o.HeaderTime, 10*time.Second)
	o.BodyTime = cmp.Or(o.BodyTime, 30*time.Second)
	o.WriteTime = cmp.Or(o.WriteTime, 20*time.Second)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, keys: newKeyring(o.Keys)}
	s.connections.limit = o.Connections
	s.metrics = newMetrics(s)
	s.http = http.Server{
		Handler: s.guard(s.routes()), MaxHeaderBytes: maxHeader, ReadHeaderTimeout: o.HeaderTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(quiet{o.Log.Handler()}, slog.LevelDebug), ConnContext: s.connections.context,
		Protocols: new(http.Protocols), // a stream is a connection, so that each has its own deadline
	}
	s.http.Protocols.SetHTTP1(true)
	return s
}

// Use gives the server its model. The caller closes its engine, after Drain.
func (s *Server) Use(m *Model) {
	if m.Loaded.IsZero() {
		m.Loaded = time.Now()
	}
	s.model.Store(m)
}

// Serve answers on a listener until Close. It may run on several at a time.
func (s *Server) Serve(l net.Listener) error {
	l = s.connections.listen(l)
	if s.TLS != nil {
		l = tls.NewListener(l, s.TLS)
	}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Drain refuses new requests, waits for those that run, and lets the last bytes out. When ctx ends first, they end with an error and Drain returns
// ctx's. Health is answered until then.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	var err error
	if m := s.model.Load(); m != nil {
		err = m.Engine.Drain(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.WriteTime)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		s.http.Close()
	}
	return err
}

// Close ends every connection at once.
func (s *Server) Close() error { return s.http.Close() }
