package gguf

import (
	"fmt"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// tensors reads n tensor infos.
func (p *parser) tensors(f *File, n uint64) error {
	bitNet := isBitNet(f.Metadata)
	f.index = map[string]int{}
	for i := range int(n) {
		at := p.pos
		name, err := p.name()
		if err != nil {
			return fmt.Errorf("tensor %d at byte %d: %w", i, at, err)
		}
		if first, ok := f.index[name]; ok {
			return fault.New("GGUF_DUPLICATE_TENSOR", "tensors %d and %d have the same name, %s", first, i, fault.Quote(name))
		}
		info, err := p.info()
		if err == nil {
			info.Name = name
			err = info.measure(bitNet)
		}
		if err != nil {
			return inTensor(name, err)
		}
		f.index[name] = i
		f.Tensors = append(f.Tensors, info)
	}
	return nil
}

func inTensor(name string, err error) error {
	return fmt.Errorf("tensor %s: %w", fault.Quote(name), err)
}

func (p *parser) name() (string, error) {
	n, err := p.uint64()
	if err != nil {
		return "", err
	}
	if n < 1 || n > maxName {
		return "", fault.New("GGUF_BAD_TENSOR_NAME", "a name of %d bytes; it must have 1 to %d", n, maxName)
	}
	name, err := p.string(n)
	if err == nil && (!fault.Printable(name) || strings.Contains(name, "/")) {
		err = fault.New("GGUF_BAD_TENSOR_NAME", "name %s is not printable UTF-8 without slashes", fault.Quote(name))
	}
	return name, err
}

// info reads an info behind its name.
func (p *parser) info() (t TensorInfo, err error) {
	rank, err := p.uint32()
	if err != nil {
		return t, err
	}
	if err := checkRank(rank); err != nil {
		return t, err
	}
	t.Dims = make([]uint64, rank)
	for i := range t.Dims {
		if t.Dims[i], err = p.uint64(); err != nil {
			return t, err
		}
	}
	kind, err := p.uint32()
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	t.Offset, err = p.uint64()
	return t, err
}
