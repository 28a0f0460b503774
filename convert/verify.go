package convert

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// VerifyOptions of holding a file against its checkpoint.
type VerifyOptions struct {
	quant.ReplayOptions        // Source is the checkpoint: a folder, or one weight file
	ConfigDir           string // where config.json and the tokenizer are; "" means beside the weights
}

// Verify converts a checkpoint once more with the options that a file records, in memory and a chunk at a time, and compares. See quant.Compare
// for what must be equal. Memory does not grow with the model.
//
// Codes: RECEIPT_MISSING, RECEIPT_INVALID, RECEIPT_UNKNOWN, those of quant.Compare, and those of Run that concern the checkpoint.
func Verify(ctx context.Context, f *gguf.File, o VerifyOptions) error {
	receipt, err := quant.RequireReceipt(f)
	if err != nil {
		return err
	}
	run, err := quant.Recall(recorded, receipt.Options)
	if err != nil {
		return err
	}
	run.Path, run.ConfigDir, run.Version = o.Source, o.ConfigDir, o.Version
	run.Name, _, _ = gguf.Value[string](f.Metadata, names.Name) // chosen freely
	j, err := open(*run)
	if err != nil {
		return fromSource(o.Source, err)
	}
	defer j.close()
	if err := receipt.CheckSources(j.sources, receipt.Version == o.Version); err != nil {
		return err
	}
	ctx = j.hash(ctx)
	if err := j.decide(ctx); err != nil {
		return fromSource(o.Source, err)
	}
	if err := quant.Compare(ctx, f, j.file, o.ReplayOptions); err != nil {
		return err
	}
	if o.Notice != nil {
		for _, notice := range slices.Concat(j.ckpt.Notices, j.damage) {
			o.Notice(notice)
		}
	}
	return nil
}

// fromSource says that what is wrong is the source, not the file that is verified.
func fromSource(path string, err error) error {
	var all []error
	for _, problem := range unjoined(err) {
		all = append(all, fmt.Errorf("source %s: %w", path, problem))
	}
	return errors.Join(all...)
}

func unjoined(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
