package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/engine"
	"github.com/wrinklefree/wf/infer/tiny"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// france is a request that the demonstration model answers in a few milliseconds.
const (
	france   = `{"messages":[{"role":"user","content":"What is the capital of France?"}]}`
	chatPath = "/v1/chat/completions"
)

// slow multiplies time bounds on slow machines.
func slow(d time.Duration) time.Duration {
	n, err := strconv.ParseFloat(os.Getenv("WF_TEST_SLOWNESS"), 64)
	if err != nil {
		n = 1
	}
	return time.Duration(float64(d) * n)
}

// hooked is the demonstration model with a hand in every pass.
type hooked struct {
	*infer.Model
	mu     sync.Mutex
	before func([]*infer.Segment) // may wait or panic
	after  func([]*infer.Segment) // may change logits
}

func (h *hooked) hook(before, after func([]*infer.Segment)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

func (h *hooked) Forward(segments []*infer.Segment) error {
	h.mu.Lock()
	before, after := h.before, h.after
	h.mu.Unlock()
	if before != nil {
		before(segments)
	}
	err := h.Model.Forward(segments)
	if after != nil {
		after(segments)
	}
	return err
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// forget drops what was written, and its memory.
func (b *buffer) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = bytes.Buffer{}
}

// house is a server that listens, with the demonstration model.
type house struct {
	*Server
	t      testing.TB
	url    string
	log    *buffer
	model  *hooked
	tokens *tokenizer.Tokenizer
	engine *engine.Engine
}

// open starts a server. Tests change its options and the engine's before it starts.
func open(t testing.TB, options func(*Options, *engine.Options)) *house {
	t.Helper()
	file, err := gguf.Parse(tiny.Model)
	if err != nil {
		t.Fatal(err)
	}
	model, err := infer.LoadFile(file, infer.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := tokenizer.New(model.Metadata(), model.Config().Vocab, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o, eo := Options{Version: "test", Log: logger}, engine.Options{Log: logger}
	if options != nil {
		options(&o, &eo)
	}
	h := &house{t: t, log: log, model: &hooked{Model: model}, tokens: tokens, Server: New(o)}
	if h.engine, err = engine.New(h.model, eo); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(listener) }()
	h.Use(&Model{Name: "wf-tiny", Config: model.Config(), Tokenizer: tokens, Engine: h.engine, Fingerprint: "fp_test"})
	t.Cleanup(func() {
		h.model.hook(nil, nil)
		h.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		h.engine.Close()
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// response is a reply that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

// client keeps no connection, so that tests can count them.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request; headers alternate names and values, and the name Host sets the host.
func (h *house) ask(method, path, body string, headers ...string) response {
	h.t.Helper()
	r, err := h.try(context.Background(), method, path, strings.NewReader(body), headers...)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (h *house) try(ctx context.Context, method, path string, body io.Reader, headers ...string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, body)
	if err != nil {
		return response{}, err
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(text)}, err
}

// chat asks for a completion, with more members.
func (h *house) chatWith(members string) response {
	h.t.Helper()
	return h.ask("POST", chatPath, strings.TrimSuffix(france, "}")+","+members+"}")
}

// wantError checks status and code of an error, that it has OpenAI's shape, and that it shows nothing of the machine or of the code.
func (r response) wantError(t testing.TB, status int, code, param string) {
	t.Helper()
	var e struct {
		Error *struct {
			Message, Type, Code string
			Param               *string
			RequestID           string `json:"request_id"`
		}
	}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || e.Error == nil {
		t.Fatalf("status %d: the body is no error object (%v): %.300s", r.status, err, r.body)
	}
	got := ""
	if e.Error.Param != nil {
		got = *e.Error.Param
	}
	if r.status != status || e.Error.Code != code || got != param {
		t.Errorf("status %d code %q param %q, want %d %q %q: %.300s", r.status, e.Error.Code, got, status, code, param, r.body)
	}
	if e.Error.Message == "" || e.Error.Type == "" || e.Error.RequestID != r.header.Get("X-Request-Id") || len(e.Error.Message) > 400 {
		t.Errorf("the error lacks something or is too long: %.600s", r.body)
	}
	for _, bad := range []string{"/work", "/tmp", ".go:", "goroutine", "0xc0", "127.0.0.1:", "secret-marker"} {
		if strings.Contains(r.body, bad) {
			t.Errorf("the error shows %q: %.300s", bad, r.body)
		}
	}
}

// answers checks that the next well-formed request succeeds and that nothing is left over.
func (h *house) answers(t testing.TB) {
	t.Helper()
	if r := h.ask("POST", chatPath, france); r.status != 200 || !strings.Contains(r.body, "The capital of France is Paris.") {
		t.Errorf("the next request: status %d: %.300s", r.status, r.body)
	}
	h.eventually(t, "no request in flight", func() bool {
		m := h.engine.Metrics()
		return m.Running == 0 && m.Queued == 0
	})
}

func (h *house) eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(slow(5 * time.Second)); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// hold makes every pass wait until the returned function is called; started receives once per pass.
func (h *house) hold() (started chan struct{}, release func()) {
	started, gate := make(chan struct{}, 1000), make(chan struct{})
	h.model.hook(func([]*infer.Segment) { started <- struct{}{}; <-gate }, nil)
	return started, sync.OnceFunc(func() { h.model.hook(nil, nil); close(gate) })
}

// memory returns the bytes of heap in use after a collection.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func metric(page, name string) float64 {
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return -1
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

type engineOptions = engine.Options
