package convert

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Ranges of config.json. The largest published decoder has 126 layers of 16384 and 262144 tokens.
const (
	maxTokens  = 1 << 20
	maxLayers  = 1024
	maxHidden  = 1 << 17
	maxFFN     = 1 << 20
	maxHeads   = 1 << 12
	maxContext = 1 << 30
)

// Config is what config.json and the files that belong to it say of a model. Names are those of config.json.
type Config struct {
	Architecture string // architectures[0]
	ModelType    string

	VocabSize, HiddenSize, IntermediateSize int
	NumHiddenLayers                         int
	NumAttentionHeads, NumKeyValueHeads     int
	HeadDim                                 int
	HeadDimStated                           bool
	MaxPositionEmbeddings                   int
	RMSNormEps                              float64
	SubLNEps                                *float64 // subln_eps
	HiddenAct                               string   // silu or relu2
	TieWordEmbeddings                       bool
	RopeTheta                               float64
	Rope                                    Rope
	Quantization                            *Quantization      // nil without quantization_config
	SpecialIDs                              map[string][]int32 // by name; eos has those of generation_config.json too
	Diffusion                               DiffusionSource
	WrinkleFree                             bool     // a dlm_config.json lies beside it
	Notices                                 []string // what was read and ignored
}

// Rope is rope_scaling, or rope_parameters of transformers 5.
type Rope struct {
	Type                          string // "" for none, linear, yarn, llama3
	Factor                        float64
	LowFreqFactor, HighFreqFactor float64 // llama3
	Original                      int     // original_max_position_embeddings, by the order of FORMATS.md 6.6
	AttentionFactor               float64 // yarn; 0 if not stated
	BetaFast, BetaSlow            float64 // yarn; 0 if not stated
}

// Quantization is quantization_config, with the defaults of transformers.
type Quantization struct {
	Method              string   // quant_method
	LinearClass         string   // bitlinear (default) or autobitlinear
	LinearClassStated   bool     //
	Mode                string   // offline (default) or online
	RMSNormEps          float64  // of *.rms_norm; not the model's
	ModulesToNotConvert []string // nil if not stated
}

// isBitNet reports whether the class name is BitNetForCausalLM in one of its two spellings: its float weights are master weights.
func (c *Config) isBitNet() bool { return strings.EqualFold(c.Architecture, "BitNetForCausalLM") }

// saysTernary reports whether the config claims that float weights are ternary already (WrinkleFree's exporter).
func (c *Config) saysTernary() bool {
	return c.Quantization != nil && c.Quantization.Method == "bitnet_ternary" && c.Quantization.Mode == "offline"
}

// specials are the special tokens of FORMATS.md 7.3, as config.json (<name>_token_id) and tokenizer_config.json (<name>_token) name them.
var specials = []string{"bos", "eos", "unk", "sep", "pad", "cls"}

// ParseConfig reads config.json. generation_config.json and dlm_config.json are optional: pass nil.
func ParseConfig(config, generation, dlm []byte) (*Config, error) {
	f, err := readObject("config.json", config, "CONFIG")
	if err != nil {
		return nil, err
	}
	c := &Config{SpecialIDs: map[string][]int32{}}
	c.identity(f)
	c.shape(f)
	c.rope(f)
	c.quantization(f)
	for _, name := range specials {
		c.SpecialIDs[name] = f.ids(name + "_token_id")
	}
	var g, sidecar fields
	if generation != nil {
		if g, err = readObject("generation_config.json", generation, "CONFIG"); err != nil {
			return nil, err
		}
		c.SpecialIDs["eos"] = append(c.SpecialIDs["eos"], g.ids("eos_token_id")...)
	}
	if c.WrinkleFree = dlm != nil; c.WrinkleFree {
		if sidecar, err = readObject("dlm_config.json", dlm, "CONFIG"); err != nil {
			return nil, err
		}
	}
	c.Diffusion = readDiffusion(f, sidecar)
	if err := errors.Join(f.err(), g.err(), sidecar.err()); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) note(format string, args ...any) {
	c.Notices = append(c.Notices, fmt.Sprintf(format, args...))
}

func (c *Config) identity(f fields) {
	if list := f.texts("architectures"); len(list) > 0 {
		c.Architecture = list[0]
	} else {
		f.missing("architectures")
	}
	c.ModelType, _ = f.text("model_type")
	if f.has("auto_map") {
		c.note("config.json names its own Python code (auto_map); wf never runs or fetches code, the entry is ignored")
	}
}

