package convert

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
)

// withSubLN gives every layer the two norms under any spelling; %d is the layer.
func withSubLN(m *model, attn, ffn string) {
	rng := rand.New(rand.NewPCG(3, 4))
	for layer := range 2 {
		m.add(rng, fmt.Sprintf(attn, layer), 128)
		m.add(rng, fmt.Sprintf(ffn, layer), 256)
	}
}

const (
	attnSubNorm = "model.layers.%d.self_attn.attn_sub_norm.weight"
	ffnSubNorm  = "model.layers.%d.mlp.ffn_sub_norm.weight"
)

// TestArchitecture is the table of FORMATS.md 6.4.
func TestArchitecture(t *testing.T) {
	for _, c := range []struct {
		class, act string
		subLN      bool
		arch, as   string
		order      Order
	}{
		{"LlamaForCausalLM", "silu", false, "llama", "", Interleaved},
		{"MistralForCausalLM", "silu", false, "llama", "", Interleaved},
		{"LlamaForCausalLM", "silu", true, "bitnet", "", AsIs},
		{"LlamaForCausalLM", "relu2", false, "bitnet-b1.58", "", AsIs},
		{"BitNetForCausalLM", "silu", false, "llama", "LlamaForCausalLM", Interleaved},
		{"BitnetForCausalLM", "silu", false, "llama", "LlamaForCausalLM", Interleaved},
		{"BitnetForCausalLM", "relu2", false, "bitnet-b1.58", "", AsIs},
		{"BitNetForCausalLM", "relu2", true, "bitnet-b1.58", "", AsIs},
		{"BitnetForCausalLM", "silu", true, "bitnet", "", AsIs},
		{"Qwen2ForCausalLM", "silu", false, "qwen2", "", AsIs},
		{"Fast_dLLM_QwenForCausalLM", "silu", false, "qwen2", "Qwen2ForCausalLM", AsIs},
	} {
		t.Run(fmt.Sprint(c.class, c.act, c.subLN), func(t *testing.T) {
			m := newModel()
			m.config["architectures"], m.config["hidden_act"] = []string{c.class}, c.act
			delete(m.config, "model_type")
			if c.subLN {
				withSubLN(m, attnSubNorm, ffnSubNorm)
			}
			if c.arch == "qwen2" {
				rng := rand.New(rand.NewPCG(1, 1))
				for layer := range 2 {
					m.add(rng, fmt.Sprintf("model.layers.%d.self_attn.q_proj.bias", layer), 128)
					m.add(rng, fmt.Sprintf("model.layers.%d.self_attn.k_proj.bias", layer), 64)
					m.add(rng, fmt.Sprintf("model.layers.%d.self_attn.v_proj.bias", layer), 64)
				}
			}
			p, err := m.plan(t, m.typed(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if a := p.Architecture; a.To != c.arch || a.As != c.as || a.From != c.class {
				t.Errorf("got %+v", a)
			}
			if needsReason := c.as != "" || strings.HasPrefix(c.arch, "bitnet"); needsReason != (p.Architecture.Reason != "") {
				t.Errorf("reason %q", p.Architecture.Reason)
			}
			if p.Architecture.Reason != "" && !slices.Contains(p.Notices, p.Architecture.String()) {
				t.Errorf("the reason is not among the notices %q", p.Notices)
			}
			if got := p.tensor(t, "blk.1.attn_q.weight"); got.Order != c.order {
				t.Errorf("q rows: order %d, want %d", got.Order, c.order)
			}
			if got := p.tensor(t, "blk.1.attn_v.weight"); got.Order != AsIs {
				t.Errorf("v rows moved: %d", got.Order)
			}
			if v, _ := p.Metadata.Get(names.SourceArch); v != c.class {
				t.Errorf("%s is %v", names.SourceArch, v)
			}
			if v, _ := p.Metadata.Get(names.Arch(c.arch, names.HiddenActivation)); v != c.act {
				t.Errorf("activation %v", v)
			}
		})
	}
	refuse := func(name, code string, change func(m *model), parts ...string) {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			change(m)
			_, err := m.plan(t, m.typed(), Options{})
			requireCode(t, err, code, parts...)
		})
	}
	refuse("unknown class", "MODEL_UNKNOWN_ARCH", func(m *model) { m.config["architectures"] = []string{"GPT2LMHeadModel"} }, `"GPT2LMHeadModel"`)
	refuse("qwen2 without biases", "MODEL_TENSOR_MISSING", func(m *model) { m.config["architectures"] = []string{"Qwen2ForCausalLM"} }, "blk.0.attn_q.bias")
	refuse("qwen2 with SubLN", "UNSUPPORTED_TENSOR", func(m *model) {
		m.config["architectures"] = []string{"Qwen2ForCausalLM"}
		withSubLN(m, attnSubNorm, ffnSubNorm)
	})
}

