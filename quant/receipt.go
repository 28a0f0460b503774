package quant

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"

	"github.com/wrinklefree/wf/gguf/disk"
)

// The receipt says in a file's own metadata what made it: wf.version, wf.options, wf.source.files and wf.tensor.xxh64. The last two are
// known only when everything has been read and written, but have a fixed width: they are written as zeros and patched.

// sources are the open files that a file is made from.
type sources []*disk.File

func openSources(paths []string) (sources, error) {
	var s sources
	for _, path := range paths {
		f, err := disk.Open(path)
		if err != nil {
			s.close()
			return nil, err
		}
		s = append(s, f)
	}
	return s, nil
}

func (s sources) close() {
	for _, f := range s {
		f.Close()
	}
}

// entries returns wf.source.files: base name, size in bytes and SHA-256 in hexadecimal, separated by spaces. Missing sums are zeros.
func (s sources) entries(sums [][sha256.Size]byte) []string {
	entries := make([]string, len(s))
	for i, f := range s {
		var sum [sha256.Size]byte
		if i < len(sums) {
			sum = sums[i]
		}
		entries[i] = fmt.Sprintf("%s %d %x", filepath.Base(f.Name()), f.Size(), sum)
	}
	return entries
}

// scan writes source i to w.
func (s sources) scan(i int, w io.Writer) error {
	_, err := io.CopyBuffer(w, struct{ io.Reader }{io.NewSectionReader(s[i], 0, s[i].Size())}, make([]byte, readBytes))
	return err
}

// readBytes is how much of a file is read at a time, to be hashed or compared.
const readBytes = 256 << 10

// Sums are the SHA-256 of the sources, computed beside other work: that reads the same bytes, so hashing takes a processor and no disk.
type Sums struct {
	ended  chan struct{}
	cancel context.CancelCauseFunc
	sums   [][sha256.Size]byte
	err    error
}

// HashSources begins to compute the sums of n sources, which scan writes to w. Stop must be called before what scan reads is closed. The context it
// returns is for the work beside it: it ends, with the error as cause, if a source cannot be read.
func HashSources(ctx context.Context, n int, scan func(i int, w io.Writer) error) (*Sums, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &Sums{ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(s.ended)
		defer func() {
			if r := recover(); r != nil {
				s.err = fmt.Errorf("hashing the sources: panic: %v", r)
			}
			if s.err != nil {
				cancel(s.err)
			}
		}()
		for i := range n {
			h := sha256.New()
			if s.err = scan(i, stoppable{ctx, h}); s.err != nil {
				return
			}
			s.sums = append(s.sums, [sha256.Size]byte(h.Sum(nil)))
		}
	}()
	return s, ctx
}

// Wait returns the sums when all are there.
func (s *Sums) Wait() ([][sha256.Size]byte, error) {
	<-s.ended
	return s.sums, s.err
}

// Stop ends the context of HashSources, and returns when nothing is read any more.
func (s *Sums) Stop() {
	s.cancel(context.Canceled)
	<-s.ended
}

// stoppable fails when the context ends.
type stoppable struct {
	ctx context.Context
	io.Writer
}

func (s stoppable) Write(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	return s.Writer.Write(p)
}

// changed reports a source that is no longer what was opened.
func (s sources) changed() error {
	for _, f := range s {
		if err := f.Changed(); err != nil {
			return err
		}
	}
	return nil
}
