package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// victim marks the request that a test does something to.
const victim = 1010

func TestHostileLogits(t *testing.T) {
	t.Run("R97 a model that always prefers the mask, or nothing", func(t *testing.T) {
		for _, dialect := range kinds[:2] {
			m := load(t, dialect, 1)
			mask := m.Config().Diffusion.MaskToken
			for name, spoil := range map[string]func([]float32){
				"mask":  func(row []float32) { row[mask] = 1e4 },
				"equal": func(row []float32) { clear(row) },
			} {
				m.after = func(_ int32, s *infer.Segment) {
					for row := range slices.Chunk(s.Out, m.Config().Vocab) {
						spoil(row)
					}
				}
				e := run(t, m, Options{})
				got, err := read(submit(t, e, Request{Prompt: prompt(3, 40, 1), Options: diffusion.Options{MaxTokens: 50}}))
				if err != nil || len(got[0].ids) != 50 || slices.Contains(got[0].ids, mask) {
					t.Errorf("%q, %s: %v, %d ids with the mask %v", dialect, name, err, len(got[0].ids), slices.Contains(got[0].ids, mask))
				}
				m.after = nil
			}
		}
	})
	t.Run("R98 NaN, +inf or nothing but -inf for one request while another runs", func(t *testing.T) {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			m := load(t, kinds[0], 1)
			r := Request{Prompt: prompt(5, 50, 1), Steps: true, Options: diffusion.Options{MaxTokens: 20}}
			want := alone(t, m, r, 0)
			m.after = func(mark int32, s *infer.Segment) {
				if mark == victim && s.Start >= 32 {
					for i := range s.Out {
						s.Out[i] = float32(bad)
					}
				}
			}
			e := run(t, m, Options{})
			other := submit(t, e, r)
			wantCode(t, submit(t, e, Request{Prompt: prompt(victim, 20, 2), Options: diffusion.Options{MaxTokens: 20}}), "NUMERIC_ERROR")
			wantAnswer(t, "the neighbour", other, want)
			wantAnswer(t, "the next request", submit(t, e, r), want)
			if n := e.Metrics().NumericErrors; n != 1 {
				t.Errorf("%d numeric errors are counted", n)
			}
		}
	})
	t.Run("R98 NaN in the network of one segment", func(t *testing.T) {
		m := load(t, kinds[0], 1)
		r := Request{Prompt: prompt(5, 50, 1), Steps: true, Options: diffusion.Options{MaxTokens: 20}}
		want := alone(t, m, r, 0)
		m.after = func(mark int32, s *infer.Segment) {
			if mark == victim {
				s.Err = fault.New("NUMERIC_ERROR", "a test")
			}
		}
		e := run(t, m, Options{})
		other := submit(t, e, r)
		wantCode(t, submit(t, e, Request{Prompt: prompt(victim, 20, 2)}), "NUMERIC_ERROR")
		wantAnswer(t, "the neighbour", other, want)
	})
}

// explosive is a text stream that panics in the middle of an answer.
type explosive struct{ pieces }

func (explosive) Push(int32) string { panic("a secret") }

