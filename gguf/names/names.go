// Package names holds the metadata keys and tensor names that the writer of a model file (convert) and its reader (infer) must agree on.
//
// Sources: gguf-py/gguf/constants.py for the shared keys; keys that begin with "wf." are this project's own and ignored elsewhere.
package names

import "fmt"

// Keys of every file.
const (
	Architecture        = "general.architecture"
	Type                = "general.type"
	Name                = "general.name"
	FileType            = "general.file_type"
	QuantizationVersion = "general.quantization_version"
	Alignment           = "general.alignment"   // of the data section and of every tensor; absent: 32
	SplitNumber         = "split.no"            // of a split model: which file this is, from 0; uint16
	SplitCount          = "split.count"         // how many there are; uint16
	SplitTensors        = "split.tensors.count" // how many tensors all have together; int32
)

// Keys of the model's shape: each stands behind the architecture and a dot, as Arch joins them.
const (
	BlockCount       = "block_count"
	ContextLength    = "context_length"
	EmbeddingLength  = "embedding_length"
	FeedForward      = "feed_forward_length"
	HeadCount        = "attention.head_count"
	HeadCountKV      = "attention.head_count_kv"
	KeyLength        = "attention.key_length"
	ValueLength      = "attention.value_length"
	RMSEpsilon       = "attention.layer_norm_rms_epsilon"
	RopeDimensions   = "rope.dimension_count"
	RopeFreqBase     = "rope.freq_base"
	RopeScalingType  = "rope.scaling.type"
	RopeFactor       = "rope.scaling.factor"
	RopeOriginal     = "rope.scaling.original_context_length"
	RopeExtFactor    = "rope.scaling.yarn_ext_factor"
	RopeAttnFactor   = "rope.scaling.yarn_attn_factor"
	RopeBetaFast     = "rope.scaling.yarn_beta_fast"
	RopeBetaSlow     = "rope.scaling.yarn_beta_slow"
	VocabSize        = "vocab_size"
	HiddenActivation = "hidden_activation"
)

// Arch returns the key of a model parameter: Arch("llama", BlockCount) is "llama.block_count".
func Arch(architecture, key string) string { return architecture + "." + key }

// Tokenizer keys.
const (
	TokenizerModel  = "tokenizer.ggml.model"
	TokenizerPre    = "tokenizer.ggml.pre"
	Tokens          = "tokenizer.ggml.tokens"
	TokenType       = "tokenizer.ggml.token_type"
	Scores          = "tokenizer.ggml.scores"
	Merges          = "tokenizer.ggml.merges"
	BOS             = "tokenizer.ggml.bos_token_id"
	EOS             = "tokenizer.ggml.eos_token_id"
	EOT             = "tokenizer.ggml.eot_token_id"
	EOM             = "tokenizer.ggml.eom_token_id"
	Unknown         = "tokenizer.ggml.unknown_token_id"
	Padding         = "tokenizer.ggml.padding_token_id"
	CLS             = "tokenizer.ggml.cls_token_id"
	Separator       = "tokenizer.ggml.seperator_token_id" // llama.cpp's spelling; readers accept the other too
	SeparatorSpelt  = "tokenizer.ggml.separator_token_id"
	MaskToken       = "tokenizer.ggml.mask_token_id"
	AddBOS          = "tokenizer.ggml.add_bos_token"
	AddEOS          = "tokenizer.ggml.add_eos_token"
	AddSpacePrefix  = "tokenizer.ggml.add_space_prefix"
	ChatTemplate    = "tokenizer.chat_template"
	ChatTemplates   = "tokenizer.chat_templates"
	HuggingFaceJSON = "tokenizer.huggingface.json"
)

// Token types, the values of TokenType.
const (
	TokenNormal      = 1
	TokenUnknown     = 2
	TokenControl     = 3
	TokenUserDefined = 4
	TokenUnused      = 5
	TokenByte        = 6
)

// Diffusion and provenance keys (wf's own but for the first).
const (
	ShiftLogits       = "diffusion.shift_logits"
	Dialect           = "wf.diffusion.dialect"
	BlockSize         = "wf.diffusion.block_size"
	SubBlockSize      = "wf.diffusion.sub_block_size"
	Threshold         = "wf.diffusion.threshold"
	Mode              = "wf.diffusion.mode"
	StopTokens        = "wf.stop_token_ids"
	Version           = "wf.version"
	Options           = "wf.options"
	SourceFiles       = "wf.source.files"
	SourceArch        = "wf.source.architecture"
	TensorHashes      = "wf.tensor.xxh64"
	LinearActivation  = "wf.linear.activation"
	I2SLayout         = "wf.i2_s.layout"
	QuantSource       = "wf.quant.source"
	ScaleRule         = "wf.quant.scale_rule"
	AllowedSuspicious = "wf.quant.allowed_suspicious"
	SubLNEps          = "wf.subln.eps"
)

// Values of TokenizerModel.
const (
	ModelBPE = "gpt2"  // byte-level BPE, by merges
	ModelSPM = "llama" // SentencePiece's BPE, by scores
)

// Values of Dialect, Mode, LinearActivation, ScaleRule and hidden activation.
const (
	DialectFastDLLM    = "fast-dllm-v2"
	DialectWrinkleFree = "wrinklefree"

	ModeIterative      = "iterative"
	ModeGreedy         = "greedy"
	ModeAdaptive       = "adaptive"
	ModeAutoregressive = "autoregressive"

	ActivationInt8 = "int8"
	ActivationNone = "none"

	ScaleAbsMean = "absmean"
	ScaleKept    = "kept"
	ScaleNone    = "none" // raw master weights

	SiLU  = "silu"
	ReLU2 = "relu2"
)

// Architectures that wf writes and runs.
const (
	Llama      = "llama"
	BitNet     = "bitnet"
	BitNetB158 = "bitnet-b1.58"
	BitNet25   = "bitnet-25"
	Qwen2      = "qwen2"
)

// Tensors outside the layers.
const (
	TokenEmbedding = "token_embd.weight"
	OutputNorm     = "output_norm.weight"
	Output         = "output.weight"
	RopeFreqs      = "rope_freqs.weight"
)

// Parts of a layer; Block joins them to a layer number and "weight" or "bias".
const (
	AttnNorm    = "attn_norm"
	AttnQ       = "attn_q"
	AttnK       = "attn_k"
	AttnV       = "attn_v"
	AttnOutput  = "attn_output"
	AttnSubNorm = "attn_sub_norm"
	FFNNorm     = "ffn_norm"
	FFNGate     = "ffn_gate"
	FFNUp       = "ffn_up"
	FFNDown     = "ffn_down"
	FFNSubNorm  = "ffn_sub_norm"
	NormIn      = "_norm_in" // behind the name of a projection: an RMSNorm on its input (microsoft's embedding-model fork)
)

// Projections are the seven matrices of a layer that BitNet makes ternary.
var Projections = [...]string{AttnQ, AttnK, AttnV, AttnOutput, FFNGate, FFNUp, FFNDown}

// Block returns a layer's tensor name: Block(3, AttnQ, "weight") is "blk.3.attn_q.weight".
func Block(layer int, part, kind string) string {
	return fmt.Sprintf("blk.%d.%s.%s", layer, part, kind)
}
