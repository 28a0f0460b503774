package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"strings"
	"testing"
)

const (
	key      = "correct-horse-battery"
	otherKey = "another-key-entirely"
)

func TestKeys(t *testing.T) {
	h := open(t, func(o *Options, _ *engineOptions) { o.Keys = []string{key, otherKey} })
	var first string
	for _, c := range []struct {
		name    string
		path    string
		headers []string
	}{
		{"none", "/v1/models", nil}, {"empty bearer", "/v1/models", []string{"Authorization", "Bearer "}}, {"wrong", "/v1/models", []string{"Authorization", "Bearer wrong"}},
		{"extra space", "/v1/models", []string{"Authorization", "Bearer  " + key}}, {"basic", "/v1/models", []string{"Authorization", "Basic " + key}},
		{"in the query", "/v1/models?api_key=" + key, nil}, {"another case", "/v1/models", []string{"Authorization", "Bearer " + strings.ToUpper(key)}},
		{"prefix of a key", "/v1/models", []string{"Authorization", "Bearer " + key[:8]}}, {"8 KiB", "/v1/models", []string{"Authorization", "Bearer " + strings.Repeat("x", 8<<10)}},
		{"two headers", "/v1/models", []string{"Authorization", "Bearer " + key, "Authorization", "Bearer " + key}}, {"X-Api-Key", "/v1/models", []string{"X-Api-Key", key}},
	} {
		t.Run("R119 "+c.name, func(t *testing.T) {
			r := h.ask("GET", c.path, "", c.headers...)
			r.wantError(t, 401, "invalid_api_key", "")
			body := strings.ReplaceAll(r.body, r.header.Get("X-Request-Id"), "")
			if first == "" {
				first = body
			}
			if body != first || r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("the reply differs: %s", r.body)
			}
		})
	}
	t.Run("R119 1 MiB", func(t *testing.T) { // a header of that size is refused before anything in it is looked at
		host := strings.TrimPrefix(h.url, "http://")
		if got := h.raw(t, "GET /v1/models HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+strings.Repeat("x", 1<<20)+"\r\n\r\n"); !strings.Contains(got, "431") {
			t.Errorf("got %q, want 431", got)
		}
	})
	for _, k := range []string{key, otherKey} {
		if r := h.ask("GET", "/v1/models", "", "Authorization", "Bearer "+k); r.status != 200 {
			t.Errorf("R119: key refused: %d", r.status)
		}
	}
	t.Run("R125", func(t *testing.T) {
		h.ask("GET", "/debug/pprof/", "").wantError(t, 404, "not_found", "")
		h.ask("GET", "/metrics", "").wantError(t, 401, "invalid_api_key", "")
		h.ask("GET", "/v1/models", "").wantError(t, 401, "invalid_api_key", "")
		h.ask("POST", chatPath, france).wantError(t, 401, "invalid_api_key", "")
		for _, path := range []string{"/healthz", "/readyz", "/health", "/version"} {
			if r := h.ask("GET", path, "", "Host", "evil.example"); r.status != 200 {
				t.Errorf("%s: %d", path, r.status)
			}
		}
	})
	t.Run("R123 with keys any host passes", func(t *testing.T) {
		if r := h.ask("GET", "/v1/models", "", "Host", "evil.example", "Authorization", "Bearer "+key); r.status != 200 {
			t.Error(r.status)
		}
	})
	t.Run("R121 R127 keys in no log", func(t *testing.T) {
		if log := h.log.String(); strings.Contains(log, key) || strings.Contains(log, "wrong") {
			t.Error(log)
		}
		if r := h.ask("GET", "/props", "", "Authorization", "Bearer "+key); r.status != 200 || strings.Contains(r.body, key) {
			t.Error(r.body)
		}
	})
}

// TestKeyComparison cannot measure time on a shared machine; it holds what makes time say nothing: only digests are compared, all of them, each
// over its whole length.
func TestKeyComparison(t *testing.T) {
	ring := newKeyring([]string{key, otherKey})
	for _, wrong := range []string{"x" + key[1:], key[:len(key)-1] + "x", key + "x", ""} {
		t.Run("R120 "+wrong, func(t *testing.T) {
			if ring.has(wrong) {
				t.Error("a wrong key passes")
			}
		})
	}
	for i, k := range []string{key, otherKey} {
		digest := sha256.Sum256([]byte(k))
		if !ring.has(k) || subtle.ConstantTimeCompare(digest[:], ring[i][:]) != 1 || bytes.Contains(ring[i][:], []byte(k[:4])) {
			t.Error("R120: the ring does not hold the digest of a key")
		}
	}
}

