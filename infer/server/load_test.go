package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wrinklefree/wf/infer"
)

func TestOverload(t *testing.T) {
	h := open(t, func(_ *Options, eo *engineOptions) { eo.Sequences, eo.Queue = 4, 32 })
	t.Run("R103 1000 at once", func(t *testing.T) {
		started, release := h.hold()
		defer release()
		first := make(chan response, 33)
		go func() { first <- h.ask("POST", chatPath, france) }()
		<-started
		for range 32 {
			go func() { first <- h.ask("POST", chatPath, france) }()
		}
		h.eventually(t, "32 wait", func() bool { return h.engine.Metrics().Queued == 32 })
		var wg sync.WaitGroup
		var wrong atomic.Int64
		limit := make(chan struct{}, 100) // this process is the clients too
		for range 967 {
			wg.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				r, err := h.try(t.Context(), "POST", chatPath, strings.NewReader(france))
				after, _ := strconv.Atoi(r.header.Get("Retry-After"))
				if err != nil || r.status != 503 || !strings.Contains(r.body, `"overloaded"`) || after < 1 {
					wrong.Add(1)
				}
			})
		}
		wg.Wait()
		if wrong.Load() > 0 {
			t.Errorf("%d of 967 were not turned away", wrong.Load())
		}
		began := time.Now()
		h.ask("POST", chatPath, france).wantError(t, 503, "overloaded", "")
		if took := time.Since(began); took > slow(50*time.Millisecond) {
			t.Errorf("turning one away took %v", took)
		}
		release()
		for range 33 {
			if r := <-first; r.status != 200 {
				t.Errorf("admitted, but %d %s", r.status, r.body)
			}
		}
	})
	h.answers(t)
}

func TestQueueLimits(t *testing.T) {
	t.Run("R104 prompt tokens", func(t *testing.T) {
		h := open(t, func(_ *Options, eo *engineOptions) { eo.Sequences, eo.QueueTokens = 1, 150 })
		started, release := h.hold()
		defer release()
		done := make(chan response, 3)
		ask := func(words int) {
			done <- h.ask("POST", "/v1/completions", `{"max_tokens":2,"prompt":"`+strings.Repeat("a ", words)+`"}`)
		}
		go ask(5)
		<-started
		go ask(100)
		h.eventually(t, "one waits", func() bool { return h.engine.Metrics().Queued == 1 })
		h.ask("POST", "/v1/completions", `{"max_tokens":2,"prompt":"`+strings.Repeat("a ", 100)+`"}`).wantError(t, 503, "overloaded", "")
		go ask(5)
		h.eventually(t, "a small one waits too", func() bool { return h.engine.Metrics().Queued == 2 })
		release()
		for range 3 {
			if r := <-done; r.status != 200 {
				t.Error(r.status, r.body)
			}
		}
		h.answers(t)
	})
	t.Run("R105 too long in the queue", func(t *testing.T) {
		h := open(t, func(_ *Options, eo *engineOptions) { eo.Sequences, eo.QueueTime = 1, 50*time.Millisecond })
		started, release := h.hold()
		defer release()
		first := make(chan response, 1)
		go func() { first <- h.ask("POST", chatPath, france) }()
		<-started
		h.ask("POST", chatPath, france).wantError(t, 503, "overloaded", "")
		h.chatWith(`"stream":true`).wantError(t, 503, "overloaded", "")
		release()
		if r := <-first; r.status != 200 {
			t.Error(r.status)
		}
		if n := h.engine.Metrics().QueueSeconds.Counts; len(n) == 0 || h.engine.Metrics().Outcomes["OVERLOADED"] != 2 {
			t.Error("a request that waited too long has started")
		}
		h.answers(t)
	})
}

