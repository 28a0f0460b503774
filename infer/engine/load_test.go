package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// held is a model whose first pass waits until the test opens it.
func held(t *testing.T, dialect string) (m *hooked, open func()) {
	m = load(t, dialect, 1)
	gate := make(chan struct{})
	m.before = func([]*infer.Segment) { <-gate }
	return m, sync.OnceFunc(func() { close(gate) })
}

func short(mark int32, n int) Request {
	return Request{Prompt: prompt(mark, n, uint64(mark)), Options: diffusion.Options{MaxTokens: 2}}
}

func TestAdmission(t *testing.T) {
	t.Run("R93 prompt and max tokens against the context", func(t *testing.T) {
		m := load(t, kinds[0], 1)
		e := run(t, m, Options{Context: 100})
		r := short(3, 40)
		r.Options.MaxTokens = 61
		if err := refused(t, e, t.Context(), r, "CONTEXT_LENGTH_EXCEEDED"); !strings.Contains(err.Error(), "40") || !strings.Contains(err.Error(), "61") {
			t.Errorf("%v does not name both numbers", err)
		}
		refused(t, e, t.Context(), short(3, 100), "CONTEXT_LENGTH_EXCEEDED")
		for _, n := range []int{60, 0} { // exactly; as many as fit
			r.Options.MaxTokens = n
			if got, err := submit(t, e, r).Collect(); err != nil || len(got[0].IDs) > 60 {
				t.Errorf("max tokens %d: %v", n, err)
			}
		}
	})
	t.Run("R103 1000 requests at once", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{Sequences: 4})
		var admitted []*Stream
		slowest := time.Duration(0)
		for i := range 1000 {
			began := time.Now()
			s, err := e.Submit(t.Context(), short(int32(3+i), 40))
			var overload *OverloadError
			switch {
			case err == nil:
				admitted = append(admitted, s)
			case !errors.As(err, &overload) || fault.Code(err) != "OVERLOADED" || overload.RetryAfter < time.Second:
				t.Fatal(err)
			default:
				slowest = max(slowest, time.Since(began))
			}
		}
		if len(admitted) < 32 || len(admitted) > 32+4 {
			t.Errorf("%d requests were admitted", len(admitted))
		}
		if slowest > 50*time.Millisecond*slowness() {
			t.Errorf("a refusal took %v", slowest)
		}
		open()
		for _, s := range admitted {
			if _, err := s.Collect(); err != nil {
				t.Error(err)
			}
		}
		if got := e.Metrics().Outcomes; got[completed] != uint64(len(admitted)) || got["OVERLOADED"] != uint64(1000-len(admitted)) {
			t.Errorf("outcomes %v", got)
		}
	})
	t.Run("R104 the queue's limit in tokens", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{Sequences: 1, QueueTokens: 1000})
		streams := []*Stream{submit(t, e, short(3, 40))}
		eventually(t, "running", func() bool { return e.Metrics().Running == 1 })
		streams = append(streams, submit(t, e, short(3, 600)))
		refused(t, e, t.Context(), short(4, 600), "OVERLOADED")
		streams = append(streams, submit(t, e, short(5, 10)))
		open()
		for _, s := range streams {
			if _, err := s.Collect(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("R105 waiting longer than the queue's time", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{Sequences: 1, QueueTime: 20 * time.Millisecond})
		first := submit(t, e, short(1003, 40))
		eventually(t, "running", func() bool { return e.Metrics().Running == 1 })
		second := submit(t, e, short(1004, 40))
		wantCode(t, second, "OVERLOADED")
		var overload *OverloadError
		if !errors.As(second.Err(), &overload) || overload.RetryAfter < time.Second {
			t.Error(second.Err())
		}
		open()
		if _, err := first.Collect(); err != nil {
			t.Errorf("the request that had started: %v", err)
		}
		if m.rowsOf(1004) != 0 {
			t.Error("it ran")
		}
	})
	t.Run("memory", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{CacheBytes: 4 * m.PageBytes()}) // 128 positions
		refused(t, e, t.Context(), short(3, 100), "MEMORY_ESTIMATE")
		large, small := submit(t, e, short(3, 50)), submit(t, e, short(4, 10))
		eventually(t, "running", func() bool { return e.Metrics().Running == 1 })
		if got := e.Metrics(); got.Queued != 1 || got.CacheBytes != 3*m.PageBytes() {
			t.Errorf("%d wait, %d bytes are reserved", got.Queued, got.CacheBytes)
		}
		open()
		for _, s := range []*Stream{large, small} {
			if _, err := s.Collect(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a large request is not overtaken for ever", func(t *testing.T) {
		m, open := held(t, "")
		e := run(t, m, Options{CacheBytes: 8 * m.PageBytes()})
		var order []int32
		m.after = func(mark int32, _ *infer.Segment) {
			if len(order) == 0 || order[len(order)-1] != mark {
				order = append(order, mark)
			}
		}
		var streams []*Stream
		for _, r := range []Request{short(1003, 100), short(1004, 230), short(1005, 10), short(1006, 10)} {
			streams = append(streams, submit(t, e, r))
		}
		open()
		for _, s := range streams {
			if _, err := s.Collect(); err != nil {
				t.Error(err)
			}
		}
		if fmt.Sprint(order) != "[1003 1004 1005 1006 1005 1006]" {
			t.Errorf("they ran in the order %v", order)
		}
	})
}

