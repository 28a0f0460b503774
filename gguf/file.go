package gguf

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

// File is a parsed and checked container. Every rule of the header has been checked; tensor data has not been read.
type File struct {
	Path       string // "" unless from Open or Map
	Version    uint32
	Alignment  uint64
	Metadata   *Metadata
	Tensors    []TensorInfo
	DataOffset uint64 // of the data section in the file
	Size       uint64 // of the file
	Trailing   uint64 // bytes after the last tensor's padding: a warning for who runs a model, an error for who verifies it

	index    map[string]int // tensor name -> place in Tensors
	order    []int          // places in Tensors by offset
	infosEnd uint64         // where the header ends, before its padding
	end      uint64         // of the last tensor in the data section

	r    io.ReaderAt
	disk *disk.File // nil unless from Open or Map
	data []byte     // the whole file; nil unless from Map or Parse
}

// Read parses a container of size bytes. Errors name the byte, key or tensor. A read error of r keeps its code, or gets IO_ERROR.
func Read(r io.ReaderAt, size int64) (*File, error) {
	f, err := parse(r, size)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return f, nil
}

// Open opens a regular file for reading with ReadAt. Close releases it.
func Open(path string) (*File, error) {
	d, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := Read(d, d.Size())
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
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
	if f.data, err = f.disk.Map(); err != nil {
		f.Close()
		return nil, err
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
	f.data = nil
	if f.disk == nil {
		return nil
	}
	return f.disk.Close()
}

// Changed returns a FILE_CHANGED error when the file on disk is no longer the one that was opened (size or modification time).
func (f *File) Changed() error {
	if f.disk == nil {
		return nil
	}
	return f.disk.Changed()
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
	return io.NewSectionReader(f.r, int64(f.DataOffset+t.Offset), int64(t.Size))
}

// Bytes returns a tensor's raw bytes inside the map (capacity clipped). It panics unless the file is from Map or Parse. A fault while the
// file is being truncated is turned into an error by disk.Guard.
func (f *File) Bytes(t *TensorInfo) []byte {
	if f.data == nil {
		panic("gguf: Bytes of a file that is not mapped")
	}
	start := f.DataOffset + t.Offset
	return f.data[start : start+t.Size : start+t.Size]
}

// Release says that a tensor's bytes are not needed soon, so that a map need not keep them in memory. They stay readable.
func (f *File) Release(t *TensorInfo) {
	if f.disk != nil {
		f.disk.Release(f.DataOffset+t.Offset, t.Size)
	}
}

// DirtyPadding reads everything between and behind the tensors, and returns an error with code GGUF_DIRTY_PADDING that names the tensor
// before the first byte that is not zero: harmless to a reader, but nothing that an honest writer leaves.
func (f *File) DirtyPadding() error {
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
