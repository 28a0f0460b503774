// Package convert writes a training checkpoint as a GGUF file.
//
// It decides first and moves bytes second:
//
//	config.json, tokenizer.json      Config, Tokenizer    what the model says it is (bounded, strict JSON)
//	safetensors / PyTorch headers    Inventory            names, dtypes, shapes: no weights
//	a look at the projections        Inventory.Values     are they ternary already, and at which scale
//	              |
//	          MakePlan                                    every rename, row order, scale, type and metadata key: plain data
//	              |
//	          write                                       decides nothing: same input, same bytes
//
// The rules are FORMATS.md 3 to 8. The three that cost other converters their models:
//
//   - a BitNet layer is ternarised (s = mean |W|, codes = round half even of W/s, clamped to -1..1) before it is written in any type,
//     unless its values are {-s, 0, s} already, in which case s is kept (a second mean would shrink it by the share of zeros);
//   - a packed layer's weight_scale multiplies for linear_class "autobitlinear" and divides for "bitlinear", the default;
//   - q and k rows are interleaved for architecture llama alone.
//
// A tensor that no rule claims stops the conversion.
package convert

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// Options of one conversion. The zero value of every field but Path works.
type Options struct {
	Path      string // the checkpoint: a folder, or one weight file
	ConfigDir string // where config.json and the tokenizer are; "" means beside the weights
	Out       string // "" means <Name>-<TYPE>.gguf in the working directory
	Name      string // general.name; "" means the checkpoint folder's name
	Version   string // wf.version: the release that writes the file

	Format         string   // "" or gguf, or FormatSGL, for which types are settled
	Type           string   // type of the matrices, in any case: f16 ("" too), bf16, f32, q8_0, i2_s, tq1_0, tq2_0 or auto
	TokenEmbedding string   // type of token_embd.weight; "" means what Type implies (FORMATS.md 2.11)
	OutputTensor   string   // type of output.weight; the same
	TensorTypes    []string // REGEX=TYPE by GGUF name, the first match decides; quant.Rule
	OverrideKV     []string // metadata to set: KEY=TYPE:VALUE; quant.Override

	SplitMaxSize    uint64 // see quant.File.Split
	Force           bool   // replace Out; let MaskToken differ from the checkpoint's
	DryRun          bool   // plan and report, write nothing
	AllowSuspicious bool   // let constant matrices through, and record them

	Ternarize         bool     // the float projections are master weights of a ternary model, whatever the config says
	KeepMasterWeights bool     // write master weights as they are; the file is marked and refuses ternary types
	ScaleRule         string   // "", multiply or divide: how a packed layer's weight_scale acts; "" follows quantization_config
	SubLNEps          *float32 // epsilon of the norms on the inputs of projections; nil follows the checkpoint
	HiddenActivation  string   // "", silu or relu2; "" follows the checkpoint
	PreTokenizer      string   // tokenizer.ggml.pre; "" follows the structure of tokenizer.json

	MaskToken    *int32   // the mask token's id; nil follows the checkpoint
	NoMask       bool     // the model is autoregressive, whatever the checkpoint says
	Dialect      string   // "", fast-dllm-v2 or wrinklefree (DECODING.md)
	BlockSize    int      // tokens per diffusion block; 0 follows the checkpoint, then 32
	SubBlockSize int      // tokens per sub-block; 0 follows the checkpoint, then 8
	Threshold    *float32 // default confidence, 0..1; nil writes only what the checkpoint states
	Mode         string   // "", iterative, greedy or adaptive; "" writes only what the checkpoint states
	ShiftLogits  *bool    // nil follows the checkpoint, then true

	Threads  int                     // 0 means every processor; no effect on the bytes
	Progress func(done, total int64) // bytes of output written
	Notice   func(string)            // what a person should know, one sentence each; Report.Notices has them too

	calls disk.Calls // tests make the disk fail
}

// auto chooses I2_S if every projection is ternary and fits, else F16, else BF16 where F16 would overflow.
const auto = "auto"

func isAuto(name string) bool { return strings.EqualFold(name, auto) }

// usage makes the error of a flag that cannot be right.
func usage(format string, args ...any) error { return fault.New("USAGE", format, args...) }

