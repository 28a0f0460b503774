package engine

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
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
	Unread        int           // events that may lie in a Stream unread before the request is closed; 0: 1024
	Watchdog      time.Duration // a pass that takes longer is reported; 0: 60 s
	Log           *slog.Logger  // gets no text, no token and no prompt; nil: no log
}

const (
	defaultContext = 4096
	maxChoices     = 128 // OpenAI's
)

// resolve fills in the defaults. It returns every option that cannot be used, joined.
func (o *Options) resolve(c *infer.Config) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fault.New("BAD_OPTION", "engine: "+format, args...))
		}
	}
	check(o.Context >= 0 && o.Context <= c.Context, "context %d; wanted at most the model's %d", o.Context, c.Context)
	for _, option := range []struct {
		name  string
		value int
	}{
		{"max tokens", o.MaxTokens}, {"sequences", o.Sequences}, {"queue", o.Queue}, {"queue tokens", o.QueueTokens}, {"rows", o.Rows},
		{"prefill rows", o.PrefillRows}, {"unread", o.Unread}, {"queue time", int(o.QueueTime)}, {"watchdog", int(o.Watchdog)},
	} {
		check(option.value >= 0, "%s %d; wanted at least 1, or 0 for the default", option.name, option.value)
	}
	o.Context = cmp.Or(o.Context, min(c.Context, defaultContext))
	o.MaxTokens = cmp.Or(o.MaxTokens, 512)
	o.Sequences = cmp.Or(o.Sequences, 16)
	o.CacheBytes = cmp.Or(o.CacheBytes, 2<<30)
	o.PrefixBytes = cmp.Or(o.PrefixBytes, 512<<20)
	o.Queue = cmp.Or(o.Queue, 32)
	o.QueueTokens = cmp.Or(o.QueueTokens, 16*o.Context)
	o.QueueTime = cmp.Or(o.QueueTime, time.Minute)
	o.Rows = cmp.Or(o.Rows, 256)
	o.PrefillRows = cmp.Or(o.PrefillRows, 128)
	o.Unread = cmp.Or(o.Unread, 1024)
	o.Watchdog = cmp.Or(o.Watchdog, time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}
