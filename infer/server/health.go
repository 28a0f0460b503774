package server

import (
	"net/http"
	"runtime"
)

// healthz is GET /healthz: the process lives. It is answered whatever the model does.
func (s *Server) healthz(x *exchange) error { return s.reply(x, map[string]string{"status": "ok"}) }

// trouble is why requests would not be answered now; nil if they would.
func (s *Server) trouble() *problem {
	if s.draining.Load() {
		return errDraining()
	}
	m := s.model.Load()
	if m == nil {
		return errLoading()
	}
	if err := m.Engine.Ready(); err != nil {
		p := problemOf(err)
		p.status = http.StatusServiceUnavailable
		return p
	}
	return nil
}

// readyz is GET /readyz: requests would be answered.
func (s *Server) readyz(x *exchange) error {
	if p := s.trouble(); p != nil {
		return p
	}
	return s.reply(x, map[string]string{"status": "ready"})
}

// health is GET /health, which llama.cpp's clients ask: the same as readyz.
func (s *Server) health(x *exchange) error {
	if p := s.trouble(); p != nil {
		return p
	}
	return s.reply(x, map[string]string{"status": "ok"})
}

// version is GET /version.
func (s *Server) version(x *exchange) error {
	return s.reply(x, map[string]string{"version": s.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
}
