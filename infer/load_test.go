package infer

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// hostile is a change to a valid model, and the code and text that must come of it.
type hostile struct {
	name, code string
	says       string // part of the error's text
	change     func(f *modelFile)
	options    Options
}

func refuse(t *testing.T, make func() *modelFile, cases []hostile) {
	t.Helper()
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			f := make()
			x.change(f)
			_, _, err := f.tryLoad(t, x.options)
			if fault.Code(err) != x.code {
				t.Fatalf("error %v, wanted code %s", err, x.code)
			}
			if text := err.Error(); !strings.Contains(text, x.says) || len(text) > 300 || strings.Contains(text, "\n") {
				t.Errorf("the error is %q, which should be one line of at most 300 characters with %q", text, x.says)
			}
		})
	}
}

func set(key string, value any) func(*modelFile) {
	return func(f *modelFile) {
		if !strings.HasPrefix(key, "wf.") && !strings.HasPrefix(key, "tokenizer.") && !strings.HasPrefix(key, "diffusion.") {
			key = f.key(key)
		}
		f.md.Set(key, value)
	}
}

func TestHyperParameters(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	bad := "MODEL_BAD_PARAM"
	refuse(t, func() *modelFile { return tinyModel(names.Llama, 4) }, []hostile{
		{name: "R37 block_count 0", code: bad, says: "1 to 512", change: set(names.BlockCount, uint32(0))},
		{name: "R37 block_count 513", code: bad, says: "1 to 512", change: set(names.BlockCount, uint32(513))},
		{name: "R37 block_count 2^32-1", code: bad, says: "4294967295", change: set(names.BlockCount, uint32(math.MaxUint32))},
		{name: "R37 block_count above the tensors", code: "MODEL_TENSOR_MISSING", says: "blk.2.", change: set(names.BlockCount, uint32(512))},
		{name: "R38 head_count 0", code: bad, says: "head_count", change: set(names.HeadCount, uint32(0))},
		{name: "R38 head_count_kv 0", code: bad, says: "head_count_kv", change: set(names.HeadCountKV, uint32(0))},
		{name: "R38 more KV heads than heads", code: bad, says: "multiple", change: set(names.HeadCountKV, uint32(8))},
		{name: "R38 KV heads do not divide", code: bad, says: "multiple", change: set(names.HeadCountKV, uint32(3))},
		{name: "R38 no head size", code: bad, says: "key_length", change: func(f *modelFile) {
			f.md.Delete(f.key(names.KeyLength))
			f.md.Set(f.key(names.HeadCount), uint32(6))
		}},
		{name: "R38 odd heads", code: bad, says: "even", change: func(f *modelFile) {
			for _, key := range []string{names.KeyLength, names.ValueLength, names.RopeDimensions} {
				f.md.Set(f.key(key), uint32(15))
			}
		}},
		{name: "R38 keys unlike values", code: bad, says: "same", change: set(names.ValueLength, uint32(8))},
		{name: "R39 embedding 0", code: "MODEL_SHAPE_MISMATCH", says: "embedding_length 0", change: set(names.EmbeddingLength, uint32(0))},
		{name: "R39 embedding unlike token_embd", code: "MODEL_SHAPE_MISMATCH", says: "embedding_length 65", change: set(names.EmbeddingLength, uint32(65))},
		{name: "R39 no architecture", code: "MODEL_UNKNOWN_ARCH", change: func(f *modelFile) { f.md.Delete(names.Architecture) }},
		{name: "R39 unknown architecture", code: "MODEL_UNKNOWN_ARCH", says: `"mamba\x1b[2J"`, change: func(f *modelFile) { f.md.Set(names.Architecture, "mamba\x1b[2J") }},
		{name: "R41 u32 as string", code: "MODEL_BAD_PARAM_TYPE", says: "block_count", change: set(names.BlockCount, "2")},
		{name: "R41 u32 as i32", code: "MODEL_BAD_PARAM_TYPE", says: "head_count", change: set(names.HeadCount, int32(4))},
		{name: "R41 f32 as u32", code: "MODEL_BAD_PARAM_TYPE", says: "epsilon", change: set(names.RMSEpsilon, uint32(1))},
		{name: "R41 string as bool", code: "MODEL_BAD_PARAM_TYPE", says: "hidden_activation", change: set(names.HiddenActivation, true)},
		{name: "R41 required key absent", code: bad, says: "missing", change: func(f *modelFile) { f.md.Delete(f.key(names.ContextLength)) }},
		{name: "R42 epsilon 0", code: bad, says: "epsilon", change: set(names.RMSEpsilon, float32(0))},
		{name: "R42 epsilon negative", code: bad, says: "epsilon", change: set(names.RMSEpsilon, float32(-1e-5))},
		{name: "R42 epsilon NaN", code: bad, says: "epsilon", change: set(names.RMSEpsilon, nan)},
		{name: "R42 epsilon infinite", code: bad, says: "epsilon", change: set(names.RMSEpsilon, inf)},
		{name: "R42 sub-norm epsilon NaN", code: bad, says: "wf.subln.eps", change: set(names.SubLNEps, nan)},
		{name: "R42 rope base 0", code: bad, says: "freq_base", change: set(names.RopeFreqBase, float32(0))},
		{name: "R42 rope base NaN", code: bad, says: "freq_base", change: set(names.RopeFreqBase, nan)},
		{name: "R42 rope base infinite", code: bad, says: "freq_base", change: set(names.RopeFreqBase, inf)},
		{name: "rope factor 0", code: bad, says: "factor", change: func(f *modelFile) {
			f.md.Set(f.key(names.RopeScalingType), "linear")
			f.md.Set(f.key(names.RopeFactor), float32(0))
		}},
		{name: "rope longrope", code: "MODEL_UNSUPPORTED_ROPE", says: "llama.rope.scaling.type", change: set(names.RopeScalingType, "longrope")},
		{name: "rope yarn beta 0", code: bad, says: "beta_fast", change: func(f *modelFile) {
			f.md.Set(f.key(names.RopeScalingType), "yarn")
			f.md.Set(f.key(names.RopeBetaFast), float32(0))
		}},
		{name: "rope yarn over one frequency", code: bad, says: "freq_base", change: func(f *modelFile) {
			f.md.Set(f.key(names.RopeScalingType), "yarn")
			f.md.Set(f.key(names.RopeFreqBase), float32(1))
		}},
		{name: "rope partial", code: "MODEL_UNSUPPORTED_ROPE", says: "dimension_count", change: set(names.RopeDimensions, uint32(8))},
		{name: "activation unknown", code: "MODEL_UNSUPPORTED_ACTIVATION", says: `"gelu"`, change: set(names.HiddenActivation, "gelu")},
		{name: "linear activation unknown", code: bad, says: `"int4"`, change: set(names.LinearActivation, "int4")},
		{name: "I2_S layout unknown", code: bad, says: "layout", change: set(names.I2SLayout, uint32(4))},
	})
}