// tensor finds a tensor of a plan.
func (p *Plan) tensor(t testing.TB, name string) TensorPlan {
	t.Helper()
	for _, k := range p.Tensors {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("the plan has no %s", name)
	return TensorPlan{}
}

// TestSubLNSpellings: every spelling of FORMATS.md 5.4 becomes the two sub-norms, with the epsilon that it implies.
func TestSubLNSpellings(t *testing.T) {
	const l = "model.layers.%d."
	for _, c := range []struct {
		attn, ffn string
		rename    []string // of the linear layers
		eps       any
	}{
		{attnSubNorm, ffnSubNorm, nil, nil},
		{l + "self_attn.inner_attn_ln.weight", l + "mlp.ffn_layernorm.weight", nil, nil},
		{l + "self_attn.o_proj.0.weight", l + "mlp.down_proj.0.weight", []string{"o_proj.weight", "o_proj.1.weight", "down_proj.weight", "down_proj.1.weight"}, float32(1e-6)},
		{l + "self_attn.o_proj.norm.weight", l + "mlp.down_proj.norm.weight", []string{"o_proj.weight", "o_proj.linear.weight"}, nil},
		{l + "self_attn.o_proj.norm.weight", l + "mlp.down_proj.norm.weight", nil, nil},
		{l + "self_attn.o_proj.rms_norm.weight", l + "mlp.down_proj.rms_norm.weight", nil, float32(1e-6)},
	} {
		t.Run(c.attn, func(t *testing.T) {
			m := newModel()
			for i := 0; i < len(c.rename); i += 2 {
				m.rename(c.rename[i], c.rename[i+1])
			}
			withSubLN(m, c.attn, c.ffn)
			p, err := m.plan(t, m.typed(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Architecture.To != "bitnet" {
				t.Errorf("architecture %s", p.Architecture.To)
			}
			for layer := range 2 {
				if k := p.tensor(t, names.Block(layer, names.AttnSubNorm, "weight")); k.Source != fmt.Sprintf(c.attn, layer) || k.Rows != 128 || k.Type != gguf.F32 {
					t.Errorf("%+v", k)
				}
				if k := p.tensor(t, names.Block(layer, names.FFNSubNorm, "weight")); k.Source != fmt.Sprintf(c.ffn, layer) || k.Rows != 256 {
					t.Errorf("%+v", k)
				}
				if k := p.tensor(t, names.Block(layer, names.AttnOutput, "weight")); k.Rows != 128 || k.Cols != 128 {
					t.Errorf("%+v", k)
				}
			}
			if eps, _ := p.Metadata.Get(names.SubLNEps); eps != c.eps {
				t.Errorf("epsilon %v, want %v", eps, c.eps)
			}
		})
	}
	t.Run("all seven projections", func(t *testing.T) {
		m := newModel()
		rng := rand.New(rand.NewPCG(1, 1))
		want := map[string]uint64{}
		for module, in := range map[string]int{"self_attn.q_proj": 128, "self_attn.k_proj": 128, "self_attn.v_proj": 128, "self_attn.o_proj": 128,
			"mlp.gate_proj": 128, "mlp.up_proj": 128, "mlp.down_proj": 256} {
			m.rename(module+".weight", module+".1.weight")
			for layer := range 2 {
				m.add(rng, fmt.Sprintf("model.layers.%d.%s.0.weight", layer, module), in)
			}
		}
		for _, part := range []string{"attn_q_norm_in", "attn_k_norm_in", "attn_v_norm_in", "attn_sub_norm", "ffn_gate_norm_in", "ffn_up_norm_in"} {
			want["blk.1."+part+".weight"] = 128
		}
		want["blk.1.ffn_sub_norm.weight"] = 256
		p, err := m.plan(t, m.typed(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range want {
			if k := p.tensor(t, name); k.Rows != n || k.Type != gguf.F32 || !slices.Equal(k.Dims, []uint64{n}) {
				t.Errorf("%+v", k)
			}
		}
		if len(p.Tensors) != 2+2*16 {
			t.Errorf("%d tensors", len(p.Tensors))
		}
	})
	t.Run("epsilon order", func(t *testing.T) {
		m := newModel()
		withSubLN(m, "model.layers.%d.self_attn.o_proj.rms_norm.weight", "model.layers.%d.mlp.down_proj.rms_norm.weight")
		m.config["quantization_config"] = map[string]any{"quant_method": "bitnet", "quantization_mode": "online", "rms_norm_eps": 1e-3}
		check := func(o Options, want any) {
			t.Helper()
			p, err := m.plan(t, m.typed(), o)
			if err != nil {
				t.Fatal(err)
			}
			if eps, _ := p.Metadata.Get(names.SubLNEps); eps != want {
				t.Errorf("epsilon %v, want %v", eps, want)
			}
		}
		check(Options{}, float32(1e-3))
		m.config["subln_eps"] = 1e-4
		check(Options{}, float32(1e-4))
		eps := float32(1e-5)
		check(Options{SubLNEps: &eps}, nil) // the model's own: not written
	})
	t.Run("two epsilons", func(t *testing.T) {
		m := newModel()
		withSubLN(m, "model.layers.%d.self_attn.o_proj.rms_norm.weight", ffnSubNorm)
		_, err := m.plan(t, m.typed(), Options{})
		requireCode(t, err, "CONFIG_CONFLICT", "--subln-eps")
	})
	t.Run("in one layer only", func(t *testing.T) {
		m := newModel()
		withSubLN(m, attnSubNorm, ffnSubNorm)
		delete(m.tensors, "model.layers.1.mlp.ffn_sub_norm.weight")
		_, err := m.plan(t, m.typed(), Options{})
		requireCode(t, err, "MODEL_TENSOR_MISSING", "blk.1.ffn_sub_norm.weight")
	})
}

// meta renames a model as Meta's and microsoft's .pth files do, and fuses what they fuse.
func meta(m *model, fused bool) {
	for _, r := range [][2]string{
		{"model.embed_tokens", "tok_embeddings"}, {"model.norm", "norm"}, {"input_layernorm", "attention_norm"}, {"post_attention_layernorm", "ffn_norm"},
		{"self_attn.o_proj", "attention.wo"}, {"mlp.down_proj", "feed_forward.w2"}, {"self_attn.q_proj", "attention.wq"},
		{"self_attn.k_proj", "attention.wk"}, {"self_attn.v_proj", "attention.wv"}, {"mlp.gate_proj", "feed_forward.w1"},
		{"mlp.up_proj", "feed_forward.w3"}, {"model.layers", "layers"},
	} {
		m.rename(r[0], r[1])
	}
	if !fused {
		return
	}
	for layer := range 2 {
		fuse := func(to string, parts ...string) {
			var data []byte
			rows := 0
			for _, part := range parts {
				name := fmt.Sprintf("layers.%d.%s.weight", layer, part)
				data, rows = append(data, m.tensors[name].data...), rows+m.tensors[name].shape[0]
				delete(m.tensors, name)
			}
			m.tensors[fmt.Sprintf("layers.%d.%s.weight", layer, to)] = tensor{"F32", []int{rows, 128}, data}
		}
		fuse("attention.wqkv", "attention.wq", "attention.wk", "attention.wv")
		fuse("feed_forward.w13", "feed_forward.w1", "feed_forward.w3")
	}
}

// TestMetaNames: the row order of Meta's files is llama's already.
func TestMetaNames(t *testing.T) {
	for _, fused := range []bool{false, true} {
		m := newModel()
		original := map[string]tensor{}
		for name, k := range m.tensors {
			original[name] = k
		}
		meta(m, fused)
		dir := m.write(t)
		out := convertDir(t, dir, Options{Type: "f32"})
		if out.value(names.Architecture) != "llama" {
			t.Fatal(out.value(names.Architecture))
		}
		for gguf, hf := range map[string]string{"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
			"attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"} {
			want := ternarised(original["model.layers.1."+hf+".weight"].floats()) // each part of a fused tensor with its own scale
			if got := out.floats(t, "blk.1."+gguf+".weight"); !slices.Equal(got, want) {
				t.Errorf("fused %v: %s differs", fused, gguf)
			}
		}
		// An architecture that rotates halves needs the inverse order.
		m.config["hidden_act"] = "relu2"
		out = convertDir(t, m.write(t), Options{Type: "f32"})
		if out.value(names.Architecture) != "bitnet-b1.58" {
			t.Fatal(out.value(names.Architecture))
		}
		got := interleaved(out.floats(t, "blk.0.attn_q.weight"), 4, 32, 128)
		if !slices.Equal(got, ternarised(original["model.layers.0.self_attn.q_proj.weight"].floats())) {
			t.Errorf("fused %v: q rows are not put into halves", fused)
		}
	}
	t.Run("packed for a kernel", func(t *testing.T) {
		m := newModel()
		meta(m, true)
		m.tensors["layers.0.attention.wqkv.weight"] = tensor{"U8", []int{64, 128}, make([]byte, 64*128)}
		_, err := m.plan(t, m.typed(), Options{})
		requireCode(t, err, "UNSUPPORTED_TENSOR", "wqkv")
	})
}

// TestRegroup is the worked example of FORMATS.md 6.3: head size 8, two heads.
func TestRegroup(t *testing.T) {
	source := []int8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	want := []int8{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}
	plan := &TensorPlan{Order: Interleaved, Head: 8}
	var a, b []int8
	got := regroup(plan, 16, &a, source)
	if !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
	plan.Order = Deinterleave
	if back := regroup(plan, 16, &b, got); !slices.Equal(back, source) {
		t.Errorf("back: %d", back)
	}
}

// TestRopeFrequencies is the worked example of FORMATS.md 6.6.
func TestRopeFrequencies(t *testing.T) {
	r := Rope{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, Original: 8192}
	got := r.frequencies(5e5, 128)
	want := map[int]string{0: "1.000000", 28: "1.000000", 29: "1.207484", 30: "1.553415", 31: "2.026313", 32: "2.694530", 33: "3.684253", 34: "5.257327", 35: "8.000000", 63: "8.000000"}
	for i, w := range want {
		if s := fmt.Sprintf("%.6f", got[i]); s != w {
			t.Errorf("frequency %d is %s, want %s", i, s, w)
		}
	}
}

// TestClaims: whatever no rule knows, and whatever the rules lack, stops the conversion and is named.
func TestClaims(t *testing.T) {
	for _, c := range []struct {
		name, code string
		change     func(m *model)
		parts      []string
	}{
		{"an unknown tensor", "UNCLAIMED_TENSOR", func(m *model) { m.tensors["model.layers.0.self_attn.q_norm.weight"] = f32(make([]float32, 32), 32) }, []string{"q_norm"}},
		{"many unknown tensors", "UNCLAIMED_TENSOR", func(m *model) {
			for i := range 50 {
				m.tensors[fmt.Sprintf("visual.blocks.%d.%s.weight", i, strings.Repeat("x", 80))] = f32([]float32{1}, 1)
			}
		}, []string{"50 tensors", "visual.blocks.0"}},
		{"a layer too many", "UNCLAIMED_TENSOR", func(m *model) { m.config["num_hidden_layers"] = 1 }, []string{"model.layers.1."}},
		{"a layer number with a zero", "UNCLAIMED_TENSOR", func(m *model) { m.rename("layers.1.input", "layers.01.input") }, []string{"layers.01"}},
		{"terminal escapes", "UNCLAIMED_TENSOR", func(m *model) { m.tensors["\x1b[2Jx"] = f32([]float32{1}, 1) }, []string{`\x1b[2Jx`}},
		{"a layer too few", "MODEL_TENSOR_MISSING", func(m *model) { m.config["num_hidden_layers"] = 3 }, []string{"blk.2.", "3 layers"}},
		{"no embedding", "MODEL_TENSOR_MISSING", func(m *model) { delete(m.tensors, "model.embed_tokens.weight") }, []string{"token_embd.weight"}},
		{"two spellings", "DUPLICATE_TENSOR", func(m *model) {
			m.tensors["layers.0.attention_norm.weight"] = f32(make([]float32, 128), 128)
		}, []string{"input_layernorm", "attention_norm"}},
		{"a scale without a weight", "UNCLAIMED_TENSOR", func(m *model) {
			m.tensors["model.layers.0.mlp.w.weight_scale"] = f32([]float32{1}, 1)
		}, []string{"weight_scale"}},
		{"low-rank correction", "UNSUPPORTED_TENSOR", func(m *model) { m.tensors["model.layers.0.mlp.up_proj.lrc_U"] = f32([]float32{1}, 1) }, []string{"lrc_U"}},
		{"LoRA", "UNSUPPORTED_TENSOR", func(m *model) { m.rename("up_proj.weight", "up_proj.lora_A.weight") }, []string{"merge"}},
		{"packed cache", "UNSUPPORTED_TENSOR", func(m *model) { m.rename("up_proj.weight", "up_proj.qweight") }, []string{"cache"}},
		{"transposed", "MODEL_SHAPE_MISMATCH", func(m *model) {
			m.tensors["model.layers.0.mlp.up_proj.weight"] = tensor{"F32", []int{128, 256}, nil}
		}, []string{"[128 256]", "[256 128]"}},
		{"padded for Hadamard", "MODEL_SHAPE_MISMATCH", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.weight"] = tensor{"F32", []int{128, 256}, nil}
		}, []string{"use_hadamard"}},
		{"R63 empty weight", "MODEL_SHAPE_MISMATCH", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.weight"] = tensor{"F32", []int{0, 4}, nil}
		}, []string{"[0 4]"}},
		{"R63 scalar weight", "MODEL_SHAPE_MISMATCH", func(m *model) {
			m.tensors["model.norm.weight"] = tensor{"F32", []int{}, nil}
		}, []string{"[]"}},
		{"integers", "UNSUPPORTED_DTYPE", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.weight"] = tensor{"I8", []int{128, 128}, nil}
		}, []string{"I8"}},
		{"bytes that are no projection", "UNSUPPORTED_DTYPE", func(m *model) {
			m.tensors["model.embed_tokens.weight"] = tensor{"U8", []int{8, 128}, nil}
		}, []string{"U8"}},
		{"R144 no scale", "MISSING_SCALE", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.weight"] = tensor{"U8", []int{32, 128}, nil}
		}, []string{"o_proj", "weight_scale"}},
		{"R144 two scales", "MISSING_SCALE", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.weight_scale"] = f32([]float32{1}, 1)
			m.tensors["model.layers.0.self_attn.o_proj.1.weight_scale"] = f32([]float32{1}, 1)
		}, []string{"o_proj.weight_scale", "o_proj.1.weight_scale"}},
		{"R144 a scale a row", "MISSING_SCALE", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.weight_scale"] = f32(make([]float32, 128), 128)
		}, []string{"[128]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			c.change(m)
			_, err := m.plan(t, m.typed(), Options{})
			requireCode(t, err, c.code, c.parts...)
		})
	}
}

