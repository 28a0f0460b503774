package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/engine"
)

// engineFlags are how many requests may run and wait, and what is kept for them.
type engineFlags struct {
	parallel     int
	prefix       bool
	prefixTokens int
	cacheMiB     int
	queue        int
	queueTime    time.Duration
}

func (e *engineFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&e.parallel, "parallel", 16, "answers that run at a time")
	f.BoolVar(&e.prefix, "prefix-cache", true, "keep keys and values for requests that begin with the same tokens")
	f.IntVar(&e.prefixTokens, "prefix-cache-tokens", 0, "positions kept for them (0: 512 MiB of them)")
	f.IntVar(&e.cacheMiB, "cache-mib", 2048, "MiB for keys and values of running answers")
	f.IntVar(&e.queue, "queue", 32, "requests that wait at a time; others get 503")
	f.DurationVar(&e.queueTime, "queue-time", time.Minute, "time that a request waits at most")
}

func (e *engineFlags) options(m *infer.Model) (engine.Options, error) {
	if e.cacheMiB < 1 || e.cacheMiB > 1<<30 || e.prefixTokens < 0 {
		return engine.Options{}, usagef("--cache-mib %d --prefix-cache-tokens %d: wanted 1 or more, and 0 or more", e.cacheMiB, e.prefixTokens)
	}
	pages := (e.prefixTokens + infer.PagePositions - 1) / infer.PagePositions
	return engine.Options{
		Sequences: e.parallel, NoPrefixCache: !e.prefix, PrefixBytes: uint64(pages) * m.PageBytes(), CacheBytes: uint64(e.cacheMiB) << 20,
		Queue: e.queue, QueueTime: e.queueTime,
	}, nil
}
