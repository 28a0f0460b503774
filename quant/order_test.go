package quant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, threads := range []int{0, 1, 2, 7} {
		var calls [100]atomic.Int32
		if err := Each(t.Context(), threads, len(calls), func(i int) error { calls[i].Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			if calls[i].Load() != 1 {
				t.Errorf("%d threads: %d calls for %d", threads, calls[i].Load(), i)
			}
		}

		var after atomic.Int32
		err := Each(t.Context(), threads, 1000, func(i int) error {
			if i >= 10 {
				after.Add(1)
				return fmt.Errorf("error %d", i)
			}
			return nil
		})
		if err == nil || err.Error() != "error 10" || after.Load() > int32(7+runtime.GOMAXPROCS(0)) {
			t.Errorf("%d threads: %v, and %d calls more", threads, err, after.Load())
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped")
		if err := Each(ctx, threads, 1000, func(i int) error { cancel(stopped); return nil }); err != stopped {
			t.Errorf("%d threads, cancelled: %v", threads, err)
		}
	}
	if err := Each(t.Context(), 2, 3, func(i int) error { panic("no") }); err == nil || !strings.Contains(err.Error(), "panic: no") {
		t.Errorf("a panic gives %v", err)
	}
}

func TestHashSources(t *testing.T) {
	write := func(i int, w io.Writer) error { _, err := io.WriteString(w, []string{"", "abc"}[i]); return err }
	s, ctx := HashSources(t.Context(), 2, write)
	sums, err := s.Wait()
	if got := fmt.Sprintf("%x", sums); err != nil || ctx.Err() != nil ||
		got != "[e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad]" { // FIPS 180
		t.Errorf("%s, %v", got, err)
	}
	s.Stop()

	unread := errors.New("cannot be read")
	s, ctx = HashSources(t.Context(), 2, func(i int, w io.Writer) error { return unread })
	if _, err := s.Wait(); err != unread || context.Cause(ctx) != unread {
		t.Errorf("%v, and beside it %v", err, context.Cause(ctx))
	}
	s, ctx = HashSources(t.Context(), 1, func(i int, w io.Writer) error { panic("no") })
	if _, err := s.Wait(); err == nil || context.Cause(ctx) != err {
		t.Errorf("a panic gives %v, and beside it %v", err, context.Cause(ctx))
	}

	endless := func(i int, w io.Writer) error {
		for {
			if _, err := w.Write([]byte("x")); err != nil {
				return err
			}
		}
	}
	s, ctx = HashSources(t.Context(), 1, endless)
	s.Stop()
	if _, err := s.Wait(); err != context.Canceled || ctx.Err() == nil {
		t.Errorf("stopped: %v", err)
	}
}
