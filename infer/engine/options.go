package engine

import (
	"log/slog"
	"time"
)

// Options of an engine. The zero value works.
type Options struct {
	Context       int           // positions of prompt and answer together; 0: the model's, at most 4096
	MaxTokens     int           // new tokens of a request that names no number; 0: 512. Less where the context leaves less
	Sequences     int           // answers that run at a time; 0: 16
	CacheBytes    uint64        // for keys and values of running answers; 0: 2 GiB
	PrefixBytes   uint64        // for keys and values kept for later requests; 0: 512 MiB
	NoPrefixCache bool          // keeps none
	Queue         int           // requests that wait at a time; 0: 32
	QueueTokens   int           // prompt tokens that wait at a time; 0: 16 contexts
	QueueTime     time.Duration // a request waits at most so long; 0: 60 s
	Rows          int           // rows of a pass; 0: 256. One answer's rows may exceed it
	PrefillRows   int           // prompt rows of a pass, so that long prompts do not hold up others' steps; 0: 128. Never less than a block
	Unread        int           // events that may lie in a Stream unread before the request is closed; 0: 512
	Watchdog      time.Duration // a pass that takes longer is reported; 0: 60 s
	Log           *slog.Logger  // gets no text, no token and no prompt; nil: no log
}
