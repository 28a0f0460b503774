package gguf

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// TensorInfo is one tensor as the header describes it.
type TensorInfo struct {
	Name   string
	Type   Type
	Dims   []uint64 // ne order: fastest first, so torch [out, in] is [in, out]
	Offset uint64   // from the start of the data section
	Size   uint64   // bytes

	part int // of a split model: place in File.parts
}

// Rows returns the product of all dims but the first.
func (t *TensorInfo) Rows() uint64 {
	rows := uint64(1)
	for _, d := range t.Dims[1:] {
		rows *= d // fits: measure has checked the product of all
	}
	return rows
}

// checkRank comes before everything else about dimensions, so that a reader knows how many to read.
func checkRank(n uint32) error {
	if n < 1 || n > maxDims {
		return fault.New("GGUF_BAD_NDIMS", "%d dimensions; a tensor has 1 to %d", n, maxDims)
	}
	return nil
}

// measure checks dimensions and type, and computes Size. bitNet: the file says it holds a BitNet model.
func (t *TensorInfo) measure(bitNet bool) error {
	if err := checkRank(uint32(len(t.Dims))); err != nil {
		return err
	}
	for i, d := range t.Dims {
		if d < 1 || d > math.MaxInt64 {
			return fault.New("GGUF_BAD_DIM", "dimension %d is %d; it must be 1 to 2^63-1", i, d)
		}
	}
	if _, ok := checked.Product(t.Dims...); !ok {
		return fault.New("GGUF_SIZE_OVERFLOW", "dimensions %d have more than 2^63-1 elements", t.Dims)
	}
	if err := t.Type.check(bitNet); err != nil {
		return err
	}
	if !t.Type.Fits(t.Dims) {
		what := "the row"
		if t.Type.mustLayout().wholeTensor {
			what = "the number of elements"
		}
		return fault.New("GGUF_BAD_ROW", "dimensions %d: %s is not a multiple of %d, the block of %s", t.Dims, what, t.Type.BlockSize(), t.Type)
	}
	var ok bool
	if t.Size, ok = t.Type.ByteSize(t.Dims); !ok || t.Size > math.MaxInt64 {
		return fault.New("GGUF_SIZE_OVERFLOW", "dimensions %d of %s take more than 2^63-1 bytes", t.Dims, t.Type)
	}
	return nil
}

// place checks that every tensor lies inside a data section of size bytes, aligned and apart from the others. It returns the tensors' places
// in the order of their offsets, and the end of the last tensor.
func place(tensors []TensorInfo, alignment, size uint64) (order []int, end uint64, err error) {
	order = make([]int, len(tensors))
	for i := range tensors {
		order[i] = i
		if err := tensors[i].placed(alignment, size); err != nil {
			return nil, 0, inTensor(tensors[i].Name, err)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tensors[a].Offset, tensors[b].Offset) })
	last := ""
	for _, i := range order {
		t := &tensors[i]
		if t.Offset < end {
			return nil, 0, fault.New("GGUF_TENSOR_OVERLAP", "tensor %s at offset %d begins inside tensor %s, which ends at %d",
				fault.Quote(t.Name), t.Offset, fault.Quote(last), end)
		}
		last, end = t.Name, t.Offset+t.Size
	}
	return order, end, nil
}

func (t *TensorInfo) placed(alignment, size uint64) error {
	if t.Offset%alignment != 0 {
		return fault.New("GGUF_BAD_OFFSET", "offset %d is not a multiple of the alignment %d", t.Offset, alignment)
	}
	end, ok := checked.Add(t.Offset, t.Size)
	if !ok {
		return fault.New("GGUF_BAD_OFFSET", "offset %d and %d bytes pass 2^64", t.Offset, t.Size)
	}
	if end <= size {
		return nil
	}
	missing := "its data"
	if tail := t.Type.mustLayout().tailBytes; tail > 0 && end-size <= tail {
		missing = "the scale behind its codes"
	}
	return fault.New("GGUF_TENSOR_PAST_EOF", "%s ends at byte %d of the data section, which has %d: %d bytes are missing, fetch the file again",
		missing, end, size, end-size)
}

// check refuses types that wf does not read, and says what they are if anyone knows.
func (t Type) check(bitNet bool) error {
	if t.Known() {
		return nil
	}
	if t == 38 || t == 39 && bitNet {
		return fault.New("GGUF_AMBIGUOUS_TYPE", "type %d is TL%d in bitnet.cpp's files and %s in llama.cpp's; wf reads neither: convert from the "+
			"checkpoint, to I2_S", uint32(t), t-37, foreignTypes[t])
	}
	note := ""
	if name, ok := foreignTypes[t]; ok {
		note = " (" + name + ")"
	}
	return fault.New("GGUF_UNKNOWN_TYPE", "type %d%s is unknown; this build reads %s", uint32(t), note, strings.Join(TypeNames(), ", "))
}

// isBitNet reports whether a file calls itself a BitNet model, by its architecture or by a file type of bitnet.cpp: 39 is TL2, 40 I2_S, 41 I2_S
// since 2026. llama.cpp has those numbers too, but for files without tensors of type 39.
func isBitNet(m *Metadata) bool {
	architecture, _, _ := value[string](m, names.Architecture)
	fileType, _, _ := value[uint32](m, names.FileType)
	fileType &^= guessedFileType
	return strings.HasPrefix(architecture, names.BitNet) || fileType >= 39 && fileType <= 41
}

// guessedFileType is set in a file type that llama.cpp guessed from the tensors (LLAMA_FTYPE_GUESSED).
const guessedFileType = 1024
