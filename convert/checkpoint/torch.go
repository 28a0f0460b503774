package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

// readTorch reads the zip directory and the pickle of a PyTorch checkpoint. Of the storages only those of the listed tensors are looked up, and
// none is read.
func readTorch(f *file) (tensors []*Tensor, notices []string, err error) {
	a, err := openZip(f)
	if err != nil {
		return nil, nil, err
	}
	f.archive = a
	root, pickle, err := a.findPickle()
	if err != nil {
		return nil, nil, err
	}
	if err := a.littleEndian(root); err != nil {
		return nil, nil, err
	}
	start, err := a.data(pickle)
	if err != nil {
		return nil, nil, err
	}
	value, err := unpickle(f, start, int64(pickle.size))
	if err != nil {
		return nil, nil, err
	}
	top, ok := value.(*dict)
	if !ok {
		return nil, nil, f.fail("CKPT_NO_TENSORS", "the pickle holds %s, wanted a dict of tensors; save it with torch.save(model.state_dict(), path)", describe(value))
	}
	state, notices := f.stateDict(top)
	if state.odd != "" {
		return nil, nil, f.fail("PICKLE_BAD_TARGET", "the dict of tensors has %s as a key, wanted only names", state.odd)
	}
	for _, name := range slices.Sorted(maps.Keys(state.items)) {
		if p, ok := state.items[name].(*pickled); ok {
			t, err := a.locate(root, name, p)
			if err != nil {
				return nil, nil, err
			}
			tensors = append(tensors, t)
		}
	}
	return tensors, notices, nil
}

// findPickle returns the one <root>/data.pkl and its root.
func (a *archive) findPickle() (root string, pickle *entry, err error) {
	for i := range a.entries {
		e := &a.entries[i]
		folder, name, _ := strings.Cut(e.name, "/")
		switch {
		case name == "constants.pkl" || strings.HasPrefix(name, "code/"):
			return "", nil, a.file.fail("CKPT_TORCHSCRIPT", "a TorchScript program, not a checkpoint; save weights with torch.save(module.state_dict(), path)")
		case name == "data.pkl" && pickle != nil:
			return "", nil, a.file.fail("ZIP_NO_PICKLE", "the zip file holds two pickles, %s and %s, wanted one data.pkl", fault.Quote(pickle.name), fault.Quote(e.name))
		case name == "data.pkl":
			root, pickle = folder, e
		}
	}
	if pickle == nil {
		return "", nil, a.file.fail("ZIP_NO_PICKLE", "the zip file holds no FOLDER/data.pkl, so it is no PyTorch checkpoint")
	}
	return root, pickle, nil
}

// littleEndian refuses files of big-endian machines; older files do not say, and are little-endian.
func (a *archive) littleEndian(root string) error {
	e := a.byName[root+"/byteorder"]
	if e == nil {
		return nil
	}
	start, err := a.data(e)
	if err != nil {
		return err
	}
	text := make([]byte, min(e.size, 16))
	if _, err := a.file.ReadAt(text, start); err != nil {
		return err
	}
	if order := strings.TrimSpace(string(text)); order != "little" {
		return a.file.fail("CKPT_BIG_ENDIAN", "its byteorder is %s, wanted little; save it again on a little-endian machine", fault.Quote(order))
	}
	return nil
}

// locate checks a tensor against its storage: element (i, j, ...) lies at offset + i*stride[0] + j*stride[1] + ... in it.
func (a *archive) locate(root, name string, p *pickled) (*Tensor, error) {
	fail := func(format string, args ...any) error {
		return a.file.fail("TENSOR_BAD_GEOMETRY", "tensor "+fault.Quote(name)+": "+format, args...)
	}
	e := a.byName[root+"/data/"+p.storage.key]
	if e == nil {
		return nil, fail("its storage %s is not in the zip file", fault.Quote(p.storage.key))
	}
	start, err := a.data(e)
	if err != nil {
		return nil, err
	}
	width, unit := int64(p.dtype.Size()), int64(p.dtype.Size())
	if p.storage.class.kind == untypedStorage {
		unit = 1
	}
	stored, ok := checked.Product(uint64(max(p.storage.numel, 0)), uint64(unit))
	if p.storage.numel < 0 || !ok || stored != e.size {
		return nil, fail("its storage has %d elements of %d bytes, but zip entry %s has %d bytes", p.storage.numel, unit, fault.Quote(e.name), e.size)
	}
	view := fmt.Sprintf("offset %d, size %s, stride %s", p.offset, brief(p.size), brief(p.stride))
	negative := func(n int64) bool { return n < 0 }
	if len(p.size) != len(p.stride) || len(p.size) > maxDims || p.offset < 0 || slices.ContainsFunc(p.size, negative) || slices.ContainsFunc(p.stride, negative) {
		return nil, fail("%s: wanted one stride per size, at most %d of them, and nothing negative", view, maxDims)
	}
	t := &Tensor{Name: name, DType: p.dtype, Shape: make([]uint64, len(p.size)), file: a.file}
	for i, n := range p.size {
		t.Shape[i] = uint64(n)
	}
	if t.elements, ok = checked.Product(t.Shape...); ok && t.elements == 0 {
		return t, nil
	}
	last, numel := uint64(p.offset), stored/uint64(width) // index of the last element, and how many there are
	for i, n := range t.Shape {
		step, fits := checked.Product(n-1, uint64(p.stride[i]))
		sum, fits2 := checked.Add(last, step)
		last, ok = sum, ok && fits && fits2
	}
	if !ok || last >= numel {
		return nil, fail("%s reaches beyond its storage of %d elements", view, numel)
	}
	if t.elements > numel { // an expanded tensor is a small file's way to ask for any amount of work
		return nil, fail("%s repeats a storage of %d elements; save a contiguous copy", view, numel)
	}
	t.start, t.size = start+p.offset*width, int64(t.elements)*width // inside the entry, as was just checked
	contiguous := int64(1)
	for i := len(p.size) - 1; i >= 0; i-- {
		if p.size[i] != 1 && p.stride[i] != contiguous {
			t.strides = make([]int64, len(p.stride))
			for j, s := range p.stride {
				t.strides[j] = s * width
			}
			break
		}
		contiguous *= p.size[i]
	}
	return t, nil
}

// brief prints dimensions, however many a file gives.
func brief[T any](list []T) string {
	text := fmt.Sprint(list)
	if len(text) > 48 {
		text = text[:48] + "..."
	}
	return text
}
