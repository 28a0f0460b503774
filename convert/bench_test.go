package convert

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkConvert measures conversion beside a copy of the same bytes, and is what docs/performance/convert.py profiles. The checkpoint is the one in the
// folder WF_BENCH_CHECKPOINT, or else the BitNet-2B-4T shape with two layers, in bf16.
func BenchmarkConvert(b *testing.B) {
	var size int64
	path := os.Getenv("WF_BENCH_CHECKPOINT")
	if path == "" {
		path, size = synthetic(b, 2)
	} else if info, err := os.Stat(filepath.Join(path, "model.safetensors")); err != nil {
		b.Fatal(err)
	} else {
		size = info.Size()
	}
	out := filepath.Join(b.TempDir(), "out")
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(size)
		for range b.N {
			src, err := os.Open(filepath.Join(path, "model.safetensors"))
			if err != nil {
				b.Fatal(err)
			}
			dst, err := os.Create(out)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 1<<20)); err != nil {
				b.Fatal(err)
			}
			if err := dst.Sync(); err != nil { // as every conversion does
				b.Fatal(err)
			}
			src.Close()
			dst.Close()
		}
	})
	for _, typ := range []string{"f16", "i2_s", "bf16", "q8_0"} {
		b.Run(typ, func(b *testing.B) {
			b.SetBytes(size)
			for range b.N {
				if _, err := Run(context.Background(), Options{Path: path, Out: out, Type: typ, Force: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// synthetic writes a checkpoint of random bf16 master weights and returns its folder and the size of its weights.
func synthetic(b *testing.B, layers int) (path string, size int64) {
	m := newModel()
	for key, v := range map[string]any{"hidden_size": 2560, "intermediate_size": 6912, "num_hidden_layers": layers, "num_attention_heads": 20,
		"num_key_value_heads": 5, "head_dim": 128, "vocab_size": 32064, "hidden_act": "silu"} {
		m.config[key] = v
	}
	m.tensors = map[string]tensor{}
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 1<<16)
	for i := range x {
		x[i] = float32(rng.NormFloat64()) * 0.02
	}
	some := bf16(x).data
	add := func(name string, shape ...int) {
		n := 2
		for _, d := range shape {
			n *= d
		}
		size += int64(n)
		m.tensors[name] = tensor{"BF16", shape, bytes.Repeat(some, n/len(some)+1)[:n]}
	}
	add("model.embed_tokens.weight", 32064, 2560)
	add("model.norm.weight", 2560)
	for layer := range layers {
		l := fmt.Sprintf("model.layers.%d.", layer)
		add(l+"input_layernorm.weight", 2560)
		add(l+"post_attention_layernorm.weight", 2560)
		add(l+"self_attn.q_proj.weight", 2560, 2560)
		add(l+"self_attn.k_proj.weight", 640, 2560)
		add(l+"self_attn.v_proj.weight", 640, 2560)
		add(l+"self_attn.o_proj.weight", 2560, 2560)
		add(l+"mlp.gate_proj.weight", 6912, 2560)
		add(l+"mlp.up_proj.weight", 6912, 2560)
		add(l+"mlp.down_proj.weight", 2560, 6912)
	}
	return m.write(b), size
}
