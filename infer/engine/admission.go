package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// check makes what runs of a Request: with all defaults filled in and nothing left that could be refused later.
func (e *Engine) check(ctx context.Context, r Request) (*request, error) {
	c, o, n := e.model.Config(), &r.Options, len(r.Prompt)
	r.Prompt, o.Infill, r.Choices = slices.Clone(r.Prompt), slices.Clone(o.Infill), cmp.Or(r.Choices, 1)
	if r.Choices < 1 || r.Choices > maxChoices {
		return nil, fault.New("BAD_OPTION", "engine: %d choices; wanted 1 to %d", r.Choices, maxChoices)
	}
	o.Context = cmp.Or(o.Context, e.Context)
	o.Prefix, o.PrefillRows, o.Choice = nil, e.PrefillRows, 0
	o.OnEvent, o.OnTokens, o.OnText, o.Warn = nil, nil, nil, nil
	if o.Text = nil; r.Text != nil {
		o.Text = r.Text()
	}
	if err := o.Validate(c); err != nil {
		return nil, err
	}
	if o.Context > e.Context {
		return nil, fault.New("BAD_OPTION", "engine: a context of %d; wanted at most %d", o.Context, e.Context)
	}
	if err := o.CheckPrompt(r.Prompt, c.Vocab); err != nil {
		return nil, err
	}
	answer := len(o.Infill)
	if o.Infill == nil {
		if o.MaxTokens > o.Context-n {
			return nil, fault.New("CONTEXT_LENGTH_EXCEEDED", "the prompt has %d tokens and %d more are wanted; the context holds %d", n, o.MaxTokens, o.Context)
		}
		o.MaxTokens = cmp.Or(o.MaxTokens, min(e.MaxTokens, o.Context-n))
		answer = o.MaxTokens
	}
	if o.Seed == nil {
		seed := diffusion.NewSeed()
		o.Seed = &seed
	}

	positions := n + answer + 1 // and the rest of a block, at most
	if c.Diffusion != nil {
		positions += cmp.Or(o.BlockSize, c.Diffusion.BlockSize)
	}
	q := &request{Request: r, ctx: ctx, pages: (positions + infer.PagePositions - 1) / infer.PagePositions, submitted: time.Now()}
	if q.pages > e.pages {
		return nil, fault.New("MEMORY_ESTIMATE", "engine: keys and values of %d positions need %d MiB; all requests together may have %d MiB",
			positions, uint64(q.pages)*e.model.PageBytes()>>20, e.CacheBytes>>20)
	}
	q.events = make(chan Event, e.Unread)
	q.stream = &Stream{Events: q.events, Seed: *o.Seed, choices: r.Choices, mu: &e.mu}
	return q, nil
}

// refuse returns why a request may not enter the queue. The caller holds mu, here and below.
func (e *Engine) refuse(r *request) error {
	m := &e.metrics
	switch {
	case e.broken != nil:
		return e.broken
	case e.draining:
		return errDraining()
	case r.ctx.Err() != nil:
		return errEnded(r.ctx)
	case m.Queued >= e.Queue:
		return e.overloaded("%d requests wait; no more than %d may", m.Queued, e.Queue)
	case m.Queued > 0 && m.QueuedTokens+r.tokens() > e.QueueTokens:
		return e.overloaded("prompts of %d tokens wait and this one has %d; together no more than %d may", m.QueuedTokens, r.tokens(), e.QueueTokens)
	}
	return nil
}

func (e *Engine) enqueue(r *request) {
	e.live[r] = struct{}{}
	e.queue = append(e.queue, r)
	e.metrics.Queued++
	e.metrics.QueuedTokens += r.tokens()
	r.timer = time.AfterFunc(e.QueueTime, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if r.waits() {
			e.end(r, e.overloaded("the request waited for %v without a place to run", e.QueueTime))
		}
	})
	r.detach = context.AfterFunc(r.ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.end(r, errEnded(r.ctx))
	})
	e.signal()
}

// admit starts answers while there is room, one of each request in turn. Nobody overtakes the first in the queue, however large it is.
func (e *Engine) admit() {
	for len(e.queue) > 0 && len(e.running) < e.Sequences && e.queue[0].pages <= e.free {
		r := e.queue[0]
		e.queue = slices.Delete(e.queue, 0, 1)
		if r.waits() {
			e.unqueue(r)
			e.metrics.QueueSeconds.since(r.submitted)
		}
		e.running = append(e.running, &answer{request: r, choice: r.started, prefilling: true})
		e.free -= r.pages
		if r.started++; r.started < r.Choices {
			e.queue = append(e.queue, r)
		}
	}
}

// unqueue forgets that a request waits.
func (e *Engine) unqueue(r *request) {
	r.timer.Stop()
	e.metrics.Queued--
	e.metrics.QueuedTokens -= r.tokens()
}

// end ends a request, once: completed if err is nil. The loop frees what its answers hold before the next pass.
func (e *Engine) end(r *request, err error) {
	if r.ended {
		return
	}
	if r.waits() {
		e.unqueue(r)
	}
	if i := slices.Index(e.queue, r); i >= 0 {
		e.queue = slices.Delete(e.queue, i, i+1)
	}
	r.ended, r.stream.err = true, err
	r.detach()
	close(r.events)
	delete(e.live, r)
	e.metrics.outcome(err)
	if err == nil {
		e.metrics.RequestSeconds.since(r.submitted)
	}
	e.ended.Broadcast()
}

func (e *Engine) endAll(err error) {
	for r := range e.live {
		e.end(r, err)
	}
}