func TestDisconnects(t *testing.T) {
	h := open(t, func(_ *Options, eo *engineOptions) { eo.Sequences = 1 })
	long := `{"prompt":"` + strings.Repeat("a ", 200) + `","n_predict":200`
	for _, c := range []struct {
		name, path, body string
		passes           int // that the request runs before its client goes; -1: it waits
	}{
		{"queued", "/completion", long + "}", -1}, {"in prefill", "/completion", long + "}", 1}, {"between steps", "/completion", long + "}", 4},
		{"mid-stream", "/completion", long + `,"stream":true}`, 4}, {"not streaming", chatPath, france, 1},
	} {
		t.Run("R106 "+c.name, func(t *testing.T) {
			gate, entered := make(chan struct{}), make(chan struct{}, 1000)
			h.model.hook(func([]*infer.Segment) { entered <- struct{}{}; <-gate }, nil)
			pass := func() { gate <- struct{}{} }
			if c.passes < 0 { // another holds the only place
				go h.try(context.Background(), "POST", "/completion", strings.NewReader(long+"}"))
				<-entered
			}
			before := h.engine.Metrics().Outcomes["CANCELLED"]
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan struct{})
			go func() { h.try(ctx, "POST", c.path, strings.NewReader(c.body)); close(gone) }()
			if c.passes < 0 {
				h.eventually(t, "it waits", func() bool { return h.engine.Metrics().Queued == 1 })
			}
			for i := range c.passes {
				<-entered
				if i < c.passes-1 {
					pass()
				}
			}
			cancel()
			<-gone
			h.eventually(t, "it is cancelled", func() bool { return h.engine.Metrics().Outcomes["CANCELLED"] == before+1 })
			h.model.hook(nil, nil)
			pass() // the pass that runs is its last
			h.answers(t)
			h.eventually(t, "logged as 499", func() bool { return strings.Contains(h.log.String(), "status=499") })
			if extra := len(entered); extra > 1 {
				t.Errorf("%d passes ran after the client had gone", extra)
			}
		})
	}
	t.Run("R106 during tokenizing", func(t *testing.T) { // tokenizing is not interrupted, but nothing follows it
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		h.try(ctx, "POST", "/completion", strings.NewReader(`{"prompt":"`+strings.Repeat("word ", 500000)+`"}`))
		h.answers(t)
	})
}

func TestSlowReaders(t *testing.T) {
	h := open(t, func(o *Options, eo *engineOptions) { o.WriteTime, eo.Unread = 200*time.Millisecond, 64 })
	body := strings.Replace(france, "{", `{"stream":true,"n":100,"logprobs":true,"top_logprobs":20,`, 1)
	for name, read := range map[string]func(net.Conn){
		"never": func(net.Conn) { time.Sleep(slow(500 * time.Millisecond)) },
		"one byte a second": func(c net.Conn) {
			c.Read(make([]byte, 1))
			time.Sleep(slow(500 * time.Millisecond))
		},
	} {
		t.Run("R107 "+name, func(t *testing.T) {
			c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.(*net.TCPConn).SetReadBuffer(1024)
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, c.RemoteAddr(), len(body), body)
			go read(c)
			h.eventually(t, "another is answered meanwhile", func() bool { return h.ask("POST", chatPath, france).status == 200 })
			h.answers(t)
		})
	}
}

func TestKeepAlive(t *testing.T) {
	h := open(t, func(o *Options, _ *engineOptions) { o.KeepAlive = 20 * time.Millisecond })
	h.model.hook(func([]*infer.Segment) { time.Sleep(100 * time.Millisecond) }, nil)
	if r := h.chatWith(`"stream":true`); !strings.Contains(r.body, ": keep-alive\n\n") || !strings.Contains(r.body, "data: [DONE]\n\n") {
		t.Error(r.body)
	}
}

func TestSlowloris(t *testing.T) {
	const limit = 1000
	h := open(t, func(o *Options, _ *engineOptions) { o.Connections, o.HeaderTime = limit, 300*time.Millisecond })
	many := 5000
	if most := descriptors(); many+limit+200 > most { // this process has both ends
		many = most - limit - 200
	}
	t.Logf("%d connections", many)
	dial := func(text string) net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, text)
		return c
	}
	for name, text := range map[string]string{"a header byte a second": "G", "idle keep-alives": "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"} {
		t.Run("R108 "+name, func(t *testing.T) {
			var held []net.Conn
			for i := range many {
				held = append(held, dial(text))
				if i%500 == 499 {
					h.answers(t)
				}
			}
			h.connections.mu.Lock()
			open := h.connections.open
			h.connections.mu.Unlock()
			if open > limit {
				t.Errorf("%d connections are open", open)
			}
			if name != "idle keep-alives" {
				h.eventually(t, "the timeout closes them", func() bool {
					h.connections.mu.Lock()
					defer h.connections.mu.Unlock()
					return h.connections.open == 0
				})
			}
			for _, c := range held {
				c.Close()
			}
		})
	}
}

// four reports whether four requests have come.
func (h *house) four() bool {
	m := h.engine.Metrics()
	return m.Running+m.Queued >= 4
}

