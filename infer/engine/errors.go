package engine

import "time"

// OverloadError says that a request was turned away, with code OVERLOADED.
type OverloadError struct {
	RetryAfter time.Duration // a guess when there may be room, at least a second
	text       string
}

func (e *OverloadError) Error() string { return e.text }

// Code returns OVERLOADED.
func (e *OverloadError) Code() string { return "OVERLOADED" }
