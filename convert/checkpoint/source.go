package checkpoint

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Source is one file that was read.
type Source struct {
	Path string
	Name string // base name
	Size int64

	file *file
}

// Scan writes the whole file to w, which may be a hash, and checks on the way what can be checked: in a PyTorch file the CRC-32 of every stored
// entry. A wrong one is a notice, not an error (see Checksums in the package documentation). An error of w stops it and is returned.
func (s Source) Scan(w io.Writer) (notices []string, err error) {
	var entries []entry
	if s.file.archive != nil {
		entries = s.file.archive.entries
	}
	buf := make([]byte, 256<<10) // which is in the processor's cache when w looks at it
	copyTo := func(w io.Writer, from, to int64) error {
		_, err := io.CopyBuffer(w, io.NewSectionReader(s.file, from, to-from), buf)
		return err
	}
	var wrong []string
	off := int64(0)
	for i := range entries {
		e := &entries[i]
		if e.method != 0 {
			continue
		}
		start, err := s.file.archive.data(e)
		if err != nil {
			return nil, err
		}
		if err := copyTo(w, off, start); err != nil {
			return nil, err
		}
		sum := crc32.NewIEEE()
		off = start + int64(e.size) // inside the file, as data has checked
		if err := copyTo(io.MultiWriter(w, sum), start, off); err != nil {
			return nil, err
		}
		if sum.Sum32() != e.crc {
			wrong = append(wrong, e.name)
		}
	}
	if err := copyTo(w, off, s.Size); err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		notices = append(notices, fmt.Sprintf("%s: %d of %d zip entries have a wrong CRC-32, the first is %s: the file is damaged, or torch was told not to compute them",
			s.file.label, len(wrong), len(entries), fault.Quote(wrong[0])))
	}
	return notices, nil
}

// Changed returns a FILE_CHANGED error if a file is not what it was when it was opened.
func (c *Checkpoint) Changed() error {
	var all []error
	for _, s := range c.Sources {
		all = append(all, s.file.Changed())
	}
	return errors.Join(all...)
}

// Close closes all files; no tensor can be read after that.
func (c *Checkpoint) Close() error {
	var all []error
	for _, s := range c.Sources {
		all = append(all, s.file.Close())
	}
	return errors.Join(all...)
}
