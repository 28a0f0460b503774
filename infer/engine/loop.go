package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// loop owns the model, the decoders and the prefixes. Each turn frees what ended answers held, admits and begins others, and runs one pass.
func (e *Engine) loop() {
	defer close(e.stopped)
	defer e.watch.Stop()
	err := e.contain("", func() error {
		for {
			for _, a := range e.sweep() {
				e.release(a)
			}
			switch running, closed := e.start(); {
			case closed:
				return nil
			case running:
				e.turn()
			default:
				<-e.wake
			}
		}
	})
	if err != nil { // a bug of the engine itself: nobody may wait for it
		e.fail(err)
	}
}

// sweep takes the answers that have ended from those that run, and ends the turn.
func (e *Engine) sweep() (gone []*answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch.Stop()
	e.began = time.Time{}
	stay := e.running[:0]
	for _, a := range e.running {
		if a.ctx.Err() != nil { // before its own goroutine comes to say so
			e.end(a.request, errEnded(a.ctx))
		}
		if a.done || a.ended {
			gone = append(gone, a)
		} else {
			stay = append(stay, a)
		}
	}
	clear(e.running[len(stay):])
	e.running = stay
	return gone
}

// release frees what an answer held and counts what it did.
func (e *Engine) release(a *answer) {
	if a.prefix != nil {
		e.prefixes.unpin(a.prefix)
		e.countPrefixes()
	}
	var s diffusion.Stats
	if a.decoder != nil {
		e.keep(a)
		s = a.decoder.Result().Stats
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free += a.pages
	e.metrics.NewTokens += uint64(s.NewTokens)
	e.metrics.DenoiseSteps += uint64(s.DenoiseSteps())
}

// start begins a turn if there is something to do.
func (e *Engine) start() (running, closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.admit()
	if len(e.running) > 0 && !e.closed {
		e.began = time.Now()
		e.watch.Reset(e.Watchdog)
	}
	return len(e.running) > 0, e.closed
}

// turn runs a pass over the answers whose turn it is.
func (e *Engine) turn() {
	began := time.Now()
	for _, a := range e.running {
		if a.decoder == nil && !e.awaits(a) {
			e.begin(a)
		}
	}
	batch := e.choose()
	if len(batch) == 0 {
		return // none could begin
	}
	segments := make([]*infer.Segment, len(batch))
	for i, a := range batch {
		segments[i] = a.decoder.Next()
	}
	if err := e.contain("", func() error { return e.model.Forward(segments) }); err != nil {
		e.failPass(batch, err)
		return
	}
	took := time.Since(began)
	for i, a := range batch {
		e.accept(a, len(segments[i].IDs), took)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.metrics.PassSeconds.since(began)
	e.metrics.PassWidth.observe(float64(len(batch)))
}

// choose picks the answers of a pass, the least recently served first, and moves them to the end of the line. The first always goes, so everyone's
// turn comes; others go while their rows fit.
func (e *Engine) choose() (batch []*answer) {
	rows, prefill := 0, 0
	var others []*answer
	for _, a := range e.running {
		n := a.rows()
		isPrefill := n > 0 && a.decoder.Kind() == diffusion.Prefill
		if n == 0 || len(batch) > 0 && rows+n > e.Rows || isPrefill && prefill > 0 && prefill+n > e.PrefillRows {
			others = append(others, a)
			continue
		}
		if isPrefill {
			prefill += n
		}
		rows += n
		batch = append(batch, a)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = append(others, batch...)
	return batch
}

// accept hands an answer its logits, and on what it makes of them.
func (e *Engine) accept(a *answer, rows int, took time.Duration) {
	kind := a.decoder.Kind()
	if err := e.contain(a.ID, func() error { return a.accept(took) }); err != nil {
		e.failAnswer(a, err)
		return
	}
	if a.prefilling && a.decoder.Kind() != diffusion.Prefill {
		a.prefilling = false
		e.keep(a)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.metrics.Segments[kind]++
	e.metrics.Rows[kind] += uint64(rows)
	e.deliver(a)
}

// deliver sends what a pass brought for an answer, without ever waiting. The caller holds mu.
func (e *Engine) deliver(a *answer) {
	event := a.event
	a.event = Event{}
	a.done = event.Result != nil
	if a.ended || !a.done && event.Tokens == nil && event.Text == "" && event.Steps == nil {
		return
	}
	select {
	case a.events <- event:
	default:
		e.end(a.request, fault.New("SLOW_CONSUMER", "engine: %d events were not read; the request is closed", e.Unread))
		return
	}
	if a.done {
		if a.finished++; a.finished == a.Choices {
			e.end(a.request, nil)
		}
	}
}

// failAnswer ends the request of an answer that went wrong.
func (e *Engine) failAnswer(a *answer, err error) {
	a.failed = true
	e.mu.Lock()
	defer e.mu.Unlock()
	if fault.Code(err) == "NUMERIC_ERROR" {
		e.metrics.NumericErrors++
	}
	e.end(a.request, err)
}

// failPass ends the requests of a pass that went wrong as a whole; all, if the model is gone.
func (e *Engine) failPass(batch []*answer, err error) {
	code := fault.Code(err)
	e.Log.Error("a pass failed", "answers", len(batch), "code", code)
	if code != "FILE_CHANGED" { // rows that the model refuses are our bug
		err = errInternal()
	}
	for _, a := range batch {
		e.failAnswer(a, err)
	}
	if code == "FILE_CHANGED" {
		e.fail(err)
	}
}

// fail ends all requests, and those to come.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = err
	e.endAll(err)
}

// contain turns a panic of f into an error. What the log gets of it holds nothing of a request: an error of the Go runtime is told, any other
// value only by its type.
func (e *Engine) contain(id string, f func() error) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		err = errInternal()
		e.countPanic()
		what := fmt.Sprintf("%T", v)
		if r, ok := v.(runtime.Error); ok {
			what = r.Error()
		}
		e.Log.Error("panic", "request", id, "what", what, "stack", string(debug.Stack()))
	}()
	return f()
}

func (e *Engine) countPanic() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.metrics.Panics++
}
