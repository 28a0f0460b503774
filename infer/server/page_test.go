package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/infer/server/page"
)

// TestPage holds the headers of the page's files, and who gets them: everyone with an allowed Host, with a key or without.
func TestPage(t *testing.T) {
	h := open(t, nil)
	for _, f := range page.Files() {
		t.Run(f.Path, func(t *testing.T) {
			r := h.ask("GET", f.Path, "")
			if r.status != 200 || r.body != string(f.Body) {
				t.Fatalf("status %d, %d bytes", r.status, len(r.body))
			}
			for name, want := range map[string]string{
				"Content-Type": f.Type, "ETag": f.ETag, "Cache-Control": "no-cache", "Content-Security-Policy": page.Policy,
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := r.header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if r := h.ask("GET", f.Path, "", "If-None-Match", f.ETag); r.status != http.StatusNotModified || r.body != "" || r.header.Get("Content-Security-Policy") == "" {
				t.Errorf("what the browser has: status %d, %d bytes", r.status, len(r.body))
			}
			if r := h.ask("GET", f.Path, "", "If-None-Match", `"of another release"`); r.status != 200 {
				t.Errorf("what the browser has of another release: status %d", r.status)
			}
			if r := h.ask("HEAD", f.Path, ""); r.status != 200 || r.body != "" || r.header.Get("Content-Type") != f.Type {
				t.Errorf("HEAD: status %d", r.status)
			}
			h.ask("GET", f.Path, "", "Host", "evil.example").wantError(t, 403, "host_not_allowed", "")
		})
	}
	if strings.Contains(page.Policy, "unsafe") || strings.Contains(page.Policy, "*") || !strings.HasPrefix(page.Policy, "default-src 'none'; ") {
		t.Error(page.Policy)
	}
	h.ask("GET", "/page/page.go", "").wantError(t, 404, "not_found", "")
	h.ask("GET", "/page/", "").wantError(t, 404, "not_found", "")
	h.ask("GET", "/index.html", "").wantError(t, 404, "not_found", "")
	h.ask("POST", "/", "{}").wantError(t, 405, "method_not_allowed", "")
}

// TestPageWithKeys holds that a browser gets the page, which asks for the key, and nothing else.
func TestPageWithKeys(t *testing.T) {
	h := open(t, func(o *Options, _ *engineOptions) { o.Keys = []string{"a-key"} })
	if r := h.ask("GET", "/", ""); r.status != 200 {
		t.Error(r.status)
	}
	for _, path := range []string{"/props", "/v1/models", "/slots", "/metrics"} {
		h.ask("GET", path, "").wantError(t, 401, "invalid_api_key", "")
	}
}