func TestHosts(t *testing.T) {
	h := open(t, func(o *Options, _ *engineOptions) { o.AllowedHosts = []string{"wf.example", "other.example:8443"} })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(h.url, "http://"))
	for host, passes := range map[string]bool{
		"evil.example": false, "evil.example:" + port: false, ":" + port: false, "localhost.": false, "localhost.:" + port: false, "LOCALHOST:" + port: true,
		"localhost:" + port: true, "127.0.0.1:" + port: true, "127.0.0.1.nip.io:" + port: false, "foo.local:" + port: false, "[::1]:" + port: true,
		"[::1]": false, "[::ffff:127.0.0.1]:" + port: false, "0.0.0.0:" + port: false, "127.0.0.1:1": false, "localhost": false,
		"wf.example": true, "WF.example:99": true, "other.example:8443": true, "other.example": false,
	} {
		t.Run("R123 "+strings.ReplaceAll(host, port, "port"), func(t *testing.T) {
			for _, path := range []string{"/v1/models", "/nothing"} {
				r := h.ask("GET", path, "", "Host", host)
				if !passes {
					r.wantError(t, 403, "host_not_allowed", "")
				} else if r.status == 403 {
					t.Errorf("%s: %s", path, r.body)
				}
			}
			if r := h.ask("GET", "/healthz", "", "Host", host); r.status != 200 {
				t.Errorf("/healthz: %d", r.status)
			}
		})
	}
	h.answers(t)
}

func TestOrigins(t *testing.T) {
	h := open(t, func(o *Options, _ *engineOptions) { o.AllowedOrigins = []string{"https://app.example"} })
	allowed := func(r response) string { return r.header.Get("Access-Control-Allow-Origin") }
	for _, headers := range [][]string{
		{"Origin", "null"}, {"Origin", "http://evil"}, {"Origin", "http://localhost.evil"}, {"Origin", "https://app.example.evil"}, {"Origin", "http://app.example"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		t.Run("R124 "+strings.Join(headers, " "), func(t *testing.T) {
			before := h.engine.Metrics().Outcomes["completed"]
			r := h.ask("POST", chatPath, france, headers...)
			r.wantError(t, 403, "origin_not_allowed", "")
			r.noAccessControl(t)
			if h.engine.Metrics().Outcomes["completed"] != before {
				t.Error("the handler ran")
			}
			pre := h.ask("OPTIONS", chatPath, "", append(headers, "Access-Control-Request-Method", "POST")...)
			if pre.status < 400 {
				t.Errorf("preflight: %d", pre.status)
			}
			pre.noAccessControl(t)
		})
	}
	t.Run("R124 allowed", func(t *testing.T) {
		r := h.ask("POST", chatPath, france, "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site")
		if r.status != 200 || allowed(r) != "https://app.example" || r.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Error(r.status, r.header)
		}
		r = h.ask("OPTIONS", chatPath, "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
		if r.status != 204 || allowed(r) != "https://app.example" || !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Error(r.status, r.header)
		}
	})
	t.Run("R124 the server's own pages", func(t *testing.T) {
		if r := h.ask("POST", chatPath, france, "Origin", h.url, "Sec-Fetch-Site", "same-origin"); r.status != 200 {
			t.Error(r.status, r.body)
		}
	})
	t.Run("R124 text/plain", func(t *testing.T) {
		h.ask("POST", chatPath, france, "Content-Type", "", "Content-Type", "text/plain").wantError(t, 415, "unsupported_media_type", "")
	})
	h.answers(t)
}

func (r response) noAccessControl(t *testing.T) {
	t.Helper()
	for name := range r.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("header %s", name)
		}
	}
}

func TestLogs(t *testing.T) {
	marker := "secret-marker-7f3a"
	conversation := `{"messages":[{"role":"system","content":"` + marker + `"},{"role":"user","content":"` + marker + `"}],"user":"` + marker + `","max_tokens":4}`
	t.Run("R126", func(t *testing.T) {
		h := open(t, nil)
		before := strings.Count(h.log.String(), "\n")
		asked := []struct{ path, body string }{
			{"/a%0d%0aX:%20y", ""}, {"/%1b[31mred", ""}, {"/" + strings.Repeat("x", 8<<10), ""}, {"/v1/models?x=" + strings.Repeat("y", 8<<10), ""},
			{chatPath, `{"model":"a\r\nb\u001b[31m","messages":[{"role":"user","content":"x"}]}`},
			{chatPath, `{"model":"` + strings.Repeat("m", 1<<20) + `","messages":[{"role":"user","content":"x"}]}`},
		}
		for _, a := range asked {
			h.ask("POST", a.path, a.body, "User-Agent", "[31m"+strings.Repeat("u", 4<<10))
		}
		lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")[before:]
		if len(lines) != len(asked) {
			t.Errorf("%d lines for %d requests", len(lines), len(asked))
		}
		for _, line := range lines {
			if len(line) > 1024 || strings.ContainsAny(line, "\x1b\r") {
				t.Errorf("%d bytes: %.200q", len(line), line)
			}
		}
	})
	t.Run("R127 by default", func(t *testing.T) {
		h := open(t, nil)
		for _, path := range []string{chatPath, "/v1/completions", "/completion", "/tokenize", "/apply-template"} {
			h.ask("POST", path, conversation)
			h.ask("POST", path, `{"prompt":"`+marker+`","content":"`+marker+`","max_tokens":4}`)
		}
		if log := h.log.String(); strings.Contains(log, marker) || !strings.Contains(log, "msg=request") {
			t.Error(log)
		}
		if page := h.ask("GET", "/metrics", "").body; strings.Contains(page, marker) {
			t.Error("the marker is in the metrics")
		}
	})
	t.Run("R127 with LogBodies", func(t *testing.T) {
		h := open(t, func(o *Options, _ *engineOptions) { o.LogBodies = true })
		if h.ask("POST", chatPath, conversation); !strings.Contains(h.log.String(), marker) {
			t.Error("the marker is not in the log")
		}
	})
}
