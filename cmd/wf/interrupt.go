package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// interrupted is the cause of a context that a signal cancelled.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return fmt.Sprintf("stopped by %v", i.signal) }

// status is what a shell expects of a process that a signal ended: 130 for SIGINT, 143 for SIGTERM.
func (i interrupted) status() int { return 128 + int(i.signal) }

// interruptible returns a context that the first SIGINT or SIGTERM cancels, so that work can clean up after itself. The second one ends the process
// at once. What onInterrupt takes counts as neither.
func (env *environment) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for count := 0; ; {
			select {
			case s := <-signals:
				if stop := env.interrupt.Load(); stop != nil && s == syscall.SIGINT {
					(*stop)()
					continue
				}
				cause := interrupted{s.(syscall.Signal)}
				if count > 0 {
					os.Exit(cause.status())
				}
				count++
				cancel(cause)
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// onInterrupt makes SIGINT call stop, from another goroutine, and end nothing else, until the returned function is called.
func (env *environment) onInterrupt(stop func()) (restore func()) {
	env.interrupt.Store(&stop)
	return func() { env.interrupt.Store(nil) }
}
