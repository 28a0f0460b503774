package gguf

import (
	"bufio"
	"fmt"
	"io"

	"github.com/wrinklefree/wf/gguf/disk"
)

// Salvage is Open for who wants to look at a damaged file: beside an error it returns what was read and checked before it, and how much that
// is in bytes. The entries and infos of such a File hold, as far as they go; its data cannot be read. The File is nil if not even the version
// can be trusted. Without an error it is Open's.
func Salvage(path string) (f *File, trusted uint64, err error) {
	d, err := disk.Open(path)
	if err != nil {
		return nil, 0, err
	}
	p := &parser{r: bufio.NewReaderSize(io.NewSectionReader(d, 0, d.Size()), bufferBytes), size: uint64(d.Size())}
	f, err = p.file()
	if err != nil {
		d.Close()
		if f.Version == 0 {
			f = nil
		}
		return f, p.pos, fmt.Errorf("%s: gguf: %w", path, err)
	}
	f.r, f.Path, f.disk = d, path, d
	if f.split.count <= 1 {
		return f, p.pos, nil
	}
	whole, err := join(f)
	if err != nil {
		f.Close()
		return f, p.pos, err
	}
	return whole, p.pos, nil
}
