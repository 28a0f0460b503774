package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/quant"
)

// job is a conversion between its inputs and its output: what Run writes, Preview describes and Verify compares.
type job struct {
	o       Options
	ckpt    *checkpoint.Checkpoint
	side    sidecars
	config  *Config
	tok     *Tokenizer
	sources []string    // paths of all files that are read
	sums    *quant.Sums // of them, set by hash

	plan   *Plan // with file set by decide
	file   *quant.File
	lost   atomic.Uint64 // values that became 0 in F16
	damage []string      // what hash noticed, for who waits for the sums
}

// open reads everything but weights.
func open(o Options) (*job, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	ckpt, err := checkpoint.Open(o.Path)
	if err != nil {
		return nil, err
	}
	if o.ConfigDir == "" {
		o.ConfigDir = ckpt.Dir
	}
	if o.Name == "" {
		o.Name = nameOf(ckpt.Dir)
	}
	if o.Format == FormatSGL {
		o.Type, o.TokenEmbedding, o.OutputTensor = "i2_s", "f32", "f32" // what it holds: codes, and floats
	}
	j := &job{o: o, ckpt: ckpt, side: sidecars{dir: o.ConfigDir}}
	if j.config, j.tok, err = j.side.read(); err != nil {
		j.close()
		return nil, fmt.Errorf("convert: %w", err)
	}
	for _, s := range ckpt.Sources {
		j.sources = append(j.sources, s.Path)
	}
	j.sources = append(j.sources, j.side.paths...)
	return j, nil
}

func (j *job) close() {
	if j.sums != nil {
		j.sums.Stop()
	}
	j.ckpt.Close()
	j.side.close()
}

// hash begins to hash the sources, beside all that follows with the context it returns.
func (j *job) hash(ctx context.Context) context.Context {
	j.sums, ctx = quant.HashSources(ctx, len(j.sources), func(i int, w io.Writer) error {
		if i >= len(j.ckpt.Sources) {
			return j.side.scan(i-len(j.ckpt.Sources), w)
		}
		notices, err := j.ckpt.Sources[i].Scan(w)
		j.damage = append(j.damage, notices...)
		return err
	})
	return ctx
}

// decide looks at the weights and plans.
func (j *job) decide(ctx context.Context) error {
	inv := takeInventory(j.ckpt)
	err := look(ctx, j.ckpt, inv, j.config, &j.o)
	if err == nil {
		j.plan, err = MakePlan(inv, j.config, j.tok, j.o)
	}
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	j.plan.Notices = append(append([]string{}, j.ckpt.Notices...), j.plan.Notices...)
	j.file = j.plan.file(ctx, j.ckpt, &j.o, &j.lost)
	j.file.Sources, j.file.Sums, j.file.Split = j.sources, j.sums, j.o.SplitMaxSize
	j.file.Changed = func() error { return errors.Join(j.ckpt.Changed(), j.side.changed()) }
	if j.o.Out == "" {
		j.o.Out = outName(j.o.Name, j.plan.Type)
	}
	return nil
}

// report says what is decided.
func (j *job) report() (*Report, error) {
	md, infos, size, err := j.file.Plan()
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	r := j.plan.report(infos, size, j.sources)
	r.Out, r.Keys = j.o.Out, md
	if r.Files, err = j.file.Parts(j.o.Out); err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	r.Out, r.Size = r.Files[0].Path, 0
	for _, p := range r.Files {
		r.Size += p.Size
	}
	return r, nil
}

// Preview says what Run would do, and counts the codes of I2_S tensors. It has no output in mind, so that nothing about one can be wrong.
//
// Codes: those of Run that concern the checkpoint.
func Preview(ctx context.Context, o Options) (*Report, error) {
	j, err := open(o)
	if err != nil {
		return nil, err
	}
	defer j.close()
	if err := j.decide(ctx); err != nil {
		return nil, err
	}
	r, err := j.report()
	if err != nil {
		return nil, err
	}
	for i, t := range j.file.Tensors {
		if t.Type == gguf.I2_S {
			if r.Tensors[i].Ternary, err = quant.ShareOf(t); err != nil {
				return nil, fmt.Errorf("convert: tensor %s: %w", fault.Quote(t.Name), err)
			}
		}
	}
	return r, nil
}
