// Package checkpoint gives one lazy view of the tensors in a training checkpoint: safetensors (single, sharded) and PyTorch zip files.
package checkpoint

// DType is a tensor's element type.
type DType uint8

const (
	F64 DType = iota + 1
	F32
	F16
	BF16
	I64
	I32
	I16
	I8
	U8
	Bool
	// ... and the others that safetensors declares, so that they can be listed and refused by name
)

func (d DType) Size() int      { panic("contract") }
func (d DType) String() string { panic("contract") }

// Tensor is one named tensor: name, type and shape are known, its bytes are read on demand.
type Tensor struct {
	Name  string
	DType DType
	Shape []uint64 // torch order: [out, in]; empty for a scalar
	// private: where the bytes are
}

func (t *Tensor) Elements() uint64 { panic("contract") }
func (t *Tensor) Size() int64      { panic("contract") } // bytes

// ReadAt reads raw little-endian bytes in row-major order, whatever strides the file has. Safe for concurrent use.
func (t *Tensor) ReadAt(p []byte, off int64) (int, error) { panic("contract") }

// SharesStorage reports whether both names mean the same bytes (tied weights in a PyTorch file).
func (t *Tensor) SharesStorage(o *Tensor) bool { panic("contract") }

// Source is one file that was read.
type Source struct {
	Path string
	Name string // base name
	Size int64
}

// Checkpoint is an open checkpoint.
type Checkpoint struct {
	Format  string    // "safetensors" or "pytorch"
	Tensors []*Tensor // sorted by name, after wrappers and prefixes (FORMATS.md 4.4) were removed; optimizer state never appears
	Sources []Source  // weight and index files, sorted by name
	Notices []string  // what a person should know: dropped prefixes, wrong CRC, wrong total_size
	Dir     string    // the folder that holds config.json and the tokenizer
}

// Open opens a folder (model.safetensors, model.safetensors.index.json, pytorch_model.bin[.index.json], or its only *.safetensors/.pt/.bin
// file, in that order of preference) or one file. Content decides the format, not the name.
func Open(path string) (*Checkpoint, error) { panic("contract") }

func (c *Checkpoint) Tensor(name string) (*Tensor, bool) { panic("contract") }
func (c *Checkpoint) Changed() error                     { panic("contract") } // FILE_CHANGED
func (c *Checkpoint) Close() error                       { panic("contract") }