// packed turns a model into an offline one: codes and a weight_scale for each projection. values are the codes.
func packed(m *model, scale float32) (codes map[string][]int8) {
	codes = map[string][]int8{}
	rng := rand.New(rand.NewPCG(7, 7))
	for name, k := range m.tensors {
		if len(k.shape) != 2 || !strings.Contains(name, "_proj") {
			continue
		}
		t := make([]int8, k.shape[0]*k.shape[1])
		for i := range t {
			t[i] = int8(rng.IntN(3)) - 1
		}
		codes[name] = t
		m.tensors[name] = pack(t, k.shape[0], k.shape[1])
		m.tensors[name+"_scale"] = f32([]float32{scale}, 1)
	}
	return codes
}

// TestScaleRule: multiply or divide is declared, never guessed (FORMATS.md 5.2).
func TestScaleRule(t *testing.T) {
	quantization := func(keys ...string) map[string]any {
		q := map[string]any{"quant_method": "bitnet"}
		for i := 0; i < len(keys); i += 2 {
			q[keys[i]] = keys[i+1]
		}
		return q
	}
	for _, c := range []struct {
		name   string
		config any
		dlm    bool
		flag   string
		scale  float32
		source string
		notice string
	}{
		{"declared autobitlinear", quantization("linear_class", "autobitlinear"), false, "", 0.25, "offline-mul", ""},
		{"declared bitlinear", quantization("linear_class", "bitlinear"), false, "", 4, "offline-div", ""},
		{"no class", quantization(), false, "", 4, "offline-div", ""},
		{"WrinkleFree's method", quantization("quant_method", "bitnet_ternary"), false, "", 0.25, "offline-mul", "no linear_class"},
		{"WrinkleFree's sidecar", quantization(), true, "", 0.25, "offline-mul", "no linear_class"},
		{"R144 flag against the declaration", quantization("linear_class", "bitlinear"), false, "multiply", 0.25, "offline-mul", ""},
		{"R144 flag without a declaration", nil, false, "divide", 4, "offline-div", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			codes := packed(m, 0.25)
			if m.config["quantization_config"] = c.config; c.dlm {
				m.files["dlm_config.json"] = `{"mask_token_id": 4, "training_method": "unified-dlm"}`
			}
			dir := m.write(t)
			out := convertDir(t, dir, Options{Type: "i2_s", ScaleRule: c.flag})
			if out.value(names.QuantSource) != c.source || out.value(names.ScaleRule) != "kept" || out.Report.Source != c.source {
				t.Errorf("source %v, rule %v", out.value(names.QuantSource), out.value(names.ScaleRule))
			}
			for gguf, hf := range map[string]string{"ffn_down": "mlp.down_proj", "attn_v": "self_attn.v_proj", "attn_q": "self_attn.q_proj"} {
				t8 := codes["model.layers.1."+hf+".weight"]
				want := make([]float32, len(t8))
				for i, v := range t8 {
					want[i] = float32(v) * c.scale
				}
				if gguf == "attn_q" {
					want = interleaved(want, 4, 32, 128)
				}
				if got := out.floats(t, "blk.1."+gguf+".weight"); !slices.Equal(got, want) {
					t.Errorf("%s differs", gguf)
				}
			}
			if (c.notice != "") != strings.Contains(out.notices, "linear_class") {
				t.Errorf("notices %q", out.notices)
			}
		})
	}
	t.Run("R144 nothing declared", func(t *testing.T) {
		m := newModel()
		packed(m, 0.25)
		_, err := m.plan(t, m.typed(), Options{})
		requireCode(t, err, "MISSING_SCALE", "--scale-rule")
	})
	t.Run("implausible scale", func(t *testing.T) {
		m := newModel()
		packed(m, 1e-6)
		m.config["quantization_config"] = quantization()
		out := convertDir(t, m.write(t), Options{Type: "i2_s"})
		if !strings.Contains(out.notices, "--scale-rule") {
			t.Errorf("notices %q", out.notices)
		}
	})
	t.Run("unpacked float with a scale", func(t *testing.T) {
		m := newModel()
		codes := packed(m, 0.25)
		for name, c := range codes {
			x := make([]float32, len(c))
			for i, v := range c {
				x[i] = float32(v)
			}
			shape := m.tensors[name].shape
			m.tensors[name] = bf16(x, shape[0], shape[1])
			if strings.Contains(name, "_proj") && shape[0]*4 != 0 {
				m.tensors[name] = bf16(x, len(c)/shape[1], shape[1])
			}
		}
		m.config["quantization_config"] = quantization("linear_class", "autobitlinear")
		out := convertDir(t, m.write(t), Options{Type: "i2_s"})
		for i, v := range out.floats(t, "blk.0.ffn_up.weight") {
			if want := 0.25 * float32(codes["model.layers.0.mlp.up_proj.weight"][i]); v != want {
				t.Fatalf("weight %d is %v, want %v", i, v, want)
			}
		}
		if out.value(names.QuantSource) != "offline-mul" {
			t.Error(out.value(names.QuantSource))
		}
	})
	t.Run("bias of an offline AutoBitLinear", func(t *testing.T) {
		for class, want := range map[string]float32{"autobitlinear": 0.25 * 3, "bitlinear": 3} {
			m := newModel()
			packed(m, 0.25)
			b := make([]float32, 128)
			for i := range b {
				b[i] = 3
			}
			m.tensors["model.layers.0.self_attn.o_proj.bias"] = f32(b, 128)
			m.config["quantization_config"] = quantization("linear_class", class)
			out := convertDir(t, m.write(t), Options{Type: "f32"})
			if got := out.floats(t, "blk.0.attn_output.bias"); got[0] != want {
				t.Errorf("%s: bias %v, want %v", class, got[0], want)
			}
		}
	})
	t.Run("rows that do not fill the last byte", func(t *testing.T) {
		m := newModel()
		m.config["intermediate_size"] = 254
		for layer := range 2 {
			for name, shape := range map[string][2]int{"gate_proj": {254, 128}, "up_proj": {254, 128}, "down_proj": {128, 254}} {
				rng := rand.New(rand.NewPCG(1, 2))
				m.add(rng, fmt.Sprintf("model.layers.%d.mlp.%s.weight", layer, name), shape[0], shape[1])
			}
		}
		codes := packed(m, 0.5)
		m.config["quantization_config"] = quantization("linear_class", "autobitlinear")
		out := convertDir(t, m.write(t), Options{Type: "f32"})
		for i, v := range out.floats(t, "blk.1.ffn_gate.weight") {
			if want := 0.5 * float32(codes["model.layers.1.mlp.gate_proj.weight"][i]); v != want {
				t.Fatalf("weight %d is %v, want %v", i, v, want)
			}
		}
	})
}