func TestPanics(t *testing.T) {
	m := load(t, kinds[0], 1)
	r := Request{Prompt: prompt(5, 50, 1), Steps: true, Options: diffusion.Options{MaxTokens: 20}}
	want := alone(t, m, r, 0)
	var log bytes.Buffer
	e := run(t, m, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})

	t.Run("R99 panic in a layer", func(t *testing.T) {
		m.before = func(segments []*infer.Segment) {
			for _, s := range segments {
				if m.mark[s.Cache] == victim {
					_ = s.IDs[len(s.IDs)] // what a kernel could do
				}
			}
		}
		wantCode(t, submit(t, e, Request{ID: "r1", Prompt: prompt(victim, 20, 2)}), "INTERNAL")
		wantAnswer(t, "the next request", submit(t, e, r), want)
		m.before = nil
	})
	t.Run("what a pass that panicked may have spoilt is not kept", func(t *testing.T) {
		m.before = func(segments []*infer.Segment) {
			for _, s := range segments {
				if m.mark[s.Cache] == victim && s.Start >= 128 {
					panic("a secret")
				}
			}
		}
		idle := func() bool { return e.Metrics().CacheBytes == 0 }
		eventually(t, "idle", idle)
		before := e.Metrics().PrefixBytes
		wantCode(t, submit(t, e, Request{Prompt: prompt(victim, 70, 2), Options: diffusion.Options{MaxTokens: 100}}), "INTERNAL")
		eventually(t, "idle again", idle)
		if kept := e.Metrics().PrefixBytes - before; kept != 2*m.PageBytes() {
			t.Errorf("%d bytes are kept; wanted the prompt's two pages", kept)
		}
		m.before = nil
		wantAnswer(t, "the next request", submit(t, e, r), want)
	})
	t.Run("R99 panic in what turns ids into text", func(t *testing.T) {
		other := submit(t, e, r)
		bad := Request{ID: "r2", Prompt: prompt(4, 50, 1), Text: func() diffusion.TextStream { return explosive{} }}
		wantCode(t, submit(t, e, bad), "INTERNAL")
		wantAnswer(t, "the neighbour", other, want)
	})
	t.Run("R99 panic when an answer begins", func(t *testing.T) {
		calls := 0
		bad := Request{ID: "r3", Prompt: prompt(4, 50, 1), Text: func() diffusion.TextStream {
			if calls++; calls == 2 { // the first call is Submit's own
				panic(errors.New("a secret"))
			}
			return pieces{}
		}}
		other := submit(t, e, r)
		wantCode(t, submit(t, e, bad), "INTERNAL")
		wantAnswer(t, "the neighbour", other, want)
	})
	if got := e.Metrics(); got.Panics != 4 || got.Outcomes["INTERNAL"] != 4 {
		t.Errorf("%d panics, %d requests", got.Panics, got.Outcomes["INTERNAL"])
	}
	e.Close() // the log is written
	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "request=r2") || !strings.Contains(text, "index out of range") {
		t.Errorf("the log: %s", text)
	}
}

// TestEngineBug: should the engine itself panic, nobody waits for it, and Ready says so.
func TestEngineBug(t *testing.T) {
	m := load(t, kinds[0], 1)
	e := run(t, m, Options{})
	m.before = func(segments []*infer.Segment) { e.prefixes.roots = nil } // which begin and keep cannot know
	if _, err := submit(t, e, Request{Prompt: prompt(3, 40, 1), Options: diffusion.Options{MaxTokens: 3}}).Collect(); fault.Code(err) != "INTERNAL" {
		t.Errorf("the request ended with %v", err)
	}
	eventually(t, "not ready", func() bool { return fault.Code(e.Ready()) == "INTERNAL" })
	refused(t, e, t.Context(), Request{Prompt: prompt(3, 40, 1)}, "INTERNAL")
	e.mu.Lock()
	e.running, e.free = nil, e.pages // for the end of the test
	e.mu.Unlock()
}

func TestModelGone(t *testing.T) {
	t.Run("R35 truncated while serving", func(t *testing.T) {
		m := load(t, kinds[0], 1)
		e := run(t, m, Options{Sequences: 1})
		held := make(chan struct{})
		m.instead = func([]*infer.Segment) error {
			<-held
			return fault.New("FILE_CHANGED", "a test")
		}
		first, queued := submit(t, e, Request{Prompt: prompt(3, 40, 1)}), submit(t, e, Request{Prompt: prompt(3, 40, 1)})
		close(held)
		wantCode(t, first, "FILE_CHANGED")
		wantCode(t, queued, "FILE_CHANGED")
		if code := fault.Code(e.Ready()); code != "FILE_CHANGED" {
			t.Errorf("Ready says %q", code)
		}
		refused(t, e, t.Context(), Request{Prompt: prompt(3, 40, 1)}, "FILE_CHANGED")
	})
}

// TestOurBug: rows that the model refuses end the requests of the pass and tell nobody what they held.
func TestOurBug(t *testing.T) {
	m := load(t, kinds[0], 1)
	e := run(t, m, Options{})
	m.instead = func([]*infer.Segment) error { return errors.New("rows of a secret") }
	s := submit(t, e, Request{Prompt: prompt(3, 40, 1)})
	wantCode(t, s, "INTERNAL")
	if strings.Contains(s.Err().Error(), "secret") {
		t.Error(s.Err())
	}
}

