package gguf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

// File is a parsed and checked container. Every rule of the header has been checked; tensor data has not been read. Of a split model it is the
// whole: the tensors of all files in turn, the metadata of the first without what describes the split, and sizes that are sums.
type File struct {
	Path       string // "" unless from Open or Map
	Version    uint32
	Alignment  uint64
	Metadata   *Metadata
	Tensors    []TensorInfo
	DataOffset uint64 // of the data section in the file; of a split model, in the first
	Size       uint64 // of the file
	Trailing   uint64 // bytes after the last tensor's padding: a warning for who runs a model, an error for who verifies it

	index    map[string]int // tensor name -> place in Tensors
	order    []int          // places in Tensors by offset
	infosEnd uint64         // where the header ends, before its padding
	end      uint64         // of the last tensor in the data section

	r    io.ReaderAt
	disk *disk.File // nil unless from Open or Map
	data []byte     // the whole file; nil unless from Map or Parse

	split split   // which file of a split model this is
	parts []*File // all files of a split model, of which this one is the whole; nil otherwise
}

// Read parses a container of size bytes. Errors name the byte, key or tensor. A read error of r keeps its code, or gets IO_ERROR. One file of a
// split model is GGUF_SPLIT: Open and Map find the others.
func Read(r io.ReaderAt, size int64) (*File, error) {
	f, err := parse(r, size)
	if err == nil && f.split.count > 1 {
		err = fault.New("GGUF_SPLIT", "this is one of the %d files of a split model and cannot be read alone", f.split.count)
	}
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return f, nil
}

// Open opens a regular file for reading with ReadAt, and with the first file of a split model all others. Close releases them.
func Open(path string) (*File, error) {
	f, err := openOne(path)
	if err != nil || f.split.count <= 1 {
		return f, err
	}
	whole, err := join(f)
	if err != nil {
		f.Close()
	}
	return whole, err
}

// openOne opens a file, which may be one of a split model.
func openOne(path string) (*File, error) {
	d, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(d, d.Size())
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: gguf: %w", path, err)
	}
	f.Path, f.disk = path, d
	return f, nil
}

// Map is Open, and maps the file as well, so that Bytes works.
func Map(path string) (*File, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	for _, p := range f.files() {
		if p.data, err = p.disk.Map(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// Parse reads a container that is already in memory (the embedded model); Bytes works. data is not copied, unless it does not begin at a
// multiple of 8 and its numbers could not be viewed in place.
func Parse(data []byte) (*File, error) {
	if misaligned(data, minAlignment) {
		data = bytes.Clone(data)
	}
	f, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	f.data = data
	return f, nil
}

// Close releases the file and its map; slices from Bytes must not be used any more.
func (f *File) Close() error {
	var all []error
	for _, p := range f.files() {
		p.data = nil
		if p.disk != nil {
			all = append(all, p.disk.Close())
		}
	}
	return errors.Join(all...)
}

// Changed returns a FILE_CHANGED error when the file on disk is no longer the one that was opened (size or modification time).
func (f *File) Changed() error {
	for _, p := range f.files() {
		if p.disk == nil {
			continue
		}
		if err := p.disk.Changed(); err != nil {
			return err
		}
	}
	return nil
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (*TensorInfo, bool) {
	i, ok := f.index[name]
	if !ok {
		return nil, false
	}
	return &f.Tensors[i], true
}

// TensorReader reads a tensor's raw bytes; offset 0 is its first byte.
func (f *File) TensorReader(t *TensorInfo) *io.SectionReader {
	p := f.files()[t.part]
	return io.NewSectionReader(p.r, int64(p.DataOffset+t.Offset), int64(t.Size))
}

// Bytes returns a tensor's raw bytes inside the map (capacity clipped). It panics unless the file is from Map or Parse. A fault while the
// file is being truncated is turned into an error by disk.Guard.
func (f *File) Bytes(t *TensorInfo) []byte {
	p := f.files()[t.part]
	if p.data == nil {
		panic("gguf: Bytes of a file that is not mapped")
	}
	start := p.DataOffset + t.Offset
	return p.data[start : start+t.Size : start+t.Size]
}

// Release says that a tensor's bytes are not needed soon, so that a map need not keep them in memory. They stay readable.
func (f *File) Release(t *TensorInfo) {
	if p := f.files()[t.part]; p.disk != nil {
		p.disk.Release(p.DataOffset+t.Offset, t.Size)
	}
}

// DirtyPadding reads everything between and behind the tensors, and returns an error with code GGUF_DIRTY_PADDING that names the tensor
// before the first byte that is not zero: harmless to a reader, but nothing that an honest writer leaves.
func (f *File) DirtyPadding() error {
	for _, p := range f.files() {
		if err := p.dirtyPadding(); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) dirtyPadding() error {
	at, before := f.infosEnd, "the tensor infos"
	for _, i := range f.order {
		t := &f.Tensors[i]
		if err := f.zeros(at, f.DataOffset+t.Offset, before); err != nil {
			return err
		}
		at, before = f.DataOffset+t.Offset+t.Size, "tensor "+fault.Quote(t.Name)
	}
	end, _ := checked.Align(f.DataOffset+f.end, f.Alignment) // fits: the data lies in the file
	return f.zeros(at, min(end, f.Size), before)
}

func (f *File) zeros(from, to uint64, before string) error {
	if from >= to {
		return nil
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f.r, int64(from), int64(to-from)), int(min(to-from, bufferBytes)))
	for ; from < to; from++ {
		c, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("gguf: %w", readError(from, err))
		}
		if c != 0 {
			return fault.New("GGUF_DIRTY_PADDING", "gguf: the padding behind %s is not zero at byte %d", before, from)
		}
	}
	return nil
}