func TestDiffusionKeys(t *testing.T) {
	bad, mask := "MODEL_BAD_PARAM", "MODEL_BAD_MASK_TOKEN"
	typed := func(kind int32) func(*modelFile) {
		return func(f *modelFile) {
			types := slices.Repeat([]int32{names.TokenNormal}, tinyVocab)
			types[tinyVocab-1] = kind
			f.md.Set(names.TokenType, types)
		}
	}
	refuse(t, diffusionModel, []hostile{
		{name: "R46 mask id is the vocabulary's size", code: mask, says: "40", change: set(names.MaskToken, uint32(tinyVocab))},
		{name: "R46 mask id 2^32-1", code: mask, says: "4294967295", change: set(names.MaskToken, uint32(math.MaxUint32))},
		{name: "R46 mask is a normal token", code: mask, says: "type 1", change: typed(names.TokenNormal)},
		{name: "R46 mask is the unknown token", code: mask, says: "type 2", change: typed(names.TokenUnknown)},
		{name: "R46 mask is a byte", code: mask, says: "type 6", change: typed(names.TokenByte)},
		{name: "R46 no mask id beside a diffusion key", code: mask, says: "wf.diffusion.", change: func(f *modelFile) { f.md.Delete(names.MaskToken) }},
		{name: "R46 mask id as i32", code: "MODEL_BAD_PARAM_TYPE", says: "mask", change: set(names.MaskToken, int32(3))},
		{name: "R47 block 0", code: bad, says: "block_size is 0", change: set(names.BlockSize, uint32(0))},
		{name: "R47 block larger than the context", code: bad, says: "block_size is 257", change: set(names.BlockSize, uint32(257))},
		{name: "R47 block 2^31", code: bad, says: "2147483648", change: set(names.BlockSize, uint32(1<<31))},
		{name: "R47 sub-block 0", code: bad, says: "sub_block_size is 0", change: set(names.SubBlockSize, uint32(0))},
		{name: "R47 sub-block does not divide", code: bad, says: "divide", change: set(names.SubBlockSize, uint32(3))},
		{name: "R47 sub-block larger than the block", code: bad, says: "divide", change: set(names.SubBlockSize, uint32(16))},
		{name: "R47 threshold above 1", code: bad, says: "threshold", change: set(names.Threshold, float32(1.5))},
		{name: "R47 threshold NaN", code: bad, says: "threshold", change: set(names.Threshold, float32(math.NaN()))},
		{name: "mode unknown", code: bad, says: "fast", change: set(names.Mode, "fast")},
		{name: "dialect unknown", code: bad, says: "dream", change: set(names.Dialect, "dream")},
		{name: "unshifted logits in fast-dllm-v2", code: bad, says: "shift_logits", change: set(names.ShiftLogits, false)},
		{name: "--block-size larger than the context", code: bad, says: "512", change: func(*modelFile) {}, options: Options{BlockSize: 512}},
		{name: "--mask-token-id past the vocabulary", code: mask, says: "99", change: func(*modelFile) {}, options: Options{MaskToken: new(int32(99))}},
	})

	load := func(t *testing.T, change func(*modelFile), o Options) (*DiffusionConfig, []string) {
		f := diffusionModel()
		change(f)
		m, warnings, err := f.tryLoad(t, o)
		if err != nil {
			t.Fatal(err)
		}
		return m.Config().Diffusion, warnings
	}
	t.Run("as stated", func(t *testing.T) {
		d, warnings := load(t, func(f *modelFile) {
			f.md.Set(names.Threshold, float32(0.8))
			f.md.Set(names.Mode, names.ModeAdaptive)
		}, Options{})
		if d.Dialect != names.DialectFastDLLM || d.MaskToken != tinyVocab-1 || !d.ShiftLogits || d.BlockSize != 8 || d.SubBlockSize != 4 ||
			*d.Threshold != 0.8 || d.Mode != names.ModeAdaptive || len(warnings) != 0 {
			t.Errorf("%+v, warnings %q", d, warnings)
		}
	})
	t.Run("defaults", func(t *testing.T) {
		d, _ := load(t, func(f *modelFile) {
			for _, key := range []string{names.Dialect, names.BlockSize, names.SubBlockSize} {
				f.md.Delete(key)
			}
		}, Options{})
		if d.Dialect != names.DialectWrinkleFree || !d.ShiftLogits || d.BlockSize != 32 || d.SubBlockSize != 8 || d.Threshold != nil || d.Mode != "" {
			t.Errorf("%+v", d)
		}
	})
	t.Run("options", func(t *testing.T) {
		d, warnings := load(t, func(f *modelFile) { f.md.Set(names.ShiftLogits, false) },
			Options{MaskToken: new(int32(7)), Dialect: names.DialectWrinkleFree, BlockSize: 16, SubBlockSize: 2})
		if d.MaskToken != 7 || d.Dialect != names.DialectWrinkleFree || d.ShiftLogits || d.BlockSize != 16 || d.SubBlockSize != 2 {
			t.Errorf("%+v", d)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], "7") || !strings.Contains(warnings[0], "39") {
			t.Errorf("warnings %q: one should name both mask tokens", warnings)
		}
	})
	t.Run("no mask", func(t *testing.T) {
		if d, _ := load(t, func(*modelFile) {}, Options{NoMask: true}); d != nil {
			t.Errorf("%+v, though the caller wants no mask", d)
		}
		if d := tinyModel(names.Llama, 4).load(t, Options{}).Config().Diffusion; d != nil {
			t.Errorf("%+v, though the file has no mask", d)
		}
	})
	t.Run("mask is a control token", func(t *testing.T) {
		if d, _ := load(t, typed(names.TokenControl), Options{}); d.MaskToken != tinyVocab-1 {
			t.Errorf("%+v", d)
		}
	})
}