// TestSourceKinds: which float weights are master weights, which are ternary already, and which are dense.
func TestSourceKinds(t *testing.T) {
	ternary := func(m *model, s float32) {
		for name, k := range m.tensors {
			if strings.Contains(name, "_proj") {
				x := k.floats()
				for i, v := range x {
					x[i] = 0
					if v > 0.5 {
						x[i] = s
					} else if v < -0.5 {
						x[i] = -s
					}
				}
				m.tensors[name] = f32(x, k.shape...)
			}
		}
	}
	for _, c := range []struct {
		name         string
		change       func(m *model)
		o            Options
		source, rule any
		activation   string
		code         Code
		scale        float32 // of blk.0.ffn_up; 0: not checked
	}{
		{"BitNet master", func(m *model) {}, Options{}, "online", "absmean", "int8", Ternary, 0},
		{"dense", func(m *model) { m.config["architectures"] = []string{"LlamaForCausalLM"} }, Options{}, "dense", nil, "none", Plain, 1},
		{"quantization_mode online", func(m *model) {
			m.config["architectures"] = []string{"LlamaForCausalLM"}
			m.config["quantization_config"] = map[string]any{"quant_method": "bitnet", "quantization_mode": "online"}
		}, Options{}, "online", "absmean", "int8", Ternary, 0},
		{"--ternarize", func(m *model) { m.config["architectures"] = []string{"LlamaForCausalLM"} }, Options{Ternarize: true}, "online", "absmean", "int8", Ternary, 0},
		{"--keep-master-weights", func(m *model) {}, Options{KeepMasterWeights: true}, "online", "none", "int8", Plain, 1},
		{"ternary already", func(m *model) {
			m.config["architectures"] = []string{"LlamaForCausalLM"}
			ternary(m, 0.3)
		}, Options{}, "ternary", "kept", "int8", Ternary, 0.3},
		{"ternary already, BitNet", func(m *model) { ternary(m, 0.3) }, Options{}, "ternary", "kept", "int8", Ternary, 0.3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			c.change(m)
			out := convertDir(t, m.write(t), c.o)
			if out.value(names.QuantSource) != c.source || out.value(names.ScaleRule) != c.rule || out.value(names.LinearActivation) != c.activation {
				t.Errorf("source %v, rule %v, activation %v", out.value(names.QuantSource), out.value(names.ScaleRule), out.value(names.LinearActivation))
			}
			how := ""
			for _, line := range out.Report.Tensors {
				if line.Name == "blk.0.ffn_up.weight" {
					how = line.How
				}
			}
			if (c.code == Ternary) != strings.Contains(how, "ternary") {
				t.Errorf("transform %q", how)
			}
			if c.scale == 0.3 && !strings.Contains(how, "scale 0.3") {
				t.Errorf("the scale is not kept: %q", how)
			}
		})
	}
	t.Run("modules_to_not_convert", func(t *testing.T) {
		m := newModel()
		q := map[string]any{"quant_method": "bitnet", "quantization_mode": "online", "modules_to_not_convert": []string{"lm_head", "layers.1.mlp"}}
		m.config["quantization_config"] = q
		p, err := m.plan(t, m.typed(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := p.tensor(t, "blk.0.ffn_up.weight"), p.tensor(t, "blk.1.ffn_up.weight"); a.Code != Ternary || b.Code != Plain {
			t.Errorf("codes %d and %d", a.Code, b.Code)
		}
		q["modules_to_not_convert"] = []string{"layers.1.mlp"}
		_, err = m.plan(t, m.typed(), Options{})
		requireCode(t, err, "UNSUPPORTED_CONFIG", "lm_head")
	})
}

// TestHead: tied in any of the ways that checkpoints say so.
func TestHead(t *testing.T) {
	head := func(m *model, data []byte) { m.tensors["lm_head.weight"] = tensor{"F32", []int{8, 128}, data} }
	t.Run("equal bytes", func(t *testing.T) {
		m := newModel()
		head(m, m.tensors["model.embed_tokens.weight"].data)
		out := convertDir(t, m.write(t), Options{})
		if _, ok := out.Tensor(names.Output); ok || len(out.Dropped) != 1 || !strings.Contains(out.Dropped[0], "lm_head.weight") {
			t.Errorf("the head is written; dropped %q", out.Dropped)
		}
	})
	t.Run("untied", func(t *testing.T) {
		m := newModel()
		m.config["tie_word_embeddings"] = false
		head(m, slices.Concat(m.tensors["model.embed_tokens.weight"].data[:4092], []byte{0, 0, 0, 1}))
		out := convertDir(t, m.write(t), Options{})
		if _, ok := out.Tensor(names.Output); !ok {
			t.Error("the head is lost")
		}
		m.config["tie_word_embeddings"] = true
		_, err := tryConvert(t, m.write(t), Options{})
		requireCode(t, err, "CONFIG_CONFLICT", "tie_word_embeddings")
	})
	t.Run("absent", func(t *testing.T) {
		m := newModel()
		m.config["tie_word_embeddings"] = false
		if out := convertDir(t, m.write(t), Options{DryRun: true}); !strings.Contains(out.notices, "tied") {
			t.Errorf("notices %q", out.notices)
		}
	})
	t.Run("stock readers are warned", func(t *testing.T) {
		m := newModel()
		m.config["tie_word_embeddings"], m.config["hidden_act"] = false, "relu2"
		m.tensors["lm_head.weight"] = tensor{"F32", []int{8, 128}, nil}
		p, err := m.plan(t, m.typed(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(p.Notices, func(n string) bool { return strings.Contains(n, "output.weight") }) {
			t.Errorf("notices %q", p.Notices)
		}
	})
}

// TestTypes: FORMATS.md 2.11, as far as convert adds to quant's table.
func TestTypes(t *testing.T) {
	m := newModel()
	inv := m.typed()
	for _, c := range []struct {
		o             Options
		up, embedding gguf.Type
	}{
		{Options{}, gguf.F16, gguf.F16},
		{Options{Type: "I2_S"}, gguf.I2_S, gguf.F16},
		{Options{Type: "i2_s", TokenEmbedding: "q8_0"}, gguf.I2_S, gguf.Q8_0},
		{Options{Type: "bf16", TokenEmbedding: "F32"}, gguf.BF16, gguf.F32},
		{Options{Type: "auto"}, gguf.I2_S, gguf.F16},
		{Options{Type: "tq1_0"}, gguf.F16, gguf.F16}, // rows of 128: not a multiple of 256
	} {
		p, err := m.plan(t, inv, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := p.tensor(t, "blk.0.ffn_up.weight").Type, p.tensor(t, names.TokenEmbedding).Type; a != c.up || b != c.embedding {
			t.Errorf("%+v: %v and %v", c.o, a, b)
		}
	}
	_, err := m.plan(t, inv, Options{Type: "q8_0", TokenEmbedding: "q6_k"})
	requireCode(t, err, "UNSUPPORTED_SHAPE", "128")
	m.files["dlm_config.json"] = `{"mask_token_id": 4}`
	_, err = m.plan(t, inv, Options{Type: "tq2_0"})
	requireCode(t, err, "QUANT_DIFFUSION_TQ2", "I2_S")
	if _, err = m.plan(t, inv, Options{Type: "tq2_0", NoMask: true}); err != nil {
		t.Error(err)
	}
}

// TestR143 R143: any number of columns converts to I2_S as long as the whole tensor is a multiple of 128.
func TestR143(t *testing.T) {
	for _, c := range []struct {
		hidden, ffn, heads, headDim int
		code                        string
	}{
		{2560, 6912, 20, 128, ""},
		{576, 1536, 9, 64, ""},
		{128, 4100, 4, 32, ""}, // 4100 columns, but 128 rows of them
		{100, 130, 1, 100, "UNSUPPORTED_SHAPE"},
		{2, 1, 1, 2, "UNSUPPORTED_SHAPE"},
	} {
		config := map[string]any{"architectures": []string{"BitNetForCausalLM"}, "vocab_size": 8, "hidden_size": c.hidden, "intermediate_size": c.ffn,
			"num_hidden_layers": 1, "num_attention_heads": c.heads, "head_dim": c.headDim, "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "eos_token_id": 3}
		m := &model{config: config, files: map[string]string{"tokenizer.json": vocabulary}}
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseConfig(text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		inv := &Inventory{Values: map[string]Values{}}
		for name, hf := range hfNames(1) {
			p := &piece{name: name, part: hf.part, kind: weight}
			inv.Tensors = append(inv.Tensors, Tensor{hf.name, checkpoint.BF16, parsed.shapeOf(p)})
			inv.Values[name] = Values{Mean: 0.5, Density: 0.6}
		}
		plan, err := m.plan(t, inv, Options{Type: "i2_s"})
		if c.code != "" {
			requireCode(t, err, c.code, "128")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		straddles := slices.ContainsFunc(plan.Notices, func(n string) bool { return strings.Contains(n, "straddle") })
		if want := c.hidden%128 != 0 || c.ffn%128 != 0; straddles != want {
			t.Errorf("hidden %d: straddling notice %v, want %v", c.hidden, straddles, want)
		}
	}
}

// hfNames lists the tensors of a model without SubLN by GGUF name.
func hfNames(layers int) map[string]struct{ part, name string } {
	all := map[string]struct{ part, name string }{}
	all[names.TokenEmbedding] = struct{ part, name string }{names.TokenEmbedding, "model.embed_tokens.weight"}
	all[names.OutputNorm] = struct{ part, name string }{names.OutputNorm, "model.norm.weight"}
	for layer := range layers {
		for part, hf := range map[string]string{names.AttnNorm: "input_layernorm", names.FFNNorm: "post_attention_layernorm", names.AttnQ: "self_attn.q_proj",
			names.AttnK: "self_attn.k_proj", names.AttnV: "self_attn.v_proj", names.AttnOutput: "self_attn.o_proj", names.FFNGate: "mlp.gate_proj",
			names.FFNUp: "mlp.up_proj", names.FFNDown: "mlp.down_proj"} {
			all[names.Block(layer, part, "weight")] = struct{ part, name string }{part, fmt.Sprintf("model.layers.%d.%s.weight", layer, hf)}
		}
	}
	return all
}

// TestR147 R147: more than 2^31 weights in a tensor. Sizes are planned, nothing is read.
func TestR147(t *testing.T) {
	config := map[string]any{"architectures": []string{"LlamaForCausalLM"}, "vocab_size": 1 << 18, "hidden_size": 1 << 14, "intermediate_size": 1 << 18,
		"num_hidden_layers": 1, "num_attention_heads": 128, "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "eos_token_id": 3}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseConfig(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	inv := &Inventory{Values: map[string]Values{}}
	for name, hf := range hfNames(1) {
		inv.Tensors = append(inv.Tensors, Tensor{hf.name, checkpoint.F32, parsed.shapeOf(&piece{name: name, part: hf.part, kind: weight})})
	}
	m := &model{config: config, files: map[string]string{"tokenizer.json": vocabulary}}
	plan, err := m.plan(t, inv, Options{Type: "f32"})
	if err != nil {
		t.Fatal(err)
	}
	var infos []gguf.TensorInfo
	for _, k := range plan.Tensors {
		infos = append(infos, gguf.TensorInfo{Name: k.Name, Type: k.Type, Dims: k.Dims})
	}
	sized, total, err := gguf.Plan(plan.Metadata, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range sized {
		if k.Name == "blk.0.ffn_up.weight" && k.Size != 1<<34 {
			t.Errorf("R147: %d bytes, want %d", k.Size, uint64(1)<<34)
		}
	}
	if total < 4<<34 {
		t.Errorf("R147: the file has %d bytes", total)
	}
}