// Choices lists, by its flag, what an option that is a word may be.
var Choices = map[string][]string{
	"outtype":              {"f16", "bf16", "f32", "q8_0", "i2_s", "tq1_0", "tq2_0", auto},
	"token-embedding-type": {"f16", "bf16", "f32", "q8_0", "q6_k", "q4_0"},
	"output-tensor-type":   {"f16", "bf16", "f32", "q8_0", "q6_k", "q4_0"},
	"format":               {"gguf", FormatSGL},
	"scale-rule":           {multiply, divide},
	"hidden-activation":    {names.SiLU, names.ReLU2},
	"pre-tokenizer":        preTokenizers,
	"dialect":              {names.DialectFastDLLM, names.DialectWrinkleFree},
	"decode-mode":          {names.ModeIterative, names.ModeGreedy, names.ModeAdaptive},
}

// Validate returns every problem of the options at once, each with code USAGE.
func (o *Options) Validate() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, usage(format, args...)) }
	oneOf := func(flag, value string) {
		if allowed := Choices[flag]; value != "" && !slices.Contains(allowed, value) {
			add("--%s is %s; want %s", flag, fault.Quote(value), strings.Join(allowed, ", "))
		}
	}

	if o.Path == "" {
		add("no checkpoint is named")
	}
	oneOf("outtype", strings.ToLower(o.Type))
	oneOf("token-embedding-type", strings.ToLower(o.TokenEmbedding))
	oneOf("output-tensor-type", strings.ToLower(o.OutputTensor))
	oneOf("format", o.Format)
	if o.Format == FormatSGL && (o.SplitMaxSize > 0 || len(o.TensorTypes)+len(o.OverrideKV) > 0 || o.KeepMasterWeights) {
		add("--format %s has no place for --split-max-size, --tensor-type, --override-kv and --keep-master-weights", FormatSGL)
	}
	if _, err := quant.ParseRules(o.TensorTypes); err != nil {
		problems = append(problems, err)
	}
	for _, text := range o.OverrideKV {
		if _, err := quant.ParseOverride(text); err != nil {
			problems = append(problems, err)
		}
	}
	if target := parseType(o.Type); o.KeepMasterWeights && (quant.IsTernary(target) || isAuto(o.Type)) {
		add("--keep-master-weights keeps values that a ternary type cannot hold; --outtype %s asks for one", strings.ToLower(o.Type))
	}
	if o.KeepMasterWeights && o.Ternarize {
		add("--keep-master-weights and --ternarize contradict each other")
	}
	oneOf("scale-rule", o.ScaleRule)
	oneOf("hidden-activation", o.HiddenActivation)
	oneOf("pre-tokenizer", o.PreTokenizer)
	oneOf("dialect", o.Dialect)
	oneOf("decode-mode", o.Mode)
	if e := o.SubLNEps; e != nil && !(*e > 0 && *e < 1) {
		add("--subln-eps is %v; want a number above 0 and below 1", *e)
	}
	if t := o.Threshold; t != nil && !(*t >= 0 && *t <= 1) {
		add("--threshold is %v; want a number from 0 to 1", *t)
	}
	if o.NoMask && o.MaskToken != nil {
		add("--mask-token-id cannot be both a number and none")
	}
	if m := o.MaskToken; m != nil && *m < 0 {
		add("--mask-token-id is %d; want a token id or none", *m)
	}
	if o.BlockSize < 0 || o.SubBlockSize < 0 || o.BlockSize > math.MaxInt32 || o.SubBlockSize > math.MaxInt32 {
		add("--block-size %d and --sub-block-size %d: want positive numbers of tokens", o.BlockSize, o.SubBlockSize)
	}
	if o.ShiftLogits != nil && !*o.ShiftLogits && o.Dialect == names.DialectFastDLLM {
		add("--shift-logits=false belongs to dialect %s only", names.DialectWrinkleFree)
	}
	if o.Threads < 0 {
		add("--threads is %d; want a positive number", o.Threads)
	}
	return errors.Join(problems...)
}

// types returns what the options ask of tensor types; auto is settled later.
func (o *Options) types() (quant.Types, error) {
	rules, err := quant.ParseRules(o.TensorTypes)
	return quant.Types{
		Type: parseType(o.Type), Rules: rules,
		TokenEmbedding: parseType(o.TokenEmbedding), HasTokenEmbedding: o.TokenEmbedding != "",
		OutputTensor: parseType(o.OutputTensor), HasOutputTensor: o.OutputTensor != "",
	}, err
}

// parseType reads a valid type's name. "" is F16; what auto is the plan decides.
func parseType(name string) gguf.Type {
	if t, ok := gguf.ParseType(name); ok {
		return t
	}
	return gguf.F16
}
