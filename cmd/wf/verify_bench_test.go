package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/infer/synthetic"
	"github.com/wrinklefree/wf/quant"
)

// BenchmarkVerify verifies files of about 2 GB, out of the page cache, beside only reading them on as many processors, tensor by tensor.
//
//	go test ./cmd/wf -run '^$' -bench Verify -benchtime 3x
func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		typ    gguf.Type
		layers int
	}{{gguf.I2_S, 80}, {gguf.F16, 10}, {gguf.TQ2_0, 80}} {
		shape, _ := synthetic.Find("bitnet-2b")
		shape.Layers = c.layers
		path := filepath.Join(b.TempDir(), "model.gguf")
		file, err := shape.File(quant.Types{Type: c.typ}, "0.0.0")
		if err != nil {
			b.Fatal(err)
		}
		if err := file.Write(context.Background(), path, disk.CreateOptions{}, nil); err != nil {
			b.Fatal(err)
		}
		f, err := gguf.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.typ.String()+"/read", func(b *testing.B) {
			b.SetBytes(int64(f.Size))
			for b.Loop() {
				readAll(b, f)
			}
		})
		b.Run(c.typ.String()+"/verify", func(b *testing.B) {
			b.SetBytes(int64(f.Size))
			for b.Loop() {
				v, err := quant.Verify(context.Background(), f, quant.VerifyOptions{})
				if err != nil || v.Err() != nil {
					b.Fatal(err, v.Err())
				}
			}
		})
		f.Close()
		os.Remove(path)
	}
}

// readAll reads every tensor as Verify does, and does nothing with it.
func readAll(b *testing.B, f *gguf.File) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			buffer := make([]byte, 1<<20)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(f.Tensors) {
					return
				}
				r := f.TensorReader(&f.Tensors[i])
				if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, buffer); err != nil {
					b.Error(err)
				}
			}
		})
	}
	workers.Wait()
}
