package quant

import (
	"context"

	"github.com/wrinklefree/wf/gguf"
)

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
