package server

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

// route is a method and a path with what answers them.
type route struct {
	pattern string // as http.ServeMux has them
	access  access
	handle  func(*exchange) error
}

// access is what a request must have before a route answers it. Each level includes those before it.
type access int

const (
	anyone access = iota // needs nothing: whether the server lives
	hosted               // needs a Host header that is allowed
	keyed                // needs one of the keys, if there are any
)

func (s *Server) table() []route {
	return append(s.pageRoutes(), []route{
		{"POST /v1/chat/completions", keyed, s.chat},
		{"POST /v1/completions", keyed, s.complete},
		{"GET /v1/models", keyed, s.models},
		{"GET /v1/models/{id}", keyed, s.oneModel},
		{"POST /completion", keyed, s.llamaComplete},
		{"POST /tokenize", keyed, s.tokenize},
		{"POST /detokenize", keyed, s.detokenize},
		{"POST /apply-template", keyed, s.applyTemplate},
		{"GET /props", keyed, s.props},
		{"GET /slots", keyed, s.slots},
		{"GET /health", anyone, s.health},
		{"GET /healthz", anyone, s.healthz},
		{"GET /readyz", anyone, s.readyz},
		{"GET /version", anyone, s.version},
		{"GET /metrics", keyed, s.metrics.serve},
	}...)
}

// otherLabel stands in logs' labels and metrics for what a client made up.
const otherLabel = "other"

// routes finds who answers a request, and lets nobody answer whom host, origin or key forbid it.
func (s *Server) routes() func(*exchange) error {
	mux := http.NewServeMux()
	byPattern := map[string]route{}
	for _, r := range s.table() {
		mux.Handle(r.pattern, http.NotFoundHandler()) // only the match counts
		byPattern[r.pattern] = r
	}
	return func(x *exchange) error {
		_, pattern := mux.Handler(x.Request)
		found, ok := byPattern[pattern]
		if clean := path.Clean(x.URL.Path); ok && (x.URL.RawPath != "" || clean != x.URL.Path) {
			ok = false // the mux would redirect
		}
		if ok {
			_, x.route, _ = strings.Cut(pattern, " ")
		}
		if !ok || found.access >= hosted {
			if err := s.checkHost(x); err != nil {
				return err
			}
		}
		if done, err := s.checkOrigin(x); done || err != nil {
			return err
		}
		if !ok {
			return notFound(x, mux)
		}
		if found.access >= keyed {
			if err := s.keys.check(x.Request.Header); err != nil {
				return err
			}
		}
		return found.handle(x)
	}
}

// notFound tells a wrong path from a wrong method.
func notFound(x *exchange, mux *http.ServeMux) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := *x.Request
		other.Method = method
		if _, pattern := mux.Handler(&other); strings.HasPrefix(pattern, method) && x.URL.RawPath == "" && path.Clean(x.URL.Path) == x.URL.Path {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 || slices.Contains(allowed, x.Method) {
		return &problem{status: http.StatusNotFound, code: "not_found", text: "there is nothing here; docs/api.md lists the routes"}
	}
	x.Header().Set("Allow", strings.Join(allowed, ", "))
	return &problem{status: http.StatusMethodNotAllowed, code: "method_not_allowed", text: "this route answers " + strings.Join(allowed, " and ") + " only"}
}

// ready returns the model, or why there is none to answer with.
func (s *Server) ready(x *exchange) (*Model, error) {
	if s.draining.Load() {
		return nil, errDraining()
	}
	m := s.model.Load()
	if m == nil {
		return nil, errLoading()
	}
	x.model = m.Name
	return m, nil
}
