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
type Engine struct{}

// New starts an engine. It fails with every unusable option at once (BAD_OPTION).
func New(m Model, o Options) (*Engine, error) { panic("unwritten") }

// Submit checks a request and puts it into the queue. The request ends when its answers do, when ctx ends (CANCELLED, or DEADLINE if ctx had
// one), or with the engine. Errors, before anything has run:
//
//	BAD_OPTION, MODE_MISMATCH   diffusion.Options.Validate; *diffusion.OptionError names the option
//	BAD_PROMPT                  no token, or one outside the vocabulary
//	CONTEXT_LENGTH_EXCEEDED     prompt and max tokens do not fit the context; the text has both numbers
//	OVERLOADED                  the queue is full; *OverloadError
//	MEMORY_ESTIMATE             the request needs more room than all caches together may have
//	DRAINING                    the engine takes no more requests
//	CANCELLED, DEADLINE         ctx has ended already
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) { panic("unwritten") }

// Ready returns nil, or why the engine cannot be relied on: DRAINING, STALLED (a pass is taking longer than Options.Watchdog), or FILE_CHANGED
// (the model's file was cut short under us; every later request fails).
func (e *Engine) Ready() error { panic("unwritten") }

// Metrics returns counts since New and what holds at the moment.
func (e *Engine) Metrics() Metrics { panic("unwritten") }

// Drain stops admission, fails what is queued with DRAINING and waits for what runs. When ctx ends first, that fails with DRAINING too, and Drain
// returns ctx's error. It may be called again.
func (e *Engine) Drain(ctx context.Context) error { panic("unwritten") }

// Close fails every request with DRAINING and returns when the model is no longer in use. It may be called again.
func (e *Engine) Close() { panic("unwritten") }
