package gguf

import (
	"bufio"
	"io"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// parse reads and checks the whole header of a file of size bytes.
func parse(r io.ReaderAt, size int64) (*File, error) {
	p := &parser{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), bufferBytes), size: uint64(size)}
	f, err := p.file()
	if err != nil {
		return nil, err
	}
	f.r = r
	return f, nil
}

// file returns what it has read and checked with an error, too.
func (p *parser) file() (*File, error) {
	f := &File{Size: p.size, Metadata: &Metadata{}}
	var err error
	if f.Version, err = p.version(); err != nil {
		return f, err
	}
	tensors, err := p.count("tensors", minInfo, maxTensors, "GGUF_LIMIT_TENSORS")
	if err != nil {
		return f, err
	}
	entries, err := p.count("metadata entries", minEntry, maxEntries, "GGUF_LIMIT_KV")
	if err != nil {
		return f, err
	}
	if err := p.metadata(f.Metadata, entries); err != nil {
		return f, err
	}
	if f.Alignment, err = alignment(f.Metadata); err != nil {
		return f, err
	}
	if f.split, err = readSplit(f.Metadata); err != nil {
		return f, err
	}
	if err := p.tensors(f, tensors); err != nil {
		return f, err
	}
	f.infosEnd = p.pos
	f.DataOffset, _ = checked.Align(p.pos, f.Alignment) // fits: pos is at most the size of a file
	var data uint64
	if f.Size > f.DataOffset {
		data = f.Size - f.DataOffset
	}
	if f.order, f.end, err = place(f.Tensors, f.Alignment, data); err != nil {
		return f, err
	}
	if padded, _ := checked.Align(f.end, f.Alignment); data > padded {
		f.Trailing = data - padded
	}
	return f, nil
}

// version reads and checks magic and version.
func (p *parser) version() (uint32, error) {
	if p.size == 0 {
		return 0, fault.New("FILE_EMPTY", "the file is empty")
	}
	magic, err := p.r.Peek(int(min(p.size, 4)))
	if err != nil {
		return 0, readError(p.pos, err)
	}
	if string(magic) != "GGUF" {
		head, _ := p.r.Peek(int(min(p.size, 512)))
		return 0, fault.New("GGUF_NOT_GGUF", "not a GGUF file: it begins with %s%s", fault.Quote(string(magic)), recognise(head))
	}
	if _, err := p.take(4); err != nil {
		return 0, err
	}
	v, err := p.uint32()
	switch {
	case err != nil:
		return 0, err
	case v == 0:
		return 0, fault.New("GGUF_BAD_VERSION", "version 0; wf reads versions 2 and 3")
	case v&0xffff == 0:
		return 0, fault.New("GGUF_BIG_ENDIAN", "big-endian GGUF (version 0x%08x) is unsupported; wf reads little-endian files", v)
	case v != 2 && v != 3:
		return 0, fault.New("GGUF_UNSUPPORTED_VERSION", "version %d is unsupported; wf reads versions 2 and 3", v)
	}
	return v, nil
}

// alignment returns the alignment that a file's metadata asks for.
func alignment(m *Metadata) (uint64, error) {
	a, ok, err := value[uint32](m, names.Alignment)
	switch {
	case err != nil:
		return 0, fault.New("GGUF_BAD_ALIGNMENT", "%w", err)
	case !ok:
		return defaultAlignment, nil
	case a < minAlignment || a > maxAlignment || a&(a-1) != 0:
		return 0, fault.New("GGUF_BAD_ALIGNMENT", "%s is %d; it must be a power of two, %d to %d", names.Alignment, a, minAlignment, maxAlignment)
	}
	return uint64(a), nil
}