func TestDrain(t *testing.T) {
	stream := strings.Replace(france, "{", `{"stream":true,`, 1)
	for _, c := range []struct {
		name   string
		inTime bool
	}{{"streams finish", true}, {"drain limit", false}} {
		t.Run("R111 "+c.name, func(t *testing.T) {
			h := open(t, func(_ *Options, eo *engineOptions) { eo.Sequences = 4 })
			gate, passes := make(chan struct{}), 0
			release := sync.OnceFunc(func() { close(gate) })
			defer release()
			h.model.hook(func([]*infer.Segment) {
				if passes++; passes > 1 {
					<-gate
				}
				for passes == 1 && !h.four() { // those that come now run from the next pass on
					time.Sleep(time.Millisecond)
				}
			}, nil)
			running, queued := make(chan response, 4), make(chan response, 2)
			for range 4 {
				go func() { r, _ := h.try(context.Background(), "POST", chatPath, strings.NewReader(stream)); running <- r }()
			}
			h.eventually(t, "four run", func() bool { return h.engine.Metrics().Running == 4 })
			for range 2 {
				go func() { queued <- h.ask("POST", chatPath, france) }()
			}
			h.eventually(t, "two wait", func() bool { return h.engine.Metrics().Queued == 2 })
			limit := slow(10 * time.Second)
			if !c.inTime {
				limit = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			drained := make(chan error, 1)
			go func() { drained <- h.Drain(ctx) }()
			for range 2 {
				(<-queued).wantError(t, 503, "draining", "")
			}
			if c.inTime {
				h.ask("GET", "/readyz", "").wantError(t, 503, "draining", "")
				h.ask("POST", chatPath, france).wantError(t, 503, "draining", "")
				if r := h.ask("GET", "/healthz", ""); r.status != 200 {
					t.Error(r.status)
				}
				release()
			}
			for range 4 {
				r := <-running
				if finished := strings.Contains(r.body, "[DONE]"); finished != c.inTime || !c.inTime && !strings.Contains(r.body, "draining") {
					t.Errorf("%d %s", r.status, r.body)
				}
			}
			if err := <-drained; (err == nil) != c.inTime {
				t.Error(err)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	h := open(t, func(_ *Options, eo *engineOptions) { eo.Watchdog = 50 * time.Millisecond })
	healthz := func(t *testing.T) {
		began := time.Now()
		if r := h.ask("GET", "/healthz", ""); r.status != 200 || time.Since(began) > slow(50*time.Millisecond) {
			t.Errorf("/healthz: %d after %v", r.status, time.Since(began))
		}
	}
	for _, path := range []string{"/readyz", "/health"} {
		if r := h.ask("GET", path, ""); r.status != 200 {
			t.Error(path, r.status)
		}
	}
	t.Run("R115 loading", func(t *testing.T) {
		m := h.Server.model.Swap(nil)
		defer h.Server.model.Store(m)
		for _, path := range []string{"/readyz", "/health", "/v1/models", "/props", "/slots"} {
			h.ask("GET", path, "").wantError(t, 503, "loading", "")
		}
		h.ask("POST", chatPath, france).wantError(t, 503, "loading", "")
		if page := h.ask("GET", "/metrics", "").body; metric(page, "wf_ready") != 0 {
			t.Error("metrics say ready")
		}
		healthz(t)
	})
	t.Run("R115 stalled", func(t *testing.T) {
		started, release := h.hold()
		defer release()
		done := make(chan response, 1)
		go func() { done <- h.ask("POST", chatPath, france) }()
		<-started
		h.eventually(t, "stalled", func() bool { return h.ask("GET", "/readyz", "").status == 503 })
		h.ask("GET", "/readyz", "").wantError(t, 503, "stalled", "")
		healthz(t)
		release()
		if r := <-done; r.status != 200 {
			t.Error(r.status)
		}
		h.eventually(t, "ready again", func() bool { return h.ask("GET", "/readyz", "").status == 200 })
	})
}

func TestBoundedMetrics(t *testing.T) {
	h := open(t, nil)
	keep := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer keep.CloseIdleConnections()
	send := func(n int) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := w; i < n; i += 4 {
					body := strings.NewReader(fmt.Sprintf(`{"model":"m%d","messages":[{"role":"user","content":"x"}]}`, i))
					path := []string{chatPath, fmt.Sprintf("/path/%d", i), fmt.Sprintf("/v1/models/%d", i)}[i%3]
					req, _ := http.NewRequest([]string{"POST", "GET", "GET"}[i%3], h.url+path, body)
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("User-Agent", fmt.Sprintf("agent-%d", i))
					req.Header.Set("Authorization", fmt.Sprintf("Bearer key-%d", i))
					if resp, err := keep.Do(req); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}
			})
		}
		wg.Wait()
	}
	n := 2000 // growth shows as well as with 100000, which WF_TEST_MANY=100000 sends
	if many, err := strconv.Atoi(os.Getenv("WF_TEST_MANY")); err == nil {
		n = many
	}
	send(200)
	h.log.forget()
	before := memory()
	send(n)
	h.log.forget()
	if after := memory(); after > before+4<<20 {
		t.Errorf("R116: %d bytes stay", after-before)
	}
	began := time.Now()
	page := h.ask("GET", "/metrics", "").body
	if took, series := time.Since(began), strings.Count(page, "\n"); took > slow(100*time.Millisecond) || series > 1000 {
		t.Errorf("R116: %d lines in %v", series, took)
	}
}

// TestSoak is R117 for SOAK (2 s), by `make soak` for 5 minutes: clients that ask, stream, leave and err at random. Every answer that was finished must
// be, id by id and with the same probabilities, the one that its request has alone.
func TestSoak(t *testing.T) {
	duration := 2 * time.Second
	if d, err := time.ParseDuration(os.Getenv("SOAK")); err == nil {
		duration = d
	}
	const clients = 64
	h := open(t, func(_ *Options, eo *engineOptions) { eo.Queue, eo.PrefixBytes = clients, 4<<20 })
	s := soak{house: h, alone: map[string]string{}}
	for i := range 24 {
		r := h.ask("POST", chatPath, soakBody(i))
		if r.status != 200 {
			t.Fatal(r.status, r.body)
		}
		s.alone[soakBody(i)] = said(r.body)
	}
	one := s.run(t, 1, duration/12, false).rate
	s.run(t, clients, duration/6, true) // lets buffers and prefixes grow
	before := s.idle(t)
	many := s.run(t, clients, duration*2/3, true)
	after := s.idle(t)
	one = (one + s.run(t, 1, duration/12, false).rate) / 2
	t.Logf("R117: %d clients for %v: %v answers equal to those alone, %d turned away, %d left; %.0f tokens/s, one client %.0f (%.2f times)", clients,
		duration*2/3, many.finished.Load(), many.turned.Load(), many.left.Load(), many.rate, one, many.rate/one)
	t.Logf("R117: before %v", before)
	t.Logf("R117: after  %v", after)
	if many.finished.Load() == 0 {
		t.Error("R117: nothing finished")
	}
	if after.goroutines > before.goroutines+before.goroutines/20+2 || after.descriptors > before.descriptors+before.descriptors/20+2 ||
		after.heap > before.heap+before.heap/20+1<<20 || after.slots != 0 || after.reserved != 0 {
		t.Error("R117: something is left over")
	}
}

// soak counts what became of requests.
type soak struct {
	*house
	alone map[string]string // request -> what its reply says
}

type soaked struct {
	finished, turned, left atomic.Int64
	rate                   float64 // tokens a second
}

func soakBody(i int) string {
	prompts := []string{"What is the capital of France?", "What is 12 plus 10?", "Tell me the opposite of left.", "Explain I2_S.", "Hello", "Count to five."}
	return fmt.Sprintf(`{"seed":%d,"temperature":%d,"max_tokens":48,"logprobs":true,"messages":[{"role":"user","content":%q}]}`, i, i%2, prompts[i%len(prompts)])
}

// said is what a reply says, whole or as events: text, and each token with its probability. It is empty for one that did not come to its end.
func said(reply string) string {
	parts := []string{reply}
	if strings.HasPrefix(reply, "data: ") {
		all, complete := strings.CutSuffix(reply, "data: [DONE]\n\n")
		if !complete {
			return ""
		}
		parts = strings.Split(all, "data: ")[1:]
	}
	var text, tokens strings.Builder
	for _, part := range parts {
		type words struct{ Content string }
		var r struct {
			Choices []struct {
				Message, Delta words
				Logprobs       struct{ Content []json.RawMessage }
			}
		}
		if json.Unmarshal([]byte(part), &r) != nil {
			return ""
		}
		for _, c := range r.Choices {
			text.WriteString(c.Message.Content + c.Delta.Content)
			for _, token := range c.Logprobs.Content {
				tokens.Write(token)
			}
		}
	}
	return text.String() + tokens.String()
}

// run has so many clients ask for so long. Rude ones also leave, err, and do not read to the end.
func (s *soak) run(t *testing.T, clients int, length time.Duration, rude bool) *soaked {
	var all soaked
	var wg sync.WaitGroup
	before, began := s.engine.Metrics().NewTokens, time.Now()
	end := began.Add(length)
	for w := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 117))
			for time.Now().Before(end) {
				ctx, cancel := context.WithCancel(t.Context())
				body, fate := soakBody(rng.IntN(24)), rng.IntN(8)
				want := s.alone[body]
				switch {
				case !rude:
				case fate == 0:
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rng.IntN(30))*time.Millisecond)
				case fate == 1:
					body, want = `{"messages":7}`, ""
				case fate == 2:
					body = strings.Replace(body, "{", `{"stream":true,`, 1)
				}
				r, err := s.try(ctx, "POST", chatPath, strings.NewReader(body))
				cancel()
				switch {
				case err != nil:
					all.left.Add(1)
				case r.status == 503:
					all.turned.Add(1)
				case r.status == 200 && want != "" && said(r.body) == want:
					all.finished.Add(1)
				case r.status != 400 || want != "":
					t.Errorf("R109 R117: %d %.300s; alone it was %.300s", r.status, r.body, want)
					return
				}
			}
		})
	}
	wg.Wait()
	s.log.forget()
	all.rate = float64(s.engine.Metrics().NewTokens-before) / time.Since(began).Seconds()
	return &all
}

