package quant

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Options of a rewrite, GGUF to GGUF. The zero value of every field but In, Out and Type works.
type Options struct {
	In, Out string
	Types
	OverrideKV      []string                // metadata to set: KEY=TYPE:VALUE, see Override
	AllowRequantize bool                    // let a lossy type be the source of another
	SplitMaxSize    uint64                  // see File.Split
	Force           bool                    // replace Out
	DryRun          bool                    // make every check, write nothing
	Version         string                  // wf.version
	I2SLayout       string                  // of an input's I2_S tensors that wf did not write: 128 (""), 64
	Warn            func(string)            // what a person should know, one sentence each
	Progress        func(done, total int64) // bytes scanned and written; not from two goroutines at a time

	calls disk.Calls // tests make the disk fail
}

// Report is what Run did, or with DryRun would do.
type Report struct {
	Out     string     `json:"out"`     // the first file, which stands for all
	Written bool       `json:"written"` // false after a dry run
	Size    uint64     `json:"size"`    // bytes of the whole
	Files   []FilePart `json:"files"`   // more than one with SplitMaxSize
	Extent             // of its tensors
	Tensors []Change   `json:"tensors"`
}

// Change is one tensor's fate.
type Change struct {
	Name          string   `json:"name"`
	Dims          []uint64 `json:"dims"` // ne order: fastest first
	From          string   `json:"from"` // types
	To            string   `json:"to"`
	Bytes         uint64   `json:"bytes"` // in the output
	BitsPerWeight float64  `json:"bits_per_weight"`
}

// Extent is what tensors hold, and what that takes.
type Extent struct {
	Data          uint64  `json:"data"`            // bytes, without padding
	Weights       uint64  `json:"weights"`         // numbers
	BitsPerWeight float64 `json:"bits_per_weight"` //
}

// Add counts a tensor that has been planned, and returns its own bits per weight.
func (e *Extent) Add(t gguf.TensorInfo) (bitsPerWeight float64) {
	n := t.Dims[0] * t.Rows()
	e.Data += t.Size
	e.Weights += n
	e.BitsPerWeight = 8 * float64(e.Data) / float64(e.Weights)
	return 8 * float64(t.Size) / float64(n)
}

// Run rewrites a GGUF file in another type. Metadata is kept but for what File.Plan sets.
//
// A ternary type takes only weights that are ternary already, and keeps their scale: nothing is rounded twice. Between ternary and
// floating-point types the codes are exact in both directions; from a lossy type (Q8_0, Q6_K, Q4_0) the values can be read exactly, as F32,
// but whatever rounds them again wants AllowRequantize.
//
// Codes: QUANT_DIFFUSION_TQ2, QUANT_REQUANTIZE, NOT_TERNARY, UNSUPPORTED_SHAPE, RANGE_LOSS, TENSOR_NOT_FINITE, TENSOR_BAD_SCALE,
// TENSOR_BAD_TERNARY_CODE, MODEL_TENSOR_TYPE, USAGE, those of gguf.Open and of File.Write.
func Run(ctx context.Context, o Options) (*Report, error) {
	in, err := gguf.Open(o.In)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r, err := plan(ctx, in, o)
	if err != nil {
		return nil, err
	}
	_, infos, _, err := r.file.Plan()
	if err != nil {
		return nil, err
	}
	report := &Report{}
	if report.Files, err = r.file.Parts(o.Out); err != nil {
		return nil, err
	}
	report.Out = report.Files[0].Path
	for _, p := range report.Files {
		report.Size += p.Size
	}
	for i, t := range infos {
		report.Tensors = append(report.Tensors, Change{t.Name, t.Dims, in.Tensors[i].Type.String(), t.Type.String(), t.Size, report.Add(t)})
	}
	create := disk.CreateOptions{Force: o.Force, Inputs: in.Paths(), Calls: o.calls}
	if err := CheckOutputs(report.Files, create, o.DryRun); err != nil { // before a weight is read
		return nil, err
	}
	if err := r.scan(ctx, int64(report.Size)); err != nil {
		return nil, err
	}
	if !o.DryRun {
		if err := r.file.Write(ctx, o.Out, create, r.written); err != nil {
			return nil, err
		}
		report.Written = true
	}
	r.warn()
	return report, nil
}

// rewrite is one run: the file to be written, and what is found out on the way.
type rewrite struct {
	o       Options
	in      *gguf.File
	file    File
	notices []string

	ternary    []*ternaryTensor // tensors that must turn out to be ternary
	scanned    int64            // bytes of them
	underflows uint64
}

type ternaryTensor struct {
	info  *gguf.TensorInfo
	from  *weights
	to    gguf.Type
	scale float32 // set by scan
}

