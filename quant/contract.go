// Package quant packs weights into GGUF blocks and unpacks them, finds out whether weights are ternary, and rewrites a GGUF file in another
// type.
package quant

import (
	"context"
	"io"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
)

// Encode appends len(x) values encoded as t to dst. x is whole rows (a multiple of t.BlockSize()); for F32 F16 BF16 Q8_0 Q4_0 Q6_K. Inf on
// overflow is the caller's to prevent (Overflow).
func Encode(dst []byte, t gguf.Type, x []float32) []byte { panic("contract") }

// Decode decodes whole blocks of src into dst, which has exactly the values' length. For every type but I2_S.
func Decode(dst []float32, t gguf.Type, src []byte) { panic("contract") }

// Trits are codes -1, 0, +1, one a weight. PackI2S appends len(trits)/4 bytes, blocks of 128 (the tail with the scale is I2STail's);
// a chunk must be a multiple of 128. UnpackI2S is its inverse and returns an error naming the index of the first code 3.
func PackI2S(dst []byte, trits []int8) []byte                { panic("contract") }
func UnpackI2S(trits []int8, src []byte) error               { panic("contract") }
func I2STail(scale float32) [32]byte                         { panic("contract") }
func PackTQ1(dst []byte, trits []int8, scale float32) []byte { panic("contract") }
func PackTQ2(dst []byte, trits []int8, scale float32) []byte { panic("contract") }

// Ternarize: the rule of FORMATS.md 3.1. AbsMean accumulates in float64 over any number of calls.
type AbsMean struct{}

func (a *AbsMean) Add(x []float32)                       { panic("contract") }
func (a *AbsMean) Scale() float32                        { panic("contract") } // max(mean |W|, 1e-5)
func Ternarize(trits []int8, x []float32, scale float32) { panic("contract") } // clamp(RNE(x * f32(1/s)), -1, 1)

// Detector finds out, over any number of Add calls, whether a tensor is ternary already: at most three distinct values {-s, 0, s}.
type Detector struct{}

func (d *Detector) Add(x []float32) { panic("contract") }

// Ternary reports whether all values seen are in {-s, 0, s} and the scale to keep: s, or 1e-5 if all are zero.
func (d *Detector) Ternary() (scale float32, ok bool) { panic("contract") }

// Residual describes how far from ternary the values are, for NOT_TERNARY messages: distinct magnitudes seen, largest, mean.
func (d *Detector) Residual() string { panic("contract") }

// Types says which type each tensor of a file gets (FORMATS.md 2.11). Dry runs, convert and Run ask nothing else.
type Types struct {
	Type                               gguf.Type // of the seven projections, and of every other matrix unless it is ternary
	TokenEmbedding, OutputTensor       gguf.Type // of token_embd and output, if the Has field is set; else F16 for a ternary Type, or Type
	HasTokenEmbedding, HasOutputTensor bool
}

// For returns the type of one tensor: F32 for norms and all that has one dimension. Dims are in ne order. Codes: UNSUPPORTED_SHAPE (exit 4)
// when the type cannot hold the shape.
func (t Types) For(name string, dims []uint64) (gguf.Type, error) { panic("contract") }

// IsProjection reports whether a GGUF tensor is one of the seven matrices of a layer that BitNet makes ternary.
func IsProjection(name string) bool { panic("contract") }

// IsTernary reports whether a type holds only codes -1, 0, +1 and a scale.
func IsTernary(t gguf.Type) bool { panic("contract") }

// File is a GGUF file that has been decided and not yet written.
type File struct {
	Metadata *gguf.Metadata // all keys but those that Write sets: file_type, quantization_version, wf.i2_s.layout and the receipt
	Type     gguf.Type      // of the projections, for general.file_type
	Tensors  []Tensor       // in file order
	Version  string         // receipt: wf.version
	Options  string         // receipt: wf.options, canonical
	Sources  []string       // receipt: paths of all files that were read; hashed by Write, never overwritten by it
	Changed  func() error   // nil, or asked when all is written: an error if a source is no longer what was opened
}

// Tensor is one tensor of a File. Fill writes exactly the bytes that Type needs for Dims, in any number of writes; it is called once.
type Tensor struct {
	Name string
	Type gguf.Type
	Dims []uint64
	Fill func(w io.Writer) error
}

// Plan returns the metadata as it will be written (hashes zero), the tensor infos and the size of the file. It opens sources for their sizes.
func (f *File) Plan() (md *gguf.Metadata, infos []gguf.TensorInfo, size uint64, err error) { panic("contract") }

// Write writes the file to path: creates the output (disk.Create's codes; Need and Inputs are filled in here), writes header and tensors,
// hashes the sources meanwhile, patches the receipt, reads everything back and compares (WRITE_CORRUPTED), and only then makes it visible.
// On any error and on cancellation nothing is left. Progress is called from one goroutine with bytes of the output file.
func (f *File) Write(ctx context.Context, path string, o disk.CreateOptions, progress func(done, total int64)) error {
	panic("contract")
}

// Options of a GGUF -> GGUF rewrite (wf quantize). The zero value of every field but In, Out and Type works.
type Options struct {
	In, Out string
	Types
	AllowRequantize bool
	Force           bool
	Version         string // wf.version
	Progress        func(done, total int64)
	I2SLayout       string
	Warn            func(string)
	DryRun          bool
}

// Report is what Run did, or with DryRun would do.
type Report struct {
	Out     string
	Size    uint64
	Tensors []Change
}

// Change is one tensor's fate.
type Change struct {
	Name     string
	Dims     []uint64
	From, To gguf.Type
	Bytes    uint64
}

// Run rewrites a file.
func Run(ctx context.Context, o Options) (*Report, error) { panic("contract") }

var _ io.Reader
