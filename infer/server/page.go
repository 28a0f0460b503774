package server

import (
	"bytes"
	"net/http"
	"time"

	"github.com/wrinklefree/wf/infer/server/page"
)

// pageRoutes are the files of the page. They hold nothing of the model, so they need no key: the page asks for one.
func (s *Server) pageRoutes() (all []route) {
	for _, f := range page.Files() {
		pattern := "GET " + f.Path
		if f.Path == "/" {
			pattern += "{$}"
		}
		all = append(all, route{pattern, hosted, func(x *exchange) error { return s.servePage(x, f) }})
	}
	return all
}

// servePage writes a file of the page, or that the browser still has it. A browser asks each time, so that it never mixes the files of two releases.
func (s *Server) servePage(x *exchange, f page.File) error {
	h := x.Header()
	h.Set("Content-Type", f.Type)
	h.Set("ETag", f.ETag)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", page.Policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	s.allow(x)
	http.ServeContent(x, x.Request, "", time.Time{}, bytes.NewReader(f.Body))
	return nil
}
