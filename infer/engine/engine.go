// Package engine runs many requests on one model.
//
// One goroutine owns the model and works in passes. A pass takes the next rows of several running answers, whatever each is about to do, and puts
// them through the network together:
//
//	answer 1   prefill     rows 0..127 of a prompt        \
//	answer 2   denoise     a block of 32 positions         } one Forward of 161 rows
//	answer 3   decode      a single row                   /
//
// Then every answer reads its own logits. A row's logits do not depend on its neighbours, so neither do an answer's ids.
//
// A request waits in a bounded queue until there is room for its positions in the caches, runs, and ends once: completed, failed, cancelled by
// its context, or closed because nobody read what it said. Nothing that one request does, fails at or neglects to do holds another up:
//
//	Submit -> queued -> running -> ended          the events of a request are in Stream.Events, its end in Stream.Err
//
// Keys and values of prompts and answers are kept for requests that begin with the same tokens (prefix.go).
package engine

import (
	"context"
	"sync"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// Model is what an engine needs of infer.Model; tests put one here that fails.
type Model interface {
	diffusion.Model
	PageBytes() uint64
}

var _ Model = (*infer.Model)(nil)

// Engine runs the requests of one model. Its methods may be called concurrently. Nothing else may use the model before Close has returned.
type Engine struct {
	Options  // with the defaults filled in; not to be changed
	model    Model
	pages    int           // that running answers may have together
	wake     chan struct{} // tells the loop of work
	stopped  chan struct{} // closed when the loop has ended
	watch    *time.Timer   // fires when a turn takes too long
	prefixes *prefixes     // the loop's own

	mu       sync.Mutex // for all that follows
	live     map[*request]struct{}
	queue    []*request // those with answers that have not started, in the order of their turns
	running  []*answer  // the least recently served first; only the loop changes it
	free     int        // pages that no running answer has reserved
	draining bool       // takes no requests
	closed   bool       // the loop ends
	broken   error      // why no request can succeed any more
	began    time.Time  // of the loop's turn; zero while it sleeps
	ended    sync.Cond  // a request has
	metrics  Metrics
}

// New starts an engine. It fails with every unusable option at once (BAD_OPTION).
func New(m Model, o Options) (*Engine, error) {
	if err := o.resolve(m.Config()); err != nil {
		return nil, err
	}
	e := &Engine{
		Options: o, model: m, pages: int(min(o.CacheBytes/m.PageBytes(), 1<<31-1)),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}), live: map[*request]struct{}{}, metrics: newMetrics(),
	}
	e.free, e.ended.L = e.pages, &e.mu
	if !o.NoPrefixCache {
		e.prefixes = newPrefixes(m.PageBytes(), o.PrefixBytes)
	}
	e.watch = time.AfterFunc(o.Watchdog, e.reportStall)
	e.watch.Stop()
	go e.loop()
	return e, nil
}

// Submit checks a request and puts it into the queue. The request ends when its answers do, when ctx ends (CANCELLED, or DEADLINE if ctx had
// one), or with the engine. Errors, before anything has run:
//
//	BAD_OPTION, MODE_MISMATCH   diffusion.Options.Validate; *diffusion.OptionError names the option
//	INFILL_UNSUPPORTED          Options.Infill, and the model sees nothing to the right
//	BAD_PROMPT                  no token, or one outside the vocabulary
//	CONTEXT_LENGTH_EXCEEDED     prompt and max tokens do not fit the context; the text has both numbers
//	OVERLOADED                  the queue is full; *OverloadError
//	MEMORY_ESTIMATE             the request needs more room than all caches together may have
//	DRAINING                    the engine takes no more requests
//	FILE_CHANGED, INTERNAL      what Ready says
//	CANCELLED, DEADLINE         ctx has ended already
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	q, err := e.check(ctx, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		err = e.refuse(q)
	}
	if err != nil {
		e.metrics.outcome(err)
		return nil, err
	}
	e.enqueue(q)
	return q.stream, nil
}

// Ready returns nil, or why the engine cannot be relied on: DRAINING, STALLED (a pass is taking longer than Options.Watchdog), FILE_CHANGED
// (the model's file was cut short under us; every later request fails), or INTERNAL (the engine itself failed, likewise).
func (e *Engine) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.broken != nil:
		return e.broken
	case e.draining:
		return errDraining()
	case e.stalled():
		return fault.New("STALLED", "engine: a pass has been running for %v; wanted at most %v", time.Since(e.began).Round(time.Second), e.Watchdog)
	}
	return nil
}

func (e *Engine) stalled() bool { return !e.began.IsZero() && time.Since(e.began) > e.Watchdog }

func (e *Engine) reportStall() { e.Log.Error("a pass takes too long", "watchdog", e.Watchdog) }

// Drain stops admission, fails what waits in the queue with DRAINING and waits for what runs. When ctx ends first, that fails with DRAINING too,
// and Drain returns ctx's error. It may be called again.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draining = true
	for r := range e.live {
		if r.waits() {
			e.end(r, errDraining())
		}
	}
	defer context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ended.Broadcast()
	})()
	for len(e.live) > 0 && ctx.Err() == nil {
		e.ended.Wait()
	}
	if len(e.live) == 0 {
		return nil
	}
	e.endAll(errDraining())
	return ctx.Err()
}

// Close fails every request with DRAINING and returns when the model is no longer in use. It may be called again.
func (e *Engine) Close() {
	e.mu.Lock()
	e.draining, e.closed = true, true
	e.endAll(errDraining())
	e.mu.Unlock()
	e.signal()
	<-e.stopped
}

// signal wakes the loop.
func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default: // it has been told
	}
}