func TestTensors(t *testing.T) {
	normName, query := names.Block(0, names.AttnNorm, "weight"), names.Block(1, names.AttnQ, "weight")
	encode := func(name string, typ gguf.Type) func(*modelFile) {
		return func(f *modelFile) { f.tensor(name).encode(typ) }
	}
	refuse(t, func() *modelFile { return tinyModel(names.BitNetB158, 1) }, []hostile{
		{name: "R43 tensor missing", code: "MODEL_TENSOR_MISSING", says: query, change: func(f *modelFile) { f.remove(query) }},
		{name: "R43 embedding missing", code: "MODEL_TENSOR_MISSING", says: "token_embd", change: func(f *modelFile) { f.remove(names.TokenEmbedding) }},
		{name: "R43 one sub-norm missing", code: "MODEL_TENSOR_MISSING", says: "blk.1.ffn_sub_norm", change: func(f *modelFile) { f.remove("blk.1.ffn_sub_norm.weight") }},
		{name: "R43 sub-norms in a later layer only", code: "MODEL_UNKNOWN_TENSOR", says: "sub_norm", change: func(f *modelFile) { f.remove("blk.0.attn_sub_norm.weight") }},
		{name: "R43 unknown tensor", code: "MODEL_UNKNOWN_TENSOR", says: "blk.0.attn_q_norm", change: func(f *modelFile) {
			f.add("blk.0.attn_q_norm.weight", make([]float32, tinyDim), tinyDim)
		}},
		{name: "R43 layer scale", code: "MODEL_UNKNOWN_TENSOR", says: "attn_q.scale", change: func(f *modelFile) { f.add("blk.0.attn_q.scale", []float32{2}, 1) }},
		{name: "R43 layer past block_count", code: "MODEL_UNKNOWN_TENSOR", says: "blk.1.", change: set(names.BlockCount, uint32(1))},
		{name: "R43 norm in Q8_0", code: "MODEL_TENSOR_TYPE", says: "Q8_0", change: encode(normName, gguf.Q8_0)},
		{name: "R43 transposed", code: "MODEL_SHAPE_MISMATCH", says: "[64 96]", change: func(f *modelFile) { slices.Reverse(f.tensor("blk.0.ffn_down.weight").dims) }},
		{name: "R43 norm of another length", code: "MODEL_SHAPE_MISMATCH", says: "[32 2]", change: func(f *modelFile) { f.tensor(normName).dims = []uint64{32, 2} }},
		{name: "R42 rope frequency divided by 0", code: "MODEL_BAD_PARAM", says: "divisor 1", change: func(f *modelFile) {
			f.add(names.RopeFreqs, []float32{1, 0, 1, 1, 1, 1, 1, 1}, tinyDim/2)
		}},
		{name: "embedding in a ternary type", code: "MODEL_TENSOR_TYPE", says: "I2_S", change: func(f *modelFile) {
			f.tensor(names.TokenEmbedding).values = slices.Repeat([]float32{0, 1}, tinyVocab*tinyHidden/2)
			f.tensor(names.TokenEmbedding).encode(gguf.I2_S)
		}},
	})
	refuse(t, func() *modelFile { return tinyModel(names.Qwen2, 5) }, []hostile{
		{name: "R43 qwen2 without a bias", code: "MODEL_TENSOR_MISSING", says: "attn_k.bias", change: func(f *modelFile) { f.remove("blk.1.attn_k.bias") }},
		{name: "R43 qwen2 with sub-norms", code: "MODEL_UNKNOWN_TENSOR", says: "attn_sub_norm", change: func(f *modelFile) {
			for i := range tinyLayers {
				f.add(names.Block(i, names.AttnSubNorm, "weight"), make([]float32, tinyHidden), tinyHidden)
			}
		}},
	})
	for _, typ := range []gguf.Type{gguf.F16, gguf.BF16} {
		t.Run("R43 norm in "+typ.String()+" is read", func(t *testing.T) {
			f := tinyModel(names.BitNetB158, 1)
			f.tensor(normName).encode(typ)
			if diff := relative(logits(t, f.load(t, Options{}), someIDs(9, 1), Mask{}), newReference(f, Mask{}).logits(someIDs(9, 1))); !(diff <= 1e-4) {
				t.Errorf("relative difference %g", diff)
			}
		})
	}
}