// household is what a server holds while it does nothing.
type household struct {
	goroutines, descriptors, slots int
	reserved, heap                 uint64
}

func (h household) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d slots and %d bytes of caches in use, %.1f MiB of heap", h.goroutines, h.descriptors, h.slots, h.reserved, float64(h.heap)/(1<<20))
}

// idle waits until all is quiet.
func (s *soak) idle(t *testing.T) household {
	client.CloseIdleConnections()
	s.answers(t)
	s.eventually(t, "connections are closed", func() bool {
		s.connections.mu.Lock()
		defer s.connections.mu.Unlock()
		return s.connections.open == 0
	})
	memory() // finalizers
	m := s.engine.Metrics()
	return household{runtime.NumGoroutine(), openFiles(), m.Running + m.Queued, m.CacheBytes, memory()}
}

// openFiles counts descriptors where the system lists them.
func openFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

func TestSecrets(t *testing.T) {
	h := open(t, nil)
	marker := "secret-marker-a1b2"
	t.Run("R110", func(t *testing.T) {
		secret := `{"messages":[{"role":"user","content":"` + marker + `"}],"max_tokens":60}`
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond) // some fail, some are cancelled
				defer cancel()
				h.try(ctx, "POST", chatPath, strings.NewReader(secret))
			})
			wg.Go(func() {
				if r := h.ask("POST", chatPath, france); !strings.Contains(r.body, "The capital of France is Paris.") {
					t.Error(r.body)
				}
			})
		}
		wg.Wait()
		if strings.Contains(h.log.String(), marker) || strings.Contains(h.ask("GET", "/metrics", "").body, marker) || strings.Contains(h.ask("GET", "/slots", "").body, marker) {
			t.Error("the secret shows")
		}
	})
	h.answers(t)
}

