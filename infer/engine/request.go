package engine

import (
	"context"
	"sync"
	"time"

	"github.com/wrinklefree/wf/infer/diffusion"
)

// Request is a prompt and what is wanted of it.
type Request struct {
	ID      string // for the log
	Prompt  []int32
	Choices int  // independent answers, sampled as choice 0, 1, ...; 0: one. At most 128
	Steps   bool // Event.Steps is wanted

	// Text makes the stream that turns one answer's ids into text (tokenizer.Stream); nil: no text, and no stop strings.
	Text func() diffusion.TextStream

	// Options of decoding. A nil Seed is drawn once for all choices. Context and MaxTokens 0 are the engine's. The fields Choice, Text, Prefix,
	// PrefillRows, OnEvent, OnTokens, OnText and Warn are the engine's own and ignored.
	Options diffusion.Options
}

// Stream is a request on its way.
type Stream struct {
	// Events is closed when the request has ended; what was sent before can still be read. Whoever submits must read it or cancel: a request
	// with Options.Unread events that nobody takes ends with SLOW_CONSUMER.
	Events <-chan Event

	Seed uint64 // of all choices

	choices int
	mu      *sync.Mutex // the engine's
	err     error
}

// Event is what one pass brought for one answer.
type Event struct {
	Choice   int
	Tokens   []int32                  // ids settled by the pass, in order, never revised, the stop token included, and what was given to infill
	Logprobs []diffusion.TokenLogprob // of Tokens, with Options.Logprobs
	Text     string                   // text settled by the pass, without what may still become a stop string
	Steps    []diffusion.Event        // with Request.Steps, what the pass took; also positions that are not settled yet
	Result   *diffusion.Result        // the whole answer, in its last event; nil before
}

// Err returns why the request failed; nil while it runs and when all its answers are complete. Codes:
//
//	OVERLOADED      it waited longer than Options.QueueTime; *OverloadError
//	CANCELLED       its context was cancelled
//	DEADLINE        its context's deadline passed
//	DRAINING        the engine is shutting down
//	SLOW_CONSUMER   nobody read its events
//	NUMERIC_ERROR   NaN or infinity in its rows
//	MEMORY_ESTIMATE the machine has no memory left for its keys and values
//	FILE_CHANGED    the model's file was cut short
//	INTERNAL        a panic, contained
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Collect reads all events and returns the answers by choice, or Err.
func (s *Stream) Collect() ([]*diffusion.Result, error) {
	results := make([]*diffusion.Result, s.choices)
	for event := range s.Events {
		if event.Result != nil {
			results[event.Choice] = event.Result
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return results, nil
}

// request is a Request in the engine. What changes is under Engine.mu.
type request struct {
	Request
	ctx       context.Context
	pages     int // that the cache of one answer takes
	stream    *Stream
	events    chan Event
	submitted time.Time
	timer     *time.Timer // ends it when it waits too long
	detach    func() bool // from its context

	started, finished int // answers
	ended             bool
}

// tokens is how many came with the request.
func (r *request) tokens() int { return len(r.Prompt) + len(r.Options.Infill) }

// waits reports whether no answer has started.
func (r *request) waits() bool { return r.started == 0 && !r.ended }
