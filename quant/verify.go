package quant

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// VerifyOptions of looking at a whole file. The zero value works.
type VerifyOptions struct {
	I2SLayout string                  // of I2_S tensors in a file that wf did not write: 128 (""), 64
	Shares    bool                    // count -1, 0 and +1, in ternary types and in floating-point projections: up to a nanosecond a weight
	Progress  func(done, total int64) // bytes of tensors; not from two goroutines at a time
}

// Verified is what a look at all data of a file found.
type Verified struct {
	Tensors  []Finding // in file order
	Receipt  *Receipt  // nil: wf did not write the file
	Layout   Layout    // in which I2_S tensors were read
	Warnings []error   // with codes: odd, but no reason to refuse the file
	Problems []error   // with codes: reasons to refuse it, those of the container first, then of tensors in file order
}

// Err returns the first problem of the container and the first of a tensor, which says how many other tensors have one.
func (v *Verified) Err() error {
	var first []error
	more := 0
	for _, err := range v.Problems {
		var t *tensorError
		switch {
		case !errors.As(err, &t):
			first = append(first, err)
		case more == 0:
			first, more = append(first, err), 1
		default:
			more++
		}
	}
	if more > 1 {
		last := len(first) - 1
		first[last] = fmt.Errorf("%w (and %d tensors more)", first[last], more-1)
	}
	return errors.Join(first...)
}

// tensorError is a problem of one tensor.
type tensorError struct{ error }

func (e *tensorError) Unwrap() error { return e.error }

func inTensor(name string, err error) error {
	return &tensorError{fmt.Errorf("tensor %s: %w", fault.Quote(name), err)}
}

// Verify reads all data of a file once, with every processor, and holds it against the rules of the container and of its types and against its
// own receipt. The error is one of reading; what is wrong with the file is in Verified.
//
// Codes of problems: GGUF_TRAILING_DATA, TENSOR_BAD_TERNARY_CODE, TENSOR_BAD_SCALE, TENSOR_NOT_FINITE, TENSOR_SUSPICIOUS,
// TENSOR_HASH_MISMATCH, RECEIPT_INVALID, USAGE and MODEL_BAD_PARAM (the layout). Of warnings: GGUF_DIRTY_PADDING, TENSOR_SUSPICIOUS where the
// file says that it is meant to be so, NOT_TERNARY for blocks with scales of their own.
func Verify(ctx context.Context, f *gguf.File, o VerifyOptions) (*Verified, error) {
	v := &Verified{Layout: Layout128}
	problem := func(err error) {
		if err != nil {
			v.Problems = append(v.Problems, err)
		}
	}
	if f.Trailing > 0 {
		problem(fault.New("GGUF_TRAILING_DATA", "%d bytes follow the last tensor, which no reader of GGUF looks at", f.Trailing))
	}
	if err := f.DirtyPadding(); fault.Code(err) == "GGUF_DIRTY_PADDING" {
		v.Warnings = append(v.Warnings, err)
	} else if err != nil {
		return nil, err
	}
	receipt, err := ReadReceipt(f)
	problem(err)
	v.Receipt = receipt
	if layout, err := InputLayout(f.Metadata, o.I2SLayout); err != nil {
		problem(err)
	} else {
		v.Layout = layout
	}
	allowed, _, err := gguf.Value[[]string](f.Metadata, names.AllowedSuspicious)
	problem(err)
	if v.Tensors, err = examine(ctx, f, v.Layout, o); err != nil {
		return nil, err
	}
	for i := range v.Tensors {
		t := &v.Tensors[i]
		name := f.Tensors[i].Name
		suspicious := fault.New("TENSOR_SUSPICIOUS", "all its weights are the same, as if a converter had lost them")
		switch {
		case t.Problem != nil:
		case t.Constant && !slices.Contains(allowed, name):
			t.Problem = suspicious
		case receipt != nil && receipt.Hashes[i] != t.Hash:
			t.Problem = fault.New("TENSOR_HASH_MISMATCH", "its data has the xxh64 %016x, but %016x when it was written; the file was damaged since, "+
				"fetch or make it again", t.Hash, receipt.Hashes[i])
		}
		if t.Problem != nil {
			t.Problem = inTensor(name, t.Problem)
			problem(t.Problem)
		} else if t.Constant {
			v.Warnings = append(v.Warnings, inTensor(name, suspicious))
		}
		if t.mixed {
			v.Warnings = append(v.Warnings, inTensor(name, fault.New("NOT_TERNARY",
				"its blocks have scales of their own, so it is not the matrix of a BitNet layer")))
		}
	}
	return v, nil
}
