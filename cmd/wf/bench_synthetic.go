package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/infer/synthetic"
	"github.com/wrinklefree/wf/quant"
)

// syntheticTypes are those of a shape's tensors: the usual ones, or as asked.
func (b *bench) syntheticTypes(name string) quant.Types {
	shape, _ := synthetic.Find(name) // validated
	types := quant.Types{Type: shape.Type, TokenEmbedding: gguf.Q8_0, HasTokenEmbedding: true, HasOutputTensor: true}
	if b.projection.given {
		types.Type = b.projection.value
	}
	if b.embedding.given {
		types.TokenEmbedding = b.embedding.value
	}
	types.OutputTensor = types.TokenEmbedding
	return types
}

// syntheticFile decides the GGUF file of a shape.
func (b *bench) syntheticFile(name string) (*quant.File, error) {
	shape, _ := synthetic.Find(name) // validated
	return shape.File(b.syntheticTypes(name), version)
}

// makeSynthetic makes that file in memory.
func (b *bench) makeSynthetic(env *environment, name string) (*gguf.File, error) {
	env.note("making a random model of the shape " + name)
	f, err := b.syntheticFile(name)
	if err != nil {
		return nil, err
	}
	return synthetic.InMemory(f)
}

func (b *bench) saveModel(ctx context.Context, env *environment) error {
	f, err := b.syntheticFile(b.synthetic[0])
	if err != nil {
		return err
	}
	_, _, size, err := f.Plan()
	if err != nil {
		return err
	}
	progress, finish := env.bar("write")
	err = f.Write(ctx, b.save, disk.CreateOptions{Force: b.force}, progress)
	finish()
	if err != nil {
		return err
	}
	return env.wrote(b.save, size)
}

func (b *bench) saveCheckpoint(ctx context.Context, env *environment) error {
	shape, _ := synthetic.Find(b.synthetic[0]) // validated
	size, err := writeCheckpoint(ctx, b.checkpoint, shape, b.force)
	if err != nil {
		return err
	}
	return env.wrote(b.checkpoint, size)
}

// writeCheckpoint writes a random checkpoint into a folder, weight by weight, and returns the bytes of its tensors.
func writeCheckpoint(ctx context.Context, dir string, shape synthetic.Shape, force bool) (uint64, error) {
	files, weights, err := shape.Checkpoint()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	write := func(name string, need uint64, fill func(w io.Writer) error) error {
		file, err := disk.Create(filepath.Join(dir, name), disk.CreateOptions{Force: force, Need: need})
		if err != nil {
			return err
		}
		defer file.Abort()
		w := bufio.NewWriterSize(stopping{ctx, file}, 1<<20)
		if err := fill(w); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return file.Commit(ctx)
	}
	var tensors []checkpoint.Output
	total := uint64(0)
	for _, t := range weights {
		n := uint64(2) // bytes of a bfloat16
		for _, d := range t.Shape {
			n *= d
		}
		total += n
		tensors = append(tensors, checkpoint.Output{Name: t.Name, DType: checkpoint.BF16, Shape: t.Shape, Fill: t.Fill})
	}
	for _, name := range sortedKeys(files) {
		err := write(name, uint64(len(files[name])), func(w io.Writer) error { _, err := w.Write(files[name]); return err })
		if err != nil {
			return 0, err
		}
	}
	return total, write("model.safetensors", total, func(w io.Writer) error { return checkpoint.WriteSafetensors(w, tensors) })
}

func sortedKeys(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// stopping is a writer that ends with its context.
type stopping struct {
	ctx context.Context
	w   io.Writer
}

func (s stopping) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}
