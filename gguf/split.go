package gguf

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// A split model is several containers, STEM-00001-of-00003.gguf and so on. Each says which it is, how many there are and how many tensors they
// have together; the first has all other metadata. A tensor lies in one file whole.
//
// Source: llama.cpp, tools/gguf-split; gguf-py, gguf_writer.py.

// maxParts bounds how many files a model may have: all are open at the same time.
const maxParts = 1024

// split is what the metadata of one file say of the whole. count is 0 if the model is not split.
type split struct {
	number, count uint16
	tensors       int32
}

func readSplit(m *Metadata) (s split, err error) {
	var numbered, counted bool
	if s.count, _, err = value[uint16](m, names.SplitCount); err != nil || s.count <= 1 {
		return split{}, err
	}
	if s.number, numbered, err = value[uint16](m, names.SplitNumber); err != nil {
		return s, err
	}
	if s.tensors, counted, err = value[int32](m, names.SplitTensors); err != nil {
		return s, err
	}
	if !numbered || !counted || s.number >= s.count || s.count > maxParts || s.tensors < 0 {
		return s, fault.New("GGUF_SPLIT", "%s %d, %s %d and %s %d do not describe one of at most %d files of a split model", names.SplitNumber, s.number,
			names.SplitCount, s.count, names.SplitTensors, s.tensors, maxParts)
	}
	return s, nil
}

// SplitName returns the name of file i (from 0) of count, for a model whose single file would be path.
func SplitName(path string, i, count int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", strings.TrimSuffix(path, ".gguf"), i+1, count)
}

// join opens the other files of a split model and makes one File of all. f, the first, stays the caller's to close after an error.
func join(f *File) (*File, error) {
	s, count := f.split, int(f.split.count)
	stem, ok := strings.CutSuffix(f.Path, SplitName("", int(s.number), count))
	if !ok {
		return nil, fault.New("GGUF_SPLIT", "%s: is file %d of %d of a split model, so its name must end in %s for the others to be found", f.Path, s.number+1,
			count, SplitName("", int(s.number), count))
	}
	if s.number != 0 {
		return nil, fault.New("GGUF_SPLIT", "%s: is file %d of %d of a split model; name the first, %s", f.Path, s.number+1, count, SplitName(stem, 0, count))
	}
	whole := &File{Path: f.Path, Version: f.Version, Alignment: f.Alignment, Metadata: f.Metadata.Clone(), DataOffset: f.DataOffset,
		index: map[string]int{}, parts: []*File{f}}
	for _, key := range []string{names.SplitNumber, names.SplitCount, names.SplitTensors} {
		whole.Metadata.Delete(key)
	}
	var problems []error
	const most = 8 // problems, before it is clear that these files do not belong together
	for i := 1; i < count && len(problems) < most; i++ {
		if p, err := openPart(SplitName(stem, i, count), i, s); err != nil {
			problems = append(problems, err)
		} else {
			whole.parts = append(whole.parts, p)
		}
	}
	if len(problems) == 0 {
		problems = append(problems, whole.gather(s))
	}
	if err := errors.Join(problems...); err != nil {
		for _, p := range whole.parts[1:] {
			p.Close()
		}
		return nil, err
	}
	return whole, nil
}

// openPart opens another file of a split model.
func openPart(path string, i int, want split) (*File, error) {
	p, err := openOne(path)
	if err != nil {
		return nil, err
	}
	if want.number = uint16(i); p.split != want {
		p.Close()
		return nil, fault.New("GGUF_SPLIT", "%s: says that it is file %d of %d with %d tensors in all, not file %d of %d with %d, as the first one's count asks for",
			path, p.split.number+1, p.split.count, p.split.tensors, i+1, want.count, want.tensors)
	}
	p.Metadata = nil // the model's are in the first
	return p, nil
}

// gather puts the tensors of all parts together.
func (f *File) gather(s split) error {
	for i, p := range f.parts {
		f.Size += p.Size
		f.Trailing += p.Trailing
		if len(f.Tensors)+len(p.Tensors) > maxTensors {
			return fault.New("GGUF_LIMIT_TENSORS", "%s: the files of this model have more than %d tensors", f.Path, maxTensors)
		}
		for _, t := range p.Tensors {
			if first, ok := f.index[t.Name]; ok {
				return fault.New("GGUF_DUPLICATE_TENSOR", "%s: tensor %s is also in %s", p.Path, fault.Quote(t.Name), f.parts[f.Tensors[first].part].Path)
			}
			t.part = i
			f.index[t.Name] = len(f.Tensors)
			f.Tensors = append(f.Tensors, t)
		}
	}
	if len(f.Tensors) != int(s.tensors) {
		return fault.New("GGUF_SPLIT", "%s: the %d files have %d tensors, but %s is %d", f.Path, s.count, len(f.Tensors), names.SplitTensors, s.tensors)
	}
	return nil
}

// files lists the containers that the file is made of.
func (f *File) files() []*File {
	if f.parts != nil {
		return f.parts
	}
	return []*File{f}
}

// Paths lists the files on disk: one, or all of a split model.
func (f *File) Paths() []string {
	var paths []string
	for _, p := range f.files() {
		paths = append(paths, p.Path)
	}
	return paths
}

// Part is one container of a model, planned.
type Part struct {
	Metadata *Metadata
	Infos    []TensorInfo // with Offset and Size
	Size     uint64       // bytes of the file
}

// Split cuts a model into files of at most most bytes, in the order of its tensors; a tensor that is larger has a file of its own. One part means
// that no split is needed: its metadata describe none. Code: GGUF_SPLIT for too many files, and those of Plan.
func Split(md *Metadata, infos []TensorInfo, most uint64) ([]Part, error) {
	sized, size, err := Plan(md, infos)
	if err != nil {
		return nil, err
	}
	if size <= most || len(infos) < 2 {
		return []Part{{md, sized, size}}, nil
	}
	rest := &Metadata{} // of all files but the first
	if a, ok := md.Get(names.Alignment); ok {
		rest.Set(names.Alignment, a)
	}
	describe := func(m *Metadata, i, count int) *Metadata {
		m = m.Clone()
		m.Set(names.SplitNumber, uint16(i))
		m.Set(names.SplitCount, uint16(count))
		m.Set(names.SplitTensors, int32(min(len(infos), math.MaxInt32)))
		return m
	}
	_, first, err := Plan(describe(md, 0, 1), nil) // bytes of a file without tensors
	if err != nil {
		return nil, err
	}
	_, other, err := Plan(describe(rest, 0, 1), nil)
	if err != nil {
		return nil, err
	}
	a, _ := alignment(md) // Plan has read it
	var starts []int
	used := uint64(0)
	for i, t := range sized {
		padded, _ := checked.Align(t.Size, a) // fits, as Plan found
		info := uint64(len(appendString(nil, t.Name))+8*len(t.Dims)) + 16
		if i == 0 || used+info+padded > most {
			starts = append(starts, i)
			if used = other + a; i == 0 {
				used = first + a
			}
		}
		used += info + padded
	}
	if len(starts) > maxParts {
		return nil, fault.New("GGUF_SPLIT", "files of at most %d bytes would be %d; a split model has at most %d", most, len(starts), maxParts)
	}
	parts := make([]Part, len(starts))
	for i, start := range starts {
		m, end := rest, len(infos)
		if i == 0 {
			m = md
		}
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		p := &parts[i]
		p.Metadata = describe(m, i, len(starts))
		if p.Infos, p.Size, err = Plan(p.Metadata, infos[start:end]); err != nil {
			return nil, err
		}
	}
	return parts, nil
}