func TestRefusals(t *testing.T) {
	m := load(t, kinds[0], 1)
	e := run(t, m, Options{Context: 200})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	ctx := t.Context()
	for _, c := range []struct {
		ctx     context.Context
		code    string
		request Request
	}{
		{ctx, "BAD_PROMPT", Request{}},
		{ctx, "BAD_PROMPT", Request{Prompt: []int32{-1}}},
		{ctx, "BAD_PROMPT", Request{Prompt: []int32{1 << 30}}},
		{ctx, "BAD_OPTION", Request{Prompt: []int32{3}, Choices: 129}},
		{ctx, "BAD_OPTION", Request{Prompt: []int32{3}, Choices: -1}},
		{ctx, "BAD_OPTION", Request{Prompt: []int32{3}, Options: diffusion.Options{Context: 201}}},
		{ctx, "BAD_OPTION", Request{Prompt: []int32{3}, Options: diffusion.Options{Temperature: 3}}},
		{ctx, "BAD_OPTION", Request{Prompt: []int32{3}, Options: diffusion.Options{StopStrings: []string{"x"}}}},
		{ctx, "MODE_MISMATCH", Request{Prompt: []int32{3}, Options: diffusion.Options{Mode: "autoregressive"}}},
		{ctx, "CONTEXT_LENGTH_EXCEEDED", Request{Prompt: []int32{3}, Options: diffusion.Options{MaxTokens: 1<<63 - 1}}},
		{ended, "CANCELLED", Request{Prompt: []int32{3}}},
		{late, "DEADLINE", Request{Prompt: []int32{3}}},
	} {
		refused(t, e, c.ctx, c.request, c.code)
	}
	if got := e.Metrics(); got.Outcomes["BAD_OPTION"] != 5 || got.Outcomes["BAD_PROMPT"] != 3 || got.Queued != 0 {
		t.Errorf("outcomes %v", got.Outcomes)
	}
	_, err := New(m, Options{Context: 1 << 20, Rows: -1, QueueTime: -1})
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 3 || fault.Code(err) != "BAD_OPTION" {
		t.Errorf("three bad options: %v", err)
	}
}

func TestCancellation(t *testing.T) {
	t.Run("R106 cancelled while queued, during prefill, between steps, mid-stream", func(t *testing.T) {
		for _, dialect := range kinds {
			for _, when := range []string{"queued", "prefill", "steps", "stream"} {
				m := load(t, dialect, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o := Options{PrefillRows: 32}
				after := 0 // passes after the cancellation
				passes := 0
				m.after = func(mark int32, s *infer.Segment) {
					if mark != victim {
						return
					}
					if ctx.Err() != nil {
						after++
					}
					passes++
					if when == "prefill" && passes == 2 || when == "steps" && passes == 9 {
						cancel()
					}
				}
				if when == "queued" {
					o.Sequences = 1
				}
				e := run(t, m, o)
				other := short(5, 40)
				other.Options.MaxTokens, other.Steps = 15, true
				want := alone(t, m, other, 0)
				beside := submit(t, e, other)
				s, err := e.Submit(ctx, Request{Prompt: prompt(victim, 200, 1), Steps: true})
				if err != nil {
					t.Fatal(err)
				}
				switch when {
				case "queued":
					cancel()
				case "stream":
					<-s.Events
					cancel()
				}
				wantCode(t, s, "CANCELLED")
				if !errors.Is(s.Err(), context.Canceled) {
					t.Errorf("%v hides its cause", s.Err())
				}
				next := submit(t, e, other)
				wantAnswer(t, when+": the neighbour", beside, want)
				wantAnswer(t, when+": the next request", next, want)
				if after > 1 || when == "queued" && passes > 0 {
					t.Errorf("dialect %q, %s: %d passes, %d of them after the cancellation", dialect, when, passes, after)
				}
			}
		}
	})
	t.Run("deadline", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		s, err := e.Submit(ctx, short(3, 40))
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, s, "DEADLINE")
		if !errors.Is(s.Err(), context.DeadlineExceeded) {
			t.Errorf("%v hides its cause", s.Err())
		}
		open()
	})
}