func TestWeights(t *testing.T) {
	const name = "blk.1.ffn_up.weight"
	packed := func() *modelFile {
		f := tinyModel(names.BitNetB158, 1)
		f.projections(func(x *modelTensor) { x.encode(gguf.I2_S) })
		return f
	}
	scale := func(s float32) func(*modelFile) {
		return func(f *modelFile) {
			x := f.tensor(name)
			binary.LittleEndian.PutUint32(x.data[len(x.data)-32:], math.Float32bits(s))
		}
	}
	put := func(tensor string, index int, v float32) func(*modelFile) {
		return func(f *modelFile) {
			x := f.tensor(tensor)
			x.values[index] = v
			x.encode(gguf.F32)
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	refuse(t, packed, []hostile{
		// Byte 32*5+7 is weights 5*128+7, +39, +71, +103; its lowest code is weight 743, in row 11 of 64 columns.
		{name: "R49 code 3", code: "TENSOR_BAD_TERNARY_CODE", says: `"blk.1.ffn_up.weight": row 11 holds code 3, which is no weight (1 in all)`,
			change: func(f *modelFile) { f.tensor(name).data[32*5+7] = 0b01_01_01_11 }},
		{name: "R49 many codes 3", code: "TENSOR_BAD_TERNARY_CODE", says: "row 2 holds code 3, which is no weight (128 in all)",
			change: func(f *modelFile) { copy(f.tensor(name).data[32:], slices.Repeat([]byte{0xff}, 32)) }},
		{name: "R50 scale NaN", code: "TENSOR_BAD_SCALE", says: "NaN", change: scale(nan)},
		{name: "R50 scale infinite", code: "TENSOR_BAD_SCALE", says: "Inf", change: scale(-inf)},
		{name: "R50 scale 0", code: "TENSOR_BAD_SCALE", says: name, change: scale(0)},
		{name: "R50 scale negative", code: "TENSOR_BAD_SCALE", says: "-1", change: scale(-1)},
		{name: "R50 scale denormal", code: "TENSOR_BAD_SCALE", says: "1e-40", change: scale(1e-40)},
		{name: "R51 NaN in the embedding", code: "TENSOR_NOT_FINITE", says: `"token_embd.weight": weight 1234`, change: put(names.TokenEmbedding, 1234, nan)},
		{name: "R51 infinity in the embedding", code: "TENSOR_NOT_FINITE", says: "weight 0 ", change: put(names.TokenEmbedding, 0, inf)},
		{name: "R51 NaN in a norm", code: "TENSOR_NOT_FINITE", says: `"output_norm.weight": weight 63`, change: put(names.OutputNorm, 63, nan)},
		{name: "R51 NaN in a projection", code: "TENSOR_NOT_FINITE", says: "weight 100 ", change: put(name, 100, nan)},
		{name: "R51 first of several in F16", code: "TENSOR_NOT_FINITE", says: "weight 77 ", change: func(f *modelFile) {
			x := f.tensor(names.TokenEmbedding)
			x.encode(gguf.F16)
			binary.LittleEndian.PutUint16(x.data[2*77:], 0x7c00)
			binary.LittleEndian.PutUint16(x.data[2*78:], 0x7e01)
		}},
		{name: "R51 NaN in the scale of Q8_0", code: "TENSOR_NOT_FINITE", says: "weight 96 ", change: func(f *modelFile) {
			x := f.tensor(names.TokenEmbedding)
			x.encode(gguf.Q8_0)
			binary.LittleEndian.PutUint16(x.data[34*3:], 0xfe00)
		}},
	})
	t.Run("R50 scale missing", func(t *testing.T) {
		data := packed().bytes(t)
		if _, err := gguf.Parse(data[:len(data)-64]); fault.Code(err) != "GGUF_TENSOR_PAST_EOF" {
			t.Errorf("error %v", err)
		}
	})

	suspects := map[string]func(*modelTensor){
		"zeros in I2_S":     func(x *modelTensor) { copy(x.data, slices.Repeat([]byte{0x55}, len(x.data)-32)) },
		"constant in I2_S":  func(x *modelTensor) { copy(x.data, slices.Repeat([]byte{0xaa}, len(x.data)-32)) },
		"zeros in F32":      func(x *modelTensor) { clear(x.values); x.encode(gguf.F32) },
		"zeros in Q8_0":     func(x *modelTensor) { clear(x.values); x.encode(gguf.Q8_0) },
		"constant in dense": func(x *modelTensor) { x.values = slices.Repeat([]float32{0.3}, len(x.values)); x.encode(gguf.BF16) },
	}
	for what, change := range suspects {
		t.Run("R52 "+what, func(t *testing.T) {
			f := packed()
			change(f.tensor(name))
			_, warnings, err := f.tryLoad(t, Options{})
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], name) || !strings.Contains(warnings[0], "TENSOR_SUSPICIOUS") {
				t.Errorf("error %v, warnings %q: there should be one, for %s", err, warnings, name)
			}
			if _, _, err = f.tryLoad(t, Options{Strict: true}); fault.Code(err) != "TENSOR_SUSPICIOUS" {
				t.Errorf("strictly: error %v", err)
			}
			f.md.Set(names.AllowedSuspicious, []string{name})
			if _, warnings, err = f.tryLoad(t, Options{Strict: true}); err != nil || len(warnings) != 1 {
				t.Errorf("strictly, but allowed: error %v, warnings %q", err, warnings)
			}
		})
	}

	t.Run("R53 rows too long for int32 sums", func(t *testing.T) {
		f := packed()
		const long = 1 << 23 // times 2*128 is 2^31
		f.md.Set(f.key(names.BlockCount), uint32(1))
		f.md.Set(f.key(names.EmbeddingLength), uint32(2))
		f.md.Set(f.key(names.HeadCount), uint32(1))
		f.md.Set(f.key(names.HeadCountKV), uint32(1))
		for _, key := range []string{names.KeyLength, names.ValueLength, names.RopeDimensions} {
			f.md.Set(f.key(key), uint32(2))
		}
		f.md.Set(f.key(names.FeedForward), uint32(long))
		f.tensors = nil
		f.add(names.TokenEmbedding, make([]float32, 4), 2, 2)
		f.add(names.OutputNorm, make([]float32, 2), 2)
		for _, part := range []string{names.AttnNorm, names.FFNNorm} {
			f.add(names.Block(0, part, "weight"), make([]float32, 2), 2)
		}
		for _, part := range []string{names.AttnQ, names.AttnK, names.AttnV, names.AttnOutput} {
			f.add(names.Block(0, part, "weight"), []float32{1, 0, 0, 1}, 2, 2)
		}
		codes := append(slices.Repeat([]byte{0x54}, long*2/4), 0, 0, 0x80, 0x3f)
		codes = append(codes, make([]byte, 28)...)
		for part, dims := range map[string][]uint64{names.FFNGate: {2, long}, names.FFNUp: {2, long}, names.FFNDown: {long, 2}} {
			f.tensors = append(f.tensors, &modelTensor{name: names.Block(0, part, "weight"), typ: gguf.I2_S, dims: dims, data: codes})
		}
		_, _, err := f.tryLoad(t, Options{})
		if fault.Code(err) != "TENSOR_ACCUMULATOR_BOUND" || !strings.Contains(err.Error(), "ffn_down") {
			t.Errorf("error %v", err)
		}
	})
}

