package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

// OverloadError says that a request was turned away, with code OVERLOADED.
type OverloadError struct {
	RetryAfter time.Duration // a guess when there may be room, at least a second
	text       string
}

func (e *OverloadError) Error() string { return e.text }

// Code returns OVERLOADED.
func (e *OverloadError) Code() string { return "OVERLOADED" }

// overloaded guesses from the requests so far how long the queue takes to empty. The caller holds mu.
func (e *Engine) overloaded(format string, args ...any) error {
	wait := time.Second
	if m := &e.metrics; m.Outcomes[completed] > 0 {
		each := m.RequestSeconds.Sum / float64(m.Outcomes[completed])
		wait = time.Duration(each * float64(m.Queued+1) / float64(e.Sequences) * float64(time.Second))
	}
	return &OverloadError{min(max(wait, time.Second), time.Minute).Round(time.Second), "engine: " + fmt.Sprintf(format, args...)}
}

func errDraining() error {
	return fault.New("DRAINING", "engine: no more requests are taken; the server is shutting down")
}

func errEnded(ctx context.Context) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.New("DEADLINE", "engine: the request took longer than it was given: %w", err)
	}
	return fault.New("CANCELLED", "engine: the request was cancelled: %w", err)
}

func errInternal() error {
	return fault.New("INTERNAL", "engine: an internal error ended the request; the log has its place")
}