func TestSlowConsumer(t *testing.T) {
	t.Run("R107 a client that never reads, beside one that does", func(t *testing.T) {
		m := load(t, "", 1)
		r := Request{Prompt: prompt(5, 40, 1), Steps: true, Options: diffusion.Options{MaxTokens: 60}}
		want := alone(t, m, r, 0)
		e := run(t, m, Options{Unread: 64})
		lazy := submit(t, e, Request{Prompt: prompt(6, 40, 1), Options: diffusion.Options{MaxTokens: 80}})
		wantAnswer(t, "the neighbour", submit(t, e, r), want)
		eventually(t, "closed", func() bool { return lazy.Err() != nil })
		if n := len(lazy.Events); n != 64 {
			t.Errorf("%d events can still be read", n)
		}
		wantCode(t, lazy, "SLOW_CONSUMER")
	})
}

func TestFairness(t *testing.T) {
	// A long prompt is cut into parts, and each of another's steps waits for no more than one part.
	m := load(t, kinds[0], 1)
	var trace strings.Builder
	var rows atomic.Int64
	m.before = func(segments []*infer.Segment) {
		n := 0
		for _, s := range segments {
			n += len(s.IDs)
			switch m.mark[s.Cache] {
			case 1003:
				trace.WriteByte('p')
			case 1004:
				trace.WriteByte('s')
			}
		}
		rows.Store(max(rows.Load(), int64(n)))
		trace.WriteByte('|')
	}
	e := run(t, m, Options{PrefillRows: 64, Rows: 100, NoPrefixCache: true})
	other := Request{Prompt: prompt(1004, 10, 1), Steps: true, Options: diffusion.Options{MaxTokens: 100, Threshold: ptr(float32(1))}}
	s := submit(t, e, other)
	<-s.Events
	long := short(1003, 900)
	for _, s := range []*Stream{submit(t, e, long), s} {
		if _, err := s.Collect(); err != nil {
			t.Fatal(err)
		}
	}
	text := trace.String()
	if !strings.Contains(text, "|sp|ps|") && !strings.Contains(text, "|ps|ps|") && !strings.Contains(text, "|sp|sp|") || strings.Contains(text, "|p|p|") {
		t.Errorf("passes: %s", text)
	}
	if rows.Load() > 100 {
		t.Errorf("a pass had %d rows", rows.Load())
	}

	// With room for one block in a pass, everyone still gets every n-th pass.
	trace.Reset()
	m.before = func(segments []*infer.Segment) {
		if len(segments) != 1 {
			t.Errorf("%d answers in a pass", len(segments))
		}
		fmt.Fprint(&trace, m.mark[segments[0].Cache]%10)
	}
	e = run(t, m, Options{Rows: 1, NoPrefixCache: true})
	var streams []*Stream
	for mark := int32(1003); mark < 1006; mark++ {
		streams = append(streams, submit(t, e, Request{Prompt: prompt(mark, 10, 1), Options: diffusion.Options{MaxTokens: 20, Threshold: ptr(float32(1))}}))
	}
	for _, s := range streams {
		if _, err := s.Collect(); err != nil {
			t.Fatal(err)
		}
	}
	if text := trace.String(); !strings.Contains(text, "345345345345") && !strings.Contains(text, "354354354354") {
		t.Errorf("passes: %s", trace.String())
	}
}