func TestMemory(t *testing.T) {
	m := load(t, kinds[0], 1)
	var left atomic.Int64
	m.newCache = func() error {
		if left.Add(-1) < 0 {
			return fault.New("MEMORY_ESTIMATE", "a test")
		}
		return nil
	}
	e := run(t, m, Options{})
	long := Request{Prompt: prompt(3, 40, 1), Options: diffusion.Options{MaxTokens: 100}}

	left.Store(1)
	first := submit(t, e, long) // has memory, and then all others wait until it ends
	<-first.Events
	second := submit(t, e, Request{Prompt: prompt(4, 40, 1), Options: diffusion.Options{MaxTokens: 3}})
	for range first.Events {
		left.Store(0)
	}
	left.Store(1)
	if _, err := second.Collect(); err != nil {
		t.Errorf("the request that waited for memory: %v", err)
	}

	if e.Metrics().PrefixBytes == 0 {
		t.Error("no prefix is kept")
	}
	left.Store(0)
	wantCode(t, submit(t, e, long), "MEMORY_ESTIMATE") // alone, and dropping what is kept did not help
	if got := e.Metrics(); got.PrefixBytes != 0 || got.PrefixEvictions == 0 {
		t.Errorf("%d bytes are kept, %d pages were dropped", got.PrefixBytes, got.PrefixEvictions)
	}
	left.Store(1000)
	if _, err := submit(t, e, long).Collect(); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	t.Run("R110 a request sees nothing of another that failed, ran or was cancelled", func(t *testing.T) {
		for _, dialect := range kinds {
			m := load(t, dialect, 1)
			b := Request{Prompt: prompt(5, 60, 1), Steps: true, Text: spell, Options: diffusion.Options{MaxTokens: 20, Temperature: 1, Seed: ptr(uint64(1))}}
			want := alone(t, m, b, 0)
			m.after = func(mark int32, s *infer.Segment) {
				if mark == victim {
					for i := range s.Out {
						s.Out[i] = float32(math.NaN()) // what B would see if a buffer of A came to it
					}
				}
			}
			var log bytes.Buffer
			e := run(t, m, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			a := Request{Prompt: prompt(victim, 90, 2)}
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				cancelled, err := e.Submit(ctx, Request{Prompt: prompt(1011, 90, 2)})
				if err != nil {
					t.Fatal(err)
				}
				failing, beside := submit(t, e, a), submit(t, e, b)
				cancel()
				wantCode(t, failing, "NUMERIC_ERROR")
				wantCode(t, cancelled, "CANCELLED")
				wantAnswer(t, "B beside A", beside, want)
				wantAnswer(t, "B after A", submit(t, e, b), want)
				if text := failing.Err().Error() + cancelled.Err().Error(); strings.Contains(text, "1011") || strings.Contains(text, "1010") {
					t.Errorf("an error tells tokens: %s", text)
				}
			}
			if log.Len() > 0 {
				t.Errorf("the log: %s", log.String())
			}
		}
	})
}

func TestStall(t *testing.T) {
	t.Run("R115 a stalled pass", func(t *testing.T) {
		m := load(t, kinds[0], 1)
		held := make(chan struct{})
		m.before = func([]*infer.Segment) { <-held }
		e := run(t, m, Options{Watchdog: 20 * time.Millisecond, QueueTime: 50 * time.Millisecond, Sequences: 1})
		ctx, cancel := context.WithCancel(t.Context())
		s, err := e.Submit(ctx, Request{Prompt: prompt(3, 40, 1)})
		if err != nil || e.Ready() != nil {
			t.Fatal(err, e.Ready())
		}
		eventually(t, "stalled", func() bool { return fault.Code(e.Ready()) == "STALLED" && e.Metrics().Stalled })
		wantCode(t, submit(t, e, Request{Prompt: prompt(3, 40, 1)}), "OVERLOADED") // waiting ends all the same
		cancel()
		wantCode(t, s, "CANCELLED") // and so does the request that is stuck
		close(held)
		eventually(t, "ready again", func() bool { return e.Ready() == nil })
	})
}

// settled waits until the garbage is gone and returns what the heap holds.
func settled() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
