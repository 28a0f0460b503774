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

// hash reads every source to its end, by scan if that is not nil.
func (s sources) hash(ctx context.Context, scan func(i int, w io.Writer) error) ([][sha256.Size]byte, error) {
	if scan == nil {
		buffer := make([]byte, 1<<20)
		scan = func(i int, w io.Writer) error {
			_, err := io.CopyBuffer(w, struct{ io.Reader }{io.NewSectionReader(s[i], 0, s[i].Size())}, buffer)
			return err
		}
	}
	sums := make([][sha256.Size]byte, len(s))
	for i := range s {
		h := sha256.New()
		if err := scan(i, stoppable{ctx, h}); err != nil {
			return nil, err
		}
		h.Sum(sums[i][:0])
	}
	return sums, nil
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