func TestDrain(t *testing.T) {
	t.Run("R111 drain with running and queued requests", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{Sequences: 1})
		running := submit(t, e, short(3, 40))
		eventually(t, "running", func() bool { return e.Metrics().Running == 1 })
		queued := submit(t, e, short(5, 40))
		drained := make(chan error)
		go func() { drained <- e.Drain(t.Context()) }()
		wantCode(t, queued, "DRAINING")
		if code := fault.Code(e.Ready()); code != "DRAINING" || !e.Metrics().Draining {
			t.Errorf("Ready says %q", code)
		}
		refused(t, e, t.Context(), short(6, 40), "DRAINING")
		select {
		case err := <-drained:
			t.Errorf("Drain returned %v before the running requests had ended", err)
		default:
		}
		open()
		if _, err := running.Collect(); err != nil {
			t.Error(err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
	t.Run("R111 the drain limit", func(t *testing.T) {
		m, open := held(t, kinds[0])
		e := run(t, m, Options{})
		s := submit(t, e, short(3, 40))
		eventually(t, "running", func() bool { return e.Metrics().Running == 1 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := e.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain returned %v", err)
		}
		wantCode(t, s, "DRAINING")
		open()
	})
	t.Run("R118 close while requests come and run", func(t *testing.T) {
		m := load(t, kinds[0], 2)
		var closed atomic.Bool
		m.before = func([]*infer.Segment) {
			if closed.Load() {
				t.Error("a pass after Close")
			}
		}
		e := run(t, m, Options{})
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for n := 0; ; n++ {
					s, err := e.Submit(t.Context(), short(int32(3+i), 10+n%50))
					if err == nil {
						_, err = s.Collect()
					}
					switch fault.Code(err) {
					case "":
					case "DRAINING":
						return
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		e.Close()
		closed.Store(true)
		clients.Wait()
	})
}

// soak is how long TestSoak runs: the variable SOAK, or briefly.
func soak(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("SOAK"))
	if os.Getenv("SOAK") == "" {
		return 900 * time.Millisecond
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSoak(t *testing.T) {
	t.Run("R117 random cancels, failures and deadlines", func(t *testing.T) {
		const clients = 8
		length := soak(t)
		for _, dialect := range kinds {
			m := load(t, dialect, 2)
			all := requests(dialect, 4)
			var want []outcome
			for _, r := range all {
				want = append(want, alone(t, m, r, 0))
			}
			m.after = func(mark int32, s *infer.Segment) {
				if mark == victim && s.Start >= 64 {
					s.Err = fault.New("NUMERIC_ERROR", "a test")
				}
			}
			m.before = func(segments []*infer.Segment) {
				for _, s := range segments {
					if m.mark[s.Cache] == victim+1 && rand.N(100) == 0 {
						panic("a test")
					}
				}
			}
			e := run(t, m, Options{Queue: 4, Sequences: 6, PrefixBytes: 10 * m.PageBytes(), CacheBytes: 60 * m.PageBytes(), PrefillRows: 64})
			goroutines := runtime.NumGoroutine()
			var finished atomic.Int64
			heap := uint64(0)
			for part := range 3 { // what the third leaves behind must be what the second did; the first lets buffers and prefixes grow
				var group sync.WaitGroup
				end := time.Now().Add(length / 9)
				for client := range clients {
					group.Go(func() {
						r := rand.New(rand.NewPCG(uint64(part), uint64(client)))
						for time.Now().Before(end) {
							if i := r.IntN(len(all)); oneRequest(t, e, r, all[i], want[i]) {
								finished.Add(1)
							}
						}
					})
				}
				group.Wait()
				eventually(t, "idle", func() bool { return e.Metrics().CacheBytes == 0 })
				m.mu.Lock()
				clear(m.mark)
				m.mu.Unlock()
				now := settled()
				if part == 2 && now > heap+heap/20+1<<20 {
					t.Errorf("dialect %q: the heap held %d bytes, then %d", dialect, heap, now)
				}
				heap = now
				eventually(t, "goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
			}
			got := e.Metrics()
			if got.PrefixBytes > 10*m.PageBytes() || finished.Load() == 0 || got.Outcomes[completed] < uint64(finished.Load()) {
				t.Errorf("dialect %q: %d finished, %+v", dialect, finished.Load(), got)
			}
			t.Logf("dialect %q: %d answers as alone; outcomes %v; %d prefix hits", dialect, finished.Load(), got.Outcomes, got.PrefixHits)
		}
	})
}

// oneRequest does something at random and reports whether an answer came, which must be the wanted one.
func oneRequest(t *testing.T, e *Engine, r *rand.Rand, request Request, want outcome) bool {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fate := r.IntN(8)
	switch fate {
	case 0:
		request = Request{Prompt: prompt(victim, 40+r.IntN(60), r.Uint64())}
	case 1:
		request = Request{Prompt: prompt(victim+1, 40+r.IntN(60), r.Uint64())}
	case 2:
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, time.Duration(r.IntN(30))*time.Millisecond)
		defer done()
	case 3:
		request.Choices = 3
	}
	s, err := e.Submit(ctx, request)
	if err == nil && fate == 4 {
		for range r.IntN(5) {
			<-s.Events
		}
		cancel()
		_, err = s.Collect()
		if err == nil {
			return false // it was faster
		}
	}
	var got []outcome
	if err == nil {
		got, err = read(s)
	}
	switch fault.Code(err) {
	case "":
		if err != nil {
			t.Error(err)
		} else if fate >= 2 && !reflect.DeepEqual(got[0], want) {
			t.Errorf("got %v, alone %v", got[0].ids, want.ids)
		}
		return err == nil
	case "OVERLOADED":
		time.Sleep(time.Millisecond)
	case "NUMERIC_ERROR", "INTERNAL", "DEADLINE", "CANCELLED":
	default:
		t.Error(err)
	}
	return false
}