func (c *Config) shape(f fields) {
	c.VocabSize = f.requiredInteger("vocab_size", maxTokens)
	c.HiddenSize = f.requiredInteger("hidden_size", maxHidden)
	c.IntermediateSize = f.requiredInteger("intermediate_size", maxFFN)
	c.NumHiddenLayers = f.requiredInteger("num_hidden_layers", maxLayers)
	c.NumAttentionHeads = f.requiredInteger("num_attention_heads", maxHeads)
	c.MaxPositionEmbeddings = f.requiredInteger("max_position_embeddings", maxContext)

	c.NumKeyValueHeads = c.NumAttentionHeads
	if v, ok := f.integer("num_key_value_heads", 1, maxHeads); ok {
		if c.NumKeyValueHeads = int(v); c.NumAttentionHeads%c.NumKeyValueHeads != 0 {
			f.wrong("num_key_value_heads", "a divisor of num_attention_heads")
		}
	}
	if v, ok := f.integer("head_dim", 2, maxHidden); ok {
		if c.HeadDim, c.HeadDimStated = int(v), true; v%2 != 0 {
			f.wrong("head_dim", "an even number")
		}
	} else if h := c.NumAttentionHeads; h > 0 && c.HiddenSize > 0 {
		if c.HeadDim = c.HiddenSize / h; c.HiddenSize%h != 0 || c.HeadDim%2 != 0 {
			f.wrong("hidden_size", "an even multiple of num_attention_heads, or a head_dim")
		}
	}

	c.RMSNormEps = f.requiredNumber("rms_norm_eps", 1e-12, 1)
	if eps, ok := f.number("subln_eps", 1e-12, 1); ok {
		c.SubLNEps = &eps
	}
	c.TieWordEmbeddings, _ = f.boolean("tie_word_embeddings")

	// The default is the config class's, which model_type selects: a BitnetForCausalLM of model_type llama has LlamaConfig's.
	var ok bool
	if c.HiddenAct, ok = f.text("hidden_act"); !f.has("hidden_act") {
		c.HiddenAct = names.SiLU
		if c.ModelType == "bitnet" || c.ModelType == "" && c.isBitNet() {
			c.HiddenAct = names.ReLU2
		}
	} else if ok && c.HiddenAct != names.SiLU && c.HiddenAct != names.ReLU2 {
		f.unsupported("hidden_act is %s; wf knows silu and relu2", fault.Quote(c.HiddenAct))
	}
	f.wholeHeads()
	if window, ok := f.integer("sliding_window", 1, math.MaxInt64); ok && window < int64(c.MaxPositionEmbeddings) {
		if used, stated := f.boolean("use_sliding_window"); used || !stated {
			c.note("config.json limits attention to a window of the last %d positions, which GGUF here does not store: beyond it results differ", window)
		}
	}
}

// wholeHeads refuses rotation of a part of each head.
func (f fields) wholeHeads() {
	if v, ok := f.number("partial_rotary_factor", 0, 1); ok && v != 1 {
		f.unsupported("%s is %v; wf rotates whole heads only", fault.Quote(f.path+"partial_rotary_factor"), v)
	}
}

func (c *Config) rope(f fields) {
	c.RopeTheta = 10000
	if c.ModelType == "bitnet" || c.ModelType == "" && c.isBitNet() {
		c.RopeTheta = 500000
	}
	scaling, ok := f.object("rope_parameters")
	if !ok {
		scaling, ok = f.object("rope_scaling")
	}
	if theta, ok := scaling.number("rope_theta", 1, 1e12); ok {
		c.RopeTheta = theta
	} else if theta, ok := f.number("rope_theta", 1, 1e12); ok {
		c.RopeTheta = theta
	}
	if !ok {
		return
	}
	scaling.wholeHeads()
	for _, key := range []string{"mscale", "mscale_all_dim"} {
		if scaling.has(key) {
			f.unsupported("%s is set, which GGUF here does not store", fault.Quote(scaling.path+key))
		}
	}
	kind, ok := scaling.text("rope_type")
	if !ok {
		kind, _ = scaling.text("type")
	}
	r := Rope{Type: kind}
	switch kind {
	case "", "default":
		return
	case "linear", "yarn", "llama3":
	default:
		f.unsupported("rope_type is %s; wf knows default, linear, yarn and llama3", fault.Quote(kind))
		return
	}
	r.Factor = scaling.requiredNumber("factor", 1, 1e6)
	r.Original = c.MaxPositionEmbeddings
	inner, innerStated := scaling.integer("original_max_position_embeddings", 1, maxContext)
	outer, outerStated := f.integer("original_max_position_embeddings", 1, maxContext)
	if innerStated {
		r.Original = int(inner)
	}
	if outerStated {
		if r.Original = int(outer); innerStated && inner != outer {
			c.note("original_max_position_embeddings is %d in config.json and %d in its rope scaling; transformers takes the first, and so does wf", outer, inner)
		}
	}
	switch kind {
	case "llama3":
		r.LowFreqFactor = scaling.requiredNumber("low_freq_factor", 1e-6, 1e6)
		r.HighFreqFactor = scaling.requiredNumber("high_freq_factor", 1e-6, 1e6)
		if r.LowFreqFactor >= r.HighFreqFactor && r.HighFreqFactor > 0 {
			scaling.wrong("high_freq_factor", "more than low_freq_factor")
		}
	case "yarn":
		r.AttentionFactor, _ = scaling.number("attention_factor", 1e-6, 1e6)
		r.BetaFast, _ = scaling.number("beta_fast", 1e-6, 1e6)
		r.BetaSlow, _ = scaling.number("beta_slow", 1e-6, 1e6)
	}
	c.Rope = r
}

func (c *Config) quantization(f fields) {
	q, ok := f.object("quantization_config")
	if !ok {
		return
	}
	z := &Quantization{LinearClass: "bitlinear", Mode: "offline", RMSNormEps: 1e-6}
	z.Method, _ = q.text("quant_method")
	if class, ok := q.text("linear_class"); ok {
		z.LinearClass, z.LinearClassStated = class, true
	}
	if mode, ok := q.text("quantization_mode"); ok {
		z.Mode = mode
	}
	if eps, ok := q.number("rms_norm_eps", 1e-12, 1); ok {
		z.RMSNormEps = eps
	}
	z.ModulesToNotConvert = q.texts("modules_to_not_convert")
	refuse := func(key, value string, known ...string) {
		for _, k := range known {
			if value == k {
				return
			}
		}
		f.unsupported("quantization_config.%s is %s; wf knows %s", key, fault.Quote(value), strings.Join(known, ", "))
	}
	refuse("quant_method", z.Method, "bitnet", "bitnet_ternary")
	refuse("linear_class", z.LinearClass, "bitlinear", "autobitlinear")
	refuse("quantization_mode", z.Mode, "offline", "online")
	c.Quantization = z
}