// TestOtherTernaryTypes: rows of 256 hold TQ blocks.
func TestOtherTernaryTypes(t *testing.T) {
	wide := func() *modelFile {
		f := tinyModel(names.BitNetB158, 1)
		f.md.Set(f.key(names.FeedForward), uint32(256))
		for i := range tinyLayers {
			for _, part := range []string{names.FFNGate, names.FFNUp, names.FFNDown, names.FFNSubNorm} {
				x := f.tensor(names.Block(i, part, "weight"))
				n := len(x.values) / tinyFF * 256
				for len(x.values) < n {
					x.values = append(x.values, x.values[:min(n-len(x.values), len(x.values))]...)
				}
				for d := range x.dims {
					if x.dims[d] == tinyFF {
						x.dims[d] = 256
					}
				}
				x.encode(gguf.F32)
			}
		}
		return f
	}
	down, ids := names.Block(0, names.FFNDown, "weight"), someIDs(9, 1)
	for _, typ := range []gguf.Type{gguf.TQ1_0, gguf.TQ2_0} {
		t.Run(typ.String(), func(t *testing.T) {
			f := wide()
			x := f.tensor(down)
			clear(x.values[256:512]) // a block of zeros has a scale of its own, 0
			x.encode(typ)
			got := logits(t, f.load(t, Options{}), ids, Mask{})
			x.encode(gguf.F32)
			if !equal(got, logits(t, f.load(t, Options{}), ids, Mask{})) {
				t.Error("logits differ from those of the same weights in F32")
			}
		})
		t.Run(typ.String()+" with several scales", func(t *testing.T) {
			f := wide()
			x := f.tensor(down)
			x.encode(typ)
			at := len(x.data) - 2
			binary.LittleEndian.PutUint16(x.data[at:], binary.LittleEndian.Uint16(x.data[at:])+1)
			_, warnings, err := f.tryLoad(t, Options{})
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], down) {
				t.Errorf("error %v, warnings %q: one should say that %s is not ternary", err, warnings, down)
			}
		})
		t.Run("R50 scale NaN in "+typ.String(), func(t *testing.T) {
			f := wide()
			x := f.tensor(down)
			x.encode(typ)
			binary.LittleEndian.PutUint16(x.data[len(x.data)-2:], 0x7e00)
			if _, _, err := f.tryLoad(t, Options{}); fault.Code(err) != "TENSOR_BAD_SCALE" {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("R49 code 3 in TQ2_0", func(t *testing.T) {
		f := wide()
		x := f.tensor(down)
		x.encode(gguf.TQ2_0)
		x.data[66*5] |= 3
		if _, _, err := f.tryLoad(t, Options{}); fault.Code(err) != "TENSOR_BAD_TERNARY_CODE" || !strings.Contains(err.Error(), "row 5 ") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("Q6_K", func(t *testing.T) {
		f := wide()
		x := f.tensor(down)
		x.encode(gguf.Q6_K) // not ternary any more
		got := logits(t, f.load(t, Options{}), ids, Mask{})
		x.encode(gguf.F32)
		m, warnings, err := f.tryLoad(t, Options{})
		if err != nil || len(warnings) != 1 {
			t.Fatalf("error %v, warnings %q", err, warnings)
		}
		want := logits(t, m, ids, Mask{})
		for i, v := range want { // the product's int8 activations cost some thousandths
			if !(math.Abs(float64(got[i]-v)) <= 0.02*float64(slices.Max(want)-slices.Min(want))) {
				t.Fatalf("logit %d is %g, and %g with the decoded weights", i, got[i], v)
			}
		}
	})
}

// TestI2SLayouts reads codes in every layout that a program wrote under I2_S's number (FORMATS.md 2.7).
func TestI2SLayouts(t *testing.T) {
	f, ids := tinyModel(names.BitNetB158, 1), someIDs(9, 1)
	f.projections(func(x *modelTensor) { x.encode(gguf.I2_S) })
	want := logits(t, f.load(t, Options{}), ids, Mask{})
	lay := func(place func(i, cols int) (at, shift int)) func(x *modelTensor) {
		return func(x *modelTensor) {
			trits, _ := x.trits()
			clear(x.data[:len(trits)/4])
			for i, v := range trits {
				at, shift := place(i, int(x.dims[0]))
				x.data[at] |= byte(v+1) << shift
			}
		}
	}
	for name, place := range map[string]func(i, cols int) (at, shift int){
		"64":      func(i, _ int) (int, int) { return i/64*16 + i%16, 6 - i%64/16*2 },
		"rows4":   func(i, cols int) (int, int) { return i/cols/4*cols + i%cols, 6 - i/cols%4*2 },
		"seq-msb": func(i, _ int) (int, int) { return i / 4, 6 - i%4*2 },
		"seq-lsb": func(i, _ int) (int, int) { return i / 4, i % 4 * 2 },
	} {
		f := tinyModel(names.BitNetB158, 1)
		f.projections(func(x *modelTensor) { x.encode(gguf.I2_S) })
		f.projections(lay(place))
		if !equal(want, logits(t, f.load(t, Options{I2SLayout: name}), ids, Mask{})) {
			t.Errorf("--i2s-layout %s: logits differ from those of the same weights in layout 128", name)
		}
		if name == "64" {
			f.md.Set(names.I2SLayout, uint32(64))
			if !equal(want, logits(t, f.load(t, Options{}), ids, Mask{})) {
				t.Error("the file's own layout key: logits differ")
			}
		}
	}
}

func TestActivation(t *testing.T) {
	f := tinyModel(names.BitNetB158, 1)
	f.md.Delete(f.key(names.HiddenActivation))
	m, warnings, err := f.tryLoad(t, Options{})
	if err != nil || m.Config().Activation != names.ReLU2 || len(warnings) != 1 || !strings.Contains(warnings[0], "--hidden-activation") {
		t.Errorf("error %v, warnings %q: a bitnet file that states none is relu2, with a warning", err, warnings)
	}
	m, warnings, err = f.tryLoad(t, Options{HiddenActivation: names.SiLU})
	if err != nil || m.Config().Activation != names.SiLU || len(warnings) != 0 {
		t.Errorf("error %v, warnings %q: the option decides", err, warnings)
	}
	f = tinyModel(names.Llama, 1)
	f.md.Delete(f.key(names.HiddenActivation))
	m, warnings, err = f.tryLoad(t, Options{})
	if err != nil || m.Config().Activation != names.SiLU || len(warnings) != 0 {
		t.Errorf("error %v, warnings %q: a llama is silu, and no news", err, warnings)
	}
}

func TestNotTernaryRunsDense(t *testing.T) {
	f, ids := tinyModel(names.BitNetB158, 1), someIDs(9, 1)
	f.md.Delete(names.LinearActivation) // int8 by architecture
	f.projections(func(x *modelTensor) { x.values[17] = 99; x.encode(gguf.F32) })
	m, warnings, err := f.tryLoad(t, Options{})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "14 projections") || !strings.Contains(warnings[0], "blk.0.attn_q.weight") {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	got := logits(t, m, ids, Mask{})
	f.md.Set(names.LinearActivation, names.ActivationNone)
	if !equal(got, logits(t, f.load(t, Options{}), ids, Mask{})) {
		t.Error("logits differ from those of a file that asks for dense products")
	}
}

func TestMemoryEstimate(t *testing.T) {
	f := tinyModel(names.Llama, 4)
	f.md.Set(f.key(names.ContextLength), uint32(math.MaxUint32))
	m := f.load(t, Options{})
	t.Run("R40 huge context loads", func(t *testing.T) {
		if m.Config().Context != math.MaxUint32 {
			t.Errorf("context %d", m.Config().Context)
		}
		newCache(t, m, 4096)
	})
	t.Run("R40 cache larger than the machine", func(t *testing.T) {
		for _, capacity := range []int{math.MaxUint32, math.MaxInt} {
			_, err := m.NewCache(capacity)
			if fault.Code(err) != "MEMORY_ESTIMATE" || !strings.Contains(err.Error(), "available") {
				t.Errorf("%d positions: error %v", capacity, err)
			}
		}
	})
	if n := availableMemory(); n < 16<<20 || n > 1<<50 {
		t.Errorf("%d bytes are said to be available", n)
	}
}

func TestOptions(t *testing.T) {
	o := Options{Threads: -1, CacheType: gguf.Q8_0, I2SLayout: "7", HiddenActivation: "gelu", Dialect: "dream", BlockSize: -1, NoMask: true, MaskToken: new(int32(1))}
	err := o.Validate()
	for _, flag := range []string{"threads", "cache-type", "i2s-layout", "hidden-activation", "dialect", "block-size", "mask-token-id"} {
		if !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("the problems do not name --%s:\n%v", flag, err)
		}
	}
	if fault.Code(err) != "BAD_OPTION" {
		t.Errorf("code %q", fault.Code(err))
	}
	o = Options{}
	if err := o.Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestFileChanged(t *testing.T) {
	write := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "m.gguf")
		f := tinyModel(names.BitNetB158, 1)
		f.projections(func(x *modelTensor) { x.encode(gguf.I2_S) })
		if err := os.WriteFile(path, f.bytes(t), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("R35 truncated while loading", func(t *testing.T) {
		path := write(t)
		f, err := gguf.Map(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Truncate(path, 4096); err != nil {
			t.Skip("this system protects a mapped file:", err)
		}
		if _, err := LoadFile(f, Options{}); fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("R35 truncated while running", func(t *testing.T) {
		path := write(t)
		m, err := Load(path, Options{Threads: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		s := &Segment{Cache: newCache(t, m, 8), IDs: []int32{1, 2, 3, 39}, Logits: []int{3}}
		forward(t, m, s)
		if err := os.Truncate(path, 4096); err != nil {
			t.Skip("this system protects a mapped file:", err)
		}
		for range 2 { // the second pass must not hang on the first one's remains
			if err := m.Forward([]*Segment{s}); fault.Code(err) != "FILE_CHANGED" {
				t.Errorf("error %v", err)
			}
		}
	})
	t.Run("R32 bytes behind the last tensor", func(t *testing.T) {
		file, err := gguf.Parse(append(tinyModel(names.Llama, 4).bytes(t), "PK\x03\x04"...))
		if err != nil {
			t.Fatal(err)
		}
		warned := ""
		m, err := LoadFile(file, Options{Warn: func(w string) { warned += w }})
		if err != nil || !strings.Contains(warned, "4 bytes") {
			t.Fatalf("error %v, warning %q", err, warned)
		}
		m.Close()
	})
}

// FuzzLoad: whatever the bytes, loading and one pass end in an error or a result.
func FuzzLoad(f *testing.F) {
	for _, arch := range []string{names.BitNetB158, names.Qwen2} { // small: the fuzzer is quadratic in a seed's length
		seed := tinyModel(arch, 1)
		seed.projections(func(x *modelTensor) { x.encode(gguf.I2_S) })
		seed.tensor(names.TokenEmbedding).encode(gguf.Q8_0)
		seed.md.Set(seed.key(names.BlockCount), uint32(1))
		seed.tensors = slices.DeleteFunc(seed.tensors, func(x *modelTensor) bool { return strings.HasPrefix(x.name, "blk.1.") })
		seed.md.Set(names.MaskToken, uint32(3))
		f.Add(seed.bytes(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		m, err := LoadFile(file, Options{Threads: 1})
		if err != nil {
			if fault.Code(err) == "" || len(err.Error()) > 300 {
				t.Errorf("error %q, code %q", err, fault.Code(err))
			}
			return
		}
		defer m.Close()
		c, err := m.NewCache(4)
		if err != nil {
			return
		}
		s := &Segment{Cache: c, IDs: []int32{0}, Logits: []int{0}}
		if err := m.Forward([]*Segment{s}); err != nil {
			t.Error(err)
		}
	})
}
