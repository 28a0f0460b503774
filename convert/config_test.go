package convert

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// text returns the JSON of a small valid config with some keys set; a nil value takes a key away.
func configText(t testing.TB, changes ...any) []byte {
	t.Helper()
	c := newModel().config
	for i := 0; i < len(changes); i += 2 {
		if c[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(c, changes[i].(string))
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestR67(t *testing.T) {
	valid := string(configText(t))
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for _, c := range []struct {
		name, code, text string
		parts            []string
	}{
		{"R67 depth 100 000", "CONFIG_LIMIT", strings.Replace(valid, "{", `{"x":`+deep+",", 1), []string{"deeper than 64"}},
		{"R67 depth 100 000 of objects", "CONFIG_LIMIT", strings.Repeat(`{"a":`, 100_000), nil},
		{"R67 NaN", "CONFIG_BAD_JSON", strings.Replace(valid, "0.00001", "NaN", 1), []string{"config.json"}},
		{"R67 Infinity", "CONFIG_BAD_JSON", strings.Replace(valid, "0.00001", "Infinity", 1), nil},
		{"R67 vocab_size 1e30", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", json.Number("1e30"))), []string{"vocab_size", "1e30", "1048576"}},
		{"R67 vocab_size 2^64", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", json.Number("18446744073709551616"))), nil},
		{"R67 vocab_size 0", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", 0)), nil},
		{"R67 vocab_size -1", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", -1)), nil},
		{"R67 vocab_size as text", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", "8")), []string{`"8"`}},
		{"R67 vocab_size as a list", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", []int{8})), []string{"an array"}},
		{"R67 epsilon 1e999", "CONFIG_BAD_VALUE", string(configText(t, "rms_norm_eps", json.Number("1e999"))), nil},
		{"R67 epsilon 0", "CONFIG_BAD_VALUE", string(configText(t, "rms_norm_eps", 0)), nil},
		{"R67 rope base 0", "CONFIG_BAD_VALUE", string(configText(t, "rope_theta", 0)), nil},
		{"R67 missing keys", "CONFIG_MISSING_KEY", `{}`, []string{"architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps", "max_position_embeddings"}},
		{"R67 null keys", "CONFIG_MISSING_KEY", string(configText(t, "hidden_size", (*int)(nil))), []string{"hidden_size"}},
		{"R67 duplicate keys", "CONFIG_DUPLICATE_KEY", strings.Replace(valid, "{", `{"vocab_size": 9,`, 1), []string{"vocab_size"}},
		{"R67 duplicate keys inside", "CONFIG_DUPLICATE_KEY", `{"a": {"b": 1, "b": 2}}`, []string{`"b"`}},
		{"R67 duplicate keys by escape", "CONFIG_DUPLICATE_KEY", `{"ab": 1, "a\u0062": 2}`, nil},
		{"R67 not UTF-8", "CONFIG_BAD_JSON", "{\"a\xff\": 1}", nil},
		{"R67 half a surrogate pair", "CONFIG_BAD_JSON", `{"\ud800": 1}`, nil},
		{"R67 halves in the wrong order", "CONFIG_BAD_JSON", `{"\udc00\ud800": 1}`, nil},
		{"R67 a half and a letter", "CONFIG_BAD_JSON", `{"\ud800\u0041": 1}`, nil},
		{"R67 trailing text", "CONFIG_BAD_JSON", valid + "{}", nil},
		{"R67 an array", "CONFIG_BAD_JSON", `[]`, nil},
		{"R67 nothing", "CONFIG_BAD_JSON", ` `, nil},
		{"R67 cut", "CONFIG_BAD_JSON", valid[:len(valid)-1], nil},
		{"R67 heads that do not divide", "CONFIG_BAD_VALUE", string(configText(t, "num_key_value_heads", 3)), []string{"divisor"}},
		{"R67 odd head", "CONFIG_BAD_VALUE", string(configText(t, "head_dim", 31)), nil},
		{"R67 no whole head", "CONFIG_BAD_VALUE", string(configText(t, "head_dim", nil, "num_attention_heads", 3, "num_key_value_heads", 3)), nil},
		{"R67 activation", "UNSUPPORTED_CONFIG", string(configText(t, "hidden_act", "gelu")), []string{"gelu"}},
		{"R67 partial rotation", "UNSUPPORTED_CONFIG", string(configText(t, "partial_rotary_factor", 0.5)), []string{"0.5"}},
		{"R67 rope type", "UNSUPPORTED_CONFIG", string(configText(t, "rope_scaling", map[string]any{"type": "dynamic", "factor": 2})), []string{"dynamic"}},
		{"R67 rope mscale", "UNSUPPORTED_CONFIG", string(configText(t, "rope_scaling", map[string]any{"type": "yarn", "factor": 2, "mscale": 1})), []string{"mscale"}},
		{"R67 rope factor missing", "CONFIG_MISSING_KEY", string(configText(t, "rope_scaling", map[string]any{"type": "linear"})), []string{"rope_scaling.factor"}},
		{"R67 rope factors", "CONFIG_BAD_VALUE", string(configText(t, "rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4})), nil},
		{"R67 quantization method", "UNSUPPORTED_CONFIG", string(configText(t, "quantization_config", map[string]any{"quant_method": "gptq"})), []string{"gptq"}},
		{"R67 several problems", "CONFIG_BAD_VALUE", string(configText(t, "vocab_size", -1, "hidden_size", -2)), []string{"-1", "-2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			_, err := ParseConfig([]byte(c.text), nil, nil)
			requireCode(t, err, c.code, c.parts...)
			if took := time.Since(start); took > slowly(2*time.Second) {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("R67 1 GB", func(t *testing.T) {
		dir := newModel().write(t)
		if err := os.Truncate(filepath.Join(dir, "config.json"), 1<<30); err != nil { // sparse
			t.Fatal(err)
		}
		_, err := tryConvert(t, dir, Options{})
		requireCode(t, err, "CONFIG_LIMIT", "1073741824")
	})
}

// slowly stretches a time bound on slow machines.
func slowly(d time.Duration) time.Duration {
	factor := 1.0
	fmt.Sscan(os.Getenv("WF_TEST_SLOWNESS"), &factor)
	return time.Duration(float64(d) * factor)
}

func TestConfig(t *testing.T) {
	parse := func(t *testing.T, changes ...any) *Config {
		t.Helper()
		c, err := ParseConfig(configText(t, changes...), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("R68 auto_map", func(t *testing.T) {
		c := parse(t, "auto_map", map[string]string{"AutoModel": "evil--modeling.Model"})
		if len(c.Notices) != 1 || !strings.Contains(c.Notices[0], "never runs") {
			t.Errorf("notices %q", c.Notices)
		}
		m := newModel()
		m.config["auto_map"] = map[string]string{"AutoModel": "modeling.Model"}
		m.files["modeling.py"] = "raise SystemExit"
		if out := convertDir(t, m.write(t), Options{DryRun: true}); !strings.Contains(out.notices, "auto_map") || slices.ContainsFunc(out.Sources, func(s string) bool { return strings.HasSuffix(s, ".py") }) {
			t.Errorf("notices %q, sources %q", out.notices, out.Sources)
		}
	})
	t.Run("defaults", func(t *testing.T) {
		c := parse(t, "num_key_value_heads", nil, "head_dim", nil, "hidden_act", nil, "rope_theta", nil, "tie_word_embeddings", nil)
		if c.NumKeyValueHeads != 4 || c.HeadDim != 32 || c.HeadDimStated || c.HiddenAct != "relu2" || c.RopeTheta != 500000 || c.TieWordEmbeddings {
			t.Errorf("%+v", c)
		}
		c = parse(t, "model_type", "llama", "hidden_act", nil, "rope_theta", nil)
		if c.HiddenAct != "silu" || c.RopeTheta != 10000 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("rope", func(t *testing.T) {
		c := parse(t, "rope_theta", nil, "rope_parameters", map[string]any{"rope_type": "default", "rope_theta": 1e6})
		if c.RopeTheta != 1e6 || c.Rope.Type != "" {
			t.Errorf("%+v", c.Rope)
		}
		llama3 := map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 32}
		if c = parse(t, "rope_scaling", llama3); c.Rope.Original != 32 || c.Rope.Factor != 8 {
			t.Errorf("%+v", c.Rope)
		}
		c = parse(t, "rope_scaling", llama3, "original_max_position_embeddings", 16)
		if c.Rope.Original != 16 || len(c.Notices) != 1 {
			t.Errorf("%+v %q", c.Rope, c.Notices)
		}
		delete(llama3, "original_max_position_embeddings")
		if c = parse(t, "rope_scaling", llama3); c.Rope.Original != 64 {
			t.Errorf("%+v", c.Rope)
		}
	})
	t.Run("rope keys", func(t *testing.T) {
		for _, scaling := range []map[string]any{
			{"type": "linear", "factor": 2},
			{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16, "beta_fast": 32, "attention_factor": 1.5},
		} {
			m := newModel()
			m.config["rope_scaling"] = scaling
			p, err := m.plan(t, m.typed(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			get := func(key string) any { v, _ := p.Metadata.Get(names.Arch("llama", key)); return v }
			if scaling["type"] == "linear" && (get(names.RopeScalingType) != "linear" || get(names.RopeFactor) != float32(2) || get(names.RopeOriginal) != nil) {
				t.Errorf("linear: %v %v", get(names.RopeScalingType), get(names.RopeFactor))
			}
			if scaling["type"] == nil {
				attn, _ := get(names.RopeAttnFactor).(float32)
				if get(names.RopeScalingType) != "yarn" || get(names.RopeOriginal) != uint32(16) || get(names.RopeBetaFast) != float32(32) || get(names.RopeBetaSlow) != nil || !(attn > 1.31 && attn < 1.32) {
					t.Errorf("yarn: %v %v %v", get(names.RopeScalingType), get(names.RopeOriginal), attn)
				}
			}
		}
	})
	t.Run("sliding window", func(t *testing.T) {
		for _, c := range []struct {
			changes []any
			notices int
		}{
			{[]any{"sliding_window", 16}, 1}, {[]any{"sliding_window", 16, "use_sliding_window", false}, 0}, {[]any{"sliding_window", 64}, 0}, {[]any{"sliding_window", (*int)(nil)}, 0},
		} {
			if got := parse(t, c.changes...); len(got.Notices) != c.notices {
				t.Errorf("%v: notices %q", c.changes, got.Notices)
			}
		}
	})
}

// TestDiffusion is DECODING.md, Metadata: the order in which mask token and dialect are found.
func TestDiffusion(t *testing.T) {
	id := func(n int32) *int32 { return &n }
	noMask := strings.Replace(vocabulary, "|<MASK>|", "<mask>", 1)
	for _, c := range []struct {
		name    string
		class   string
		config  map[string]any
		dlm     string
		tok     string
		o       Options
		mask    int32 // -1: autoregressive
		dialect string
		block   int
		notice  string
	}{
		{name: "token", mask: 4, dialect: "wrinklefree", block: 32},
		{name: "Fast-dLLM", class: "Fast_dLLM_QwenForCausalLM", config: map[string]any{"bd_size": 16}, mask: 4, dialect: "fast-dllm-v2", block: 16},
		{name: "none", tok: noMask, mask: -1, notice: "--mask-token-id 4"},
		{name: "flag none", o: Options{NoMask: true}, config: map[string]any{"mask_token_id": 3}, mask: -1},
		{name: "flag", o: Options{MaskToken: id(3)}, mask: 3, dialect: "wrinklefree", block: 32},
		{name: "config", config: map[string]any{"mask_token_id": 3, "bd_size": 8, "dialect": "fast-dllm-v2"}, mask: 3, dialect: "fast-dllm-v2", block: 8},
		{name: "dlm object", config: map[string]any{"dlm": map[string]any{"mask_token_id": 3, "block_size": 16, "dialect": "fast-dllm-v2"}}, mask: 3, dialect: "fast-dllm-v2", block: 16},
		{name: "disabled dlm object", config: map[string]any{"dlm": map[string]any{"enabled": false, "mask_token_id": 3}}, tok: noMask, mask: -1, notice: "<mask>"},
		{name: "diffusion object", config: map[string]any{"diffusion": map[string]any{"mask_token_id": 3}}, mask: 3, dialect: "wrinklefree", block: 32},
		{name: "sidecar", dlm: `{"mask_token_id": 3, "bd_size": 16, "training_method": "fast-dllm-v2-sft"}`, mask: 3, dialect: "wrinklefree", block: 16},
		{name: "config before sidecar", config: map[string]any{"mask_token_id": 4}, dlm: `{"mask_token_id": 3, "dialect": "fast-dllm-v2"}`, mask: 4, dialect: "fast-dllm-v2", block: 32},
		{name: "flags before all", o: Options{Dialect: "wrinklefree", BlockSize: 24, SubBlockSize: 4}, config: map[string]any{"dialect": "fast-dllm-v2", "bd_size": 8}, mask: 4, dialect: "wrinklefree", block: 24},
		{name: "flag that agrees", o: Options{MaskToken: id(3)}, config: map[string]any{"mask_token_id": 3}, mask: 3, dialect: "wrinklefree", block: 32},
		{name: "forced flag", o: Options{MaskToken: id(4), Force: true}, config: map[string]any{"mask_token_id": 3}, mask: 4, dialect: "wrinklefree", block: 32, notice: "overrides"},
		{name: "mask beyond the tokenizer", config: map[string]any{"mask_token_id": 7}, mask: 7, dialect: "wrinklefree", block: 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			if c.class != "" {
				m.config["architectures"] = []string{c.class}
				for layer := range 2 {
					for part, n := range map[string]int{"q": 128, "k": 64, "v": 64} {
						m.tensors[fmt.Sprintf("model.layers.%d.self_attn.%s_proj.bias", layer, part)] = tensor{"F32", []int{n}, nil}
					}
				}
			}
			for key, v := range c.config {
				m.config[key] = v
			}
			if c.tok != "" {
				m.files["tokenizer.json"] = c.tok
			}
			if c.dlm != "" {
				m.files["dlm_config.json"] = c.dlm
			}
			p, err := m.plan(t, m.typed(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			get := func(key string) any { v, _ := p.Metadata.Get(key); return v }
			if c.mask < 0 {
				for _, kv := range p.Metadata.All() {
					if strings.Contains(kv.Key, "diffusion") || kv.Key == names.MaskToken {
						t.Errorf("%s is written", kv.Key)
					}
				}
			} else if get(names.MaskToken) != uint32(c.mask) || get(names.Dialect) != c.dialect || get(names.BlockSize) != uint32(c.block) || get(names.ShiftLogits) != true {
				t.Errorf("mask %v, dialect %v, block %v, shift %v", get(names.MaskToken), get(names.Dialect), get(names.BlockSize), get(names.ShiftLogits))
			}
			if c.notice != "" && !strings.Contains(strings.Join(p.Notices, "\n"), c.notice) {
				t.Errorf("notices %q", p.Notices)
			}
		})
	}
	for _, c := range []struct {
		name, code string
		config     map[string]any
		o          Options
		parts      []string
	}{
		{"flag against config", "MASK_MISMATCH", map[string]any{"mask_token_id": 3}, Options{MaskToken: id(4)}, []string{"4", "3", "config.json", "--force"}},
		{"an ordinary token", "MODEL_BAD_MASK_TOKEN", map[string]any{"mask_token_id": 1}, Options{}, []string{`"b"`}},
		{"beyond the vocabulary", "MODEL_BAD_MASK_TOKEN", map[string]any{"mask_token_id": 8}, Options{}, []string{"vocab_size 8"}},
		{"block beyond the context", "MODEL_BAD_PARAM", map[string]any{"bd_size": 128}, Options{}, []string{"128", "64"}},
		{"sub-block that does not divide", "MODEL_BAD_PARAM", nil, Options{SubBlockSize: 5}, []string{"5", "32"}},
		{"shift and dialect", "MODEL_BAD_PARAM", map[string]any{"dialect": "fast-dllm-v2", "dlm": map[string]any{"shift_logits": false}}, Options{}, nil},
		{"unknown dialect", "UNSUPPORTED_CONFIG", map[string]any{"dialect": "llada"}, Options{}, []string{"llada"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			for key, v := range c.config {
				m.config[key] = v
			}
			_, err := m.plan(t, m.typed(), c.o)
			requireCode(t, err, c.code, c.parts...)
		})
	}
	t.Run("stated settings", func(t *testing.T) {
		m := newModel()
		m.config["dlm"] = map[string]any{"threshold": 0.75, "decode_mode": "adaptive", "shift_logits": false, "small_block_size": 4}
		p, err := m.plan(t, m.typed(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{names.Threshold: float32(0.75), names.Mode: "adaptive", names.ShiftLogits: false, names.SubBlockSize: uint32(4)} {
			if v, _ := p.Metadata.Get(key); v != want {
				t.Errorf("%s is %v, want %v", key, v, want)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	no, two, eps, minus := false, float32(2), float32(0), int32(-1)
	bad := Options{Type: "q4_k", TokenEmbedding: "i2_s", OutputTensor: "auto", ScaleRule: "add", HiddenActivation: "gelu", PreTokenizer: "bert", Dialect: "llada",
		Mode: "autoregressive", SubLNEps: &eps, Threshold: &two, MaskToken: &minus, NoMask: true, BlockSize: -1, Threads: -1}
	err := bad.Validate()
	requireCode(t, err, "USAGE", "no checkpoint", "--outtype", `"q4_k"`, "--token-embedding-type", "--output-tensor-type", "--scale-rule", "--hidden-activation",
		"--pre-tokenizer", "--dialect", "--decode-mode", "--subln-eps", "--threshold", "--mask-token-id", "--block-size", "--threads")
	for _, o := range []Options{
		{Path: "x", Type: "i2_s", KeepMasterWeights: true}, {Path: "x", Ternarize: true, KeepMasterWeights: true}, {Path: "x", Dialect: "fast-dllm-v2", ShiftLogits: &no},
	} {
		if fault.Code(o.Validate()) != "USAGE" {
			t.Errorf("%+v passes", o)
		}
	}
	if err := (&Options{Path: "x"}).Validate(); err != nil {
		t.Errorf("zero options: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(configText(f), []byte(`{"eos_token_id": [3, 4]}`), []byte(`{"mask_token_id": 4}`))
	f.Add(configText(f, "rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}), []byte(nil), []byte(nil))
	f.Add(configText(f, "quantization_config", map[string]any{"quant_method": "bitnet", "linear_class": "autobitlinear", "modules_to_not_convert": []string{"lm_head"}}), []byte(`{}`), []byte(nil))
	f.Add([]byte(`{"dlm": {"enabled": true}, "architectures": [null], "head_dim": -0.5}`), []byte(`[`), []byte(`{"dialect": 1}`))
	f.Add([]byte(`{"a":"\ud83d\ude00\ud800"}`), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, config, generation, dlm []byte) {
		c, err := ParseConfig(config, generation, dlm)
		if err != nil {
			if code := fault.Code(err); !strings.HasPrefix(code, "CONFIG_") && code != "UNSUPPORTED_CONFIG" {
				t.Errorf("%v has code %q", err, code)
			}
			return
		}
		if c.HeadDim < 2 || c.HeadDim%2 != 0 || c.NumAttentionHeads%c.NumKeyValueHeads != 0 || !(c.RMSNormEps > 0) || !(c.RopeTheta > 0) {
			t.Errorf("%+v passed", c)
		}
	})
}