// plan decides everything that the header of the input can decide.
func plan(ctx context.Context, in *gguf.File, o Options) (*rewrite, error) {
	layout, err := InputLayout(in.Metadata, o.I2SLayout)
	if err != nil {
		return nil, err
	}
	md := in.Metadata.Clone()
	notices, err := ApplyOverrides(md, o.OverrideKV)
	if err != nil {
		return nil, err
	}
	if err := refuse(md, o.Types); err != nil {
		return nil, err
	}
	r := &rewrite{o: o, in: in, notices: notices, file: File{
		Metadata: md, Type: o.Type, Version: o.Version, Options: Record(words, &o), Sources: in.Paths(), Split: o.SplitMaxSize, Changed: in.Changed,
	}}
	for i := range in.Tensors {
		info := &in.Tensors[i]
		to, err := o.Types.For(info.Name, info.Dims)
		if err == nil {
			err = allowed(info, to, o.AllowRequantize)
		}
		var from *weights
		if err == nil {
			if from, err = newWeights(in, info, layout); err != nil {
				err = fmt.Errorf("tensor %s: %w", fault.Quote(info.Name), err)
			}
		}
		if err != nil {
			return nil, err
		}
		if IsTernary(info.Type) && isFloat(to) && !md.Has(names.LinearActivation) {
			// Ternary types always take int8 activations. Floating-point ones do so if the file says so.
			md.Set(names.LinearActivation, names.ActivationInt8)
		}
		r.file.Tensors = append(r.file.Tensors, Tensor{Name: info.Name, Type: to, Dims: info.Dims, Fill: r.fill(ctx, info, from, to)})
	}
	return r, nil
}

// fill returns how one tensor is written.
func (r *rewrite) fill(ctx context.Context, info *gguf.TensorInfo, from *weights, to gguf.Type) func(io.Writer) error {
	switch {
	case IsTernary(to):
		t := &ternaryTensor{info: info, from: from, to: to}
		r.ternary = append(r.ternary, t)
		return func(w io.Writer) error { return from.pack(ctx, w, to, t.scale) }
	case info.Type == to && !isFloat(to):
		return func(w io.Writer) error {
			_, err := io.CopyBuffer(w, struct{ io.Reader }{from.raw}, make([]byte, 1<<20))
			return err
		}
	}
	return func(w io.Writer) error {
		seen, err := from.encode(ctx, w, to)
		r.underflows += seen.Underflows
		return err
	}
}

// scan finds out whether the weights that must be ternary are, a tensor on each processor. The first in file order that is not is the error.
func (r *rewrite) scan(ctx context.Context, size int64) error {
	var total int64
	for _, t := range r.ternary {
		total += int64(t.info.Size)
	}
	var mu sync.Mutex
	seen := func(bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		r.scanned += bytes
		if r.o.Progress != nil {
			r.o.Progress(r.scanned, total+size)
		}
	}
	return Each(ctx, 0, len(r.ternary), func(i int) error {
		if err := r.ternary[i].detect(ctx, seen); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(r.ternary[i].info.Name), err)
		}
		return nil
	})
}

func (t *ternaryTensor) detect(ctx context.Context, seen func(int64)) error {
	d, err := t.from.detect(ctx, seen)
	if err != nil {
		return err
	}
	var ok bool
	if t.scale, ok = d.Ternary(); !ok {
		return fault.New("NOT_TERNARY", "the weights are not ternary: %s; %v holds only {-s, 0, s}. Choose f16 or q8_0, or convert the checkpoint with "+
			"--ternarize if it was trained so", d.Residual(), t.to)
	}
	return CheckScale(t.to, t.scale)
}

func (r *rewrite) written(done, total int64) {
	if r.o.Progress != nil {
		r.o.Progress(r.scanned+done, r.scanned+total)
	}
}

// warn says what was lost or will surprise.
func (r *rewrite) warn() {
	if r.o.Warn == nil {
		return
	}
	for _, n := range r.notices {
		r.o.Warn(n)
	}
	if r.underflows > 0 {
		r.o.Warn(fmt.Sprintf("%d weights were too small for F16 and became 0", r.underflows))
	}
	straddling := 0
	for _, t := range r.file.Tensors {
		if t.Type == gguf.I2_S && t.Dims[0]%128 != 0 {
			straddling++
		}
	}
	if straddling > 0 {
		r.o.Warn(fmt.Sprintf("%d tensors have rows that are not a multiple of 128: wf reads them exactly, bitnet.cpp would compute garbage", straddling))
	}
	if rule, _, _ := gguf.Value[string](r.in.Metadata, names.ScaleRule); r.o.Any(func(t gguf.Type) bool { return t == gguf.Q4_0 }) && rule != "" && rule != names.ScaleNone {
		r.o.Warn("Q4_0 changes one sign of ternary weights by an eighth; I2_S is exact and half the size")
	}
}
