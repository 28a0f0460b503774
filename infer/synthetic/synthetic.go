// Package synthetic makes models of published shapes with random weights: to measure with, where the real ones are too large to carry.
//
// Speed depends on shapes and types alone, so a random model times like the real one; its text is noise. A shape comes in three forms:
//
//	Shape.File        a GGUF file that has been decided: quant.File writes it
//	InMemory          the same file as bytes in memory, ready to run
//	Shape.Checkpoint  what a training run leaves: config.json, tokenizer.json and bfloat16 weights
//
// Nothing holds all weights at once but InMemory. The same shape and types give the same bytes.
package synthetic

import (
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
)

// Shape is what decides a model's speed.
type Shape struct {
	Name         string
	Architecture string // of the GGUF file
	Class        string // architectures[0] of the checkpoint
	Layers       int
	Hidden       int
	FeedForward  int
	Heads        int
	KVHeads      int
	HeadDim      int
	Vocab        int
	Context      int
	RopeTheta    float32
	Activation   string
	SubNorms     bool      // norms on the inputs of o_proj and down_proj
	Biases       bool      // on q, k and v
	Untied       bool      // a head of its own
	Type         gguf.Type // in which the projections are usually run
}

// Shapes are those of models that wf converts. The 2B model's architecture is "bitnet" with hidden_activation relu2, which wf and llama.cpp both
// read; wf convert writes "bitnet-b1.58", which is the same network.
var Shapes = []Shape{
	{Name: "bitnet-2b", Architecture: names.BitNet, Class: "BitNetForCausalLM", Layers: 30, Hidden: 2560, FeedForward: 6912, Heads: 20, KVHeads: 5,
		HeadDim: 128, Vocab: 128256, Context: 4096, RopeTheta: 500000, Activation: names.ReLU2, SubNorms: true, Type: gguf.I2_S}, // microsoft/bitnet-b1.58-2B-4T
	{Name: "smollm-135m", Architecture: names.BitNet, Class: "BitNetForCausalLM", Layers: 30, Hidden: 576, FeedForward: 1536, Heads: 9, KVHeads: 3,
		HeadDim: 64, Vocab: 49152, Context: 8192, RopeTheta: 100000, Activation: names.SiLU, SubNorms: true, Type: gguf.I2_S}, // HuggingFaceTB/SmolLM2-135M, made ternary
	{Name: "llama-8b", Architecture: names.Llama, Class: "BitNetForCausalLM", Layers: 32, Hidden: 4096, FeedForward: 14336, Heads: 32, KVHeads: 8,
		HeadDim: 128, Vocab: 128256, Context: 8192, RopeTheta: 500000, Activation: names.SiLU, Untied: true, Type: gguf.I2_S}, // HF1BitLLM/Llama3-8B-1.58-100B-tokens
	{Name: "fast-dllm-1.5b", Architecture: names.Qwen2, Class: "Fast_dLLM_QwenForCausalLM", Layers: 28, Hidden: 1536, FeedForward: 8960, Heads: 12, KVHeads: 2,
		HeadDim: 128, Vocab: 151936, Context: 32768, RopeTheta: 1000000, Activation: names.SiLU, Biases: true, Type: gguf.Q8_0}, // Efficient-Large-Model/Fast_dLLM_v2_1.5B
}

// Find returns the shape of a name.
func Find(name string) (Shape, bool) {
	for _, s := range Shapes {
		if s.Name == name {
			return s, true
		}
	}
	return Shape{}, false
}

// ternary reports whether the projections are, in whatever type they are stored.
func (s Shape) ternary() bool { return s.Architecture != names.Qwen2 }

// tensor is a weight by both its names. A vector has 0 rows.
type tensor struct {
	name, source string // in a GGUF file; in a checkpoint
	rows, cols   int
}

// dims are in ne order.
func (t tensor) dims() []uint64 {
	if t.rows == 0 {
		return []uint64{uint64(t.cols)}
	}
	return []uint64{uint64(t.cols), uint64(t.rows)}
}

// tensors lists all weights in the order of a forward pass.
func (s Shape) tensors() []tensor {
	attn, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	all := []tensor{{names.TokenEmbedding, "model.embed_tokens.weight", s.Vocab, s.Hidden}}
	for i := range s.Layers {
		prefix := sourceLayer(i)
		add := func(part, kind, source string, rows, cols int) {
			all = append(all, tensor{names.Block(i, part, kind), prefix + source + "." + kind, rows, cols})
		}
		add(names.AttnNorm, "weight", "input_layernorm", 0, s.Hidden)
		for _, p := range []struct {
			part, source string
			rows         int
		}{{names.AttnQ, "self_attn.q_proj", attn}, {names.AttnK, "self_attn.k_proj", kv}, {names.AttnV, "self_attn.v_proj", kv}} {
			add(p.part, "weight", p.source, p.rows, s.Hidden)
			if s.Biases {
				add(p.part, "bias", p.source, 0, p.rows)
			}
		}
		if s.SubNorms {
			add(names.AttnSubNorm, "weight", "self_attn.attn_sub_norm", 0, attn)
		}
		add(names.AttnOutput, "weight", "self_attn.o_proj", s.Hidden, attn)
		add(names.FFNNorm, "weight", "post_attention_layernorm", 0, s.Hidden)
		add(names.FFNGate, "weight", "mlp.gate_proj", s.FeedForward, s.Hidden)
		add(names.FFNUp, "weight", "mlp.up_proj", s.FeedForward, s.Hidden)
		if s.SubNorms {
			add(names.FFNSubNorm, "weight", "mlp.ffn_sub_norm", 0, s.FeedForward)
		}
		add(names.FFNDown, "weight", "mlp.down_proj", s.Hidden, s.FeedForward)
	}
	all = append(all, tensor{names.OutputNorm, "model.norm.weight", 0, s.Hidden})
	if s.Untied {
		all = append(all, tensor{names.Output, "lm_head.weight", s.Vocab, s.Hidden})
	}
	return all
}