func TestCloseWhileBusy(t *testing.T) {
	t.Run("R118", func(t *testing.T) { // the race detector watches
		h := open(t, nil)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					for _, c := range [][2]string{{"/tokenize", `{"content":"hello world"}`}, {chatPath, france}, {"/apply-template", france}} {
						r, err := h.try(context.Background(), "POST", c[0], strings.NewReader(c[1]))
						if err == nil && r.status != 200 && r.status != 503 {
							t.Error(r.status, r.body)
						}
					}
				}
			})
		}
		ctx, cancel := context.WithTimeout(context.Background(), slow(5*time.Second))
		defer cancel()
		if err := h.Drain(ctx); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// TestEvents reads a stream as a client does.
func TestEvents(t *testing.T) {
	h := open(t, nil)
	r := h.chatWith(`"stream":true,"stream_options":{"include_usage":true},"diffusion":{"stream_steps":true}`)
	var text strings.Builder
	steps, data := 0, 0
	for lines := bufio.NewScanner(strings.NewReader(r.body)); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == "event: wf.step":
			steps++
		case strings.HasPrefix(line, "data: "):
			data++
			if _, rest, ok := strings.Cut(line, `"delta":{"content":"`); ok {
				part, _, _ := strings.Cut(rest, `"}`)
				text.WriteString(part)
			}
		}
	}
	if text.String() != "The capital of France is Paris." || steps == 0 || !strings.HasSuffix(r.body, "data: [DONE]\n\n") ||
		!strings.Contains(r.body, `"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":12,"total_tokens":29`) || r.header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Errorf("%d steps, %d data, %q: %s", steps, data, text.String(), r.body)
	}
	plain := h.chatWith(`"stream":true`)
	if strings.Contains(plain.body, "wf.step") || strings.Contains(plain.body, `"choices":[]`) || !strings.Contains(plain.body, `"finish_reason":"stop"}],"wf":`) {
		t.Error(plain.body)
	}
}
