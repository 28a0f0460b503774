package gguf

import (
	"fmt"
	"strings"

	"github.com/wrinklefree/wf/gguf/checked"
)

// Type is a tensor's encoding: the ggml type id stored in a tensor info. It is not a file type (general.file_type), whose numbers
// differ: tensor type 36 is I2_S, file type 36 is TQ1_0.
type Type uint32

// The types that wf reads and writes.
const (
	F32   Type = 0
	F16   Type = 1
	Q4_0  Type = 2
	Q8_0  Type = 8
	Q6_K  Type = 14
	BF16  Type = 30
	TQ1_0 Type = 34
	TQ2_0 Type = 35
	I2_S  Type = 36
)

// layout is what the container has to know about a type. blockWeights weights along a row take blockBytes bytes; a type with
// tailBytes is one run of blocks over the whole tensor followed by that many bytes.
type layout struct {
	id           Type
	name         string
	blockWeights uint64
	blockBytes   uint64
	tailBytes    uint64
	fileType     uint32 // llama_ftype, as general.file_type stores it
	wholeTensor  bool   // blocks run through the flattened tensor and may straddle rows
}

// layouts is the one table of types and sizes (ggml.c type_traits; I2_S: bitnet.cpp).
var layouts = [...]layout{
	{id: F32, name: "F32", blockWeights: 1, blockBytes: 4, fileType: 0},
	{id: F16, name: "F16", blockWeights: 1, blockBytes: 2, fileType: 1},
	{id: BF16, name: "BF16", blockWeights: 1, blockBytes: 2, fileType: 32},
	{id: Q8_0, name: "Q8_0", blockWeights: 32, blockBytes: 34, fileType: 7},
	{id: Q6_K, name: "Q6_K", blockWeights: 256, blockBytes: 210, fileType: 18},
	{id: Q4_0, name: "Q4_0", blockWeights: 32, blockBytes: 18, fileType: 2},
	{id: TQ1_0, name: "TQ1_0", blockWeights: 256, blockBytes: 54, fileType: 36},
	{id: TQ2_0, name: "TQ2_0", blockWeights: 256, blockBytes: 66, fileType: 37},
	{id: I2_S, name: "I2_S", blockWeights: 128, blockBytes: 32, tailBytes: 32, fileType: 40, wholeTensor: true},
}

// foreignTypes names the types that other programs write, for messages (ggml.h; 36 to 39 mean something else in bitnet.cpp).
var foreignTypes = map[Type]string{
	3: "Q4_1", 4: "the removed Q4_2", 5: "the removed Q4_3", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
	13: "Q5_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
	24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 31: "the removed Q4_0_4_4", 32: "the removed Q4_0_4_8",
	33: "the removed Q4_0_8_8", 37: "the removed IQ4_NL_4_8", 38: "the removed IQ4_NL_8_8", 39: "MXFP4", 40: "NVFP4",
}

func (t Type) layout() (layout, bool) {
	for _, l := range layouts {
		if l.id == t {
			return l, true
		}
	}
	return layout{}, false
}

// Known reports whether wf can read and write the type.
func (t Type) Known() bool { _, ok := t.layout(); return ok }

// String returns the type's name, or its number if wf does not know it.
func (t Type) String() string {
	if l, ok := t.layout(); ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// ParseType finds a type by name, in any case.
func ParseType(name string) (Type, bool) {
	for _, l := range layouts {
		if strings.EqualFold(l.name, name) {
			return l.id, true
		}
	}
	return 0, false
}

// TypeNames lists the names of all known types, for messages.
func TypeNames() []string {
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = l.name
	}
	return names
}

// BlockSize returns how many weights share one block; 1 for the plain types. It panics for a type that is not Known.
func (t Type) BlockSize() uint64 { return t.mustLayout().blockWeights }

// BlockBytes returns the bytes of one block. It panics for a type that is not Known.
func (t Type) BlockBytes() uint64 { return t.mustLayout().blockBytes }

// FileType returns the general.file_type (llama_ftype) of a file whose matrices are mostly of this type. It panics for a type that is not
// Known.
func (t Type) FileType() uint32 { return t.mustLayout().fileType }

func (t Type) mustLayout() layout {
	l, ok := t.layout()
	if !ok {
		panic("gguf: unknown " + t.String())
	}
	return l
}

// Fits reports whether a tensor with these dimensions (ne order, fastest first) can be stored in the type: its rows, or for I2_S the whole
// tensor, are a multiple of the block.
func (t Type) Fits(dims []uint64) bool {
	l := t.mustLayout()
	n := dims[0]
	if l.wholeTensor {
		var ok bool
		if n, ok = checked.Product(dims...); !ok {
			return false
		}
	}
	return n%l.blockWeights == 0
}

// ByteSize returns the bytes of a tensor with these dimensions, and false if they do not fit 63 bits. The dimensions must Fit.
func (t Type) ByteSize(dims []uint64) (uint64, bool) {
	l := t.mustLayout()
	n, ok := checked.Product(dims...)
	if !ok {
		return 0, false
	}
	size, ok := checked.Product(n/l.blockWeights, l.blockBytes)
	if !ok {
		return 0, false
	}
	return checked.Add(size, l.tailBytes)
}
