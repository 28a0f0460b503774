package quant

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// InOrder computes pieces 0 to n-1 on several goroutines and writes them to w one after the other, so that the bytes do not depend on the
// number of threads (0: every processor). piece appends piece i to dst and returns it; calls run at the same time. No more than
// 2*threads pieces are in memory. No goroutine is left when it returns.
func InOrder(ctx context.Context, w io.Writer, n, threads int, piece func(i int, dst []byte) ([]byte, error)) error {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	type job struct {
		i    int
		data []byte
		err  error
		done chan struct{}
	}
	free := make(chan *job, 2*threads) // every channel has room for every job, so only taking waits
	todo := make(chan *job, cap(free))
	order := make(chan *job, cap(free))
	for range cap(free) {
		free <- &job{done: make(chan struct{}, 1)}
	}

	var workers sync.WaitGroup
	defer workers.Wait()
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	workers.Go(func() {
		defer close(todo)
		defer close(order)
		for i := range n {
			select {
			case j := <-free:
				j.i = i
				todo <- j
				order <- j
			case <-stop.Done():
				return
			}
		}
	})
	work := func(j *job) {
		defer func() {
			if r := recover(); r != nil {
				j.err = fmt.Errorf("computing piece %d: panic: %v", j.i, r)
			}
			j.done <- struct{}{}
		}()
		if j.err = stop.Err(); j.err == nil {
			j.data, j.err = piece(j.i, j.data[:0])
		}
	}
	for range threads {
		workers.Go(func() {
			for j := range todo {
				work(j)
			}
		})
	}

	for j := range order {
		<-j.done
		if ctx.Err() != nil {
			break
		}
		if j.err != nil {
			return j.err
		}
		if _, err := w.Write(j.data); err != nil {
			return err
		}
		free <- j
	}
	return context.Cause(ctx)
}

// Each calls f for 0 to n-1 on several goroutines (0: on every processor), the lowest first, and returns the error of the lowest i that has one: then,
// and when the context ends, no further call begins. A panic in f is an error. No goroutine is left when it returns.
func Each(ctx context.Context, threads, n int, f func(i int) error) error {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	errs := make([]error, n)
	var next atomic.Int64
	var failed atomic.Bool
	var workers sync.WaitGroup
	for range min(threads, n) {
		workers.Go(func() {
			for ctx.Err() == nil && !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = guarded(i, f); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func guarded(i int, f func(i int) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("working on %d: panic: %v", i, r)
		}
	}()
	return f(i)
}
