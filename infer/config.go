package infer

import (
	"fmt"
	"math"
	"slices"

	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// Config is what the file says of the model, checked: every number is in the range that its field allows, and the shapes of the tensors
// agree with it.
type Config struct {
	Architecture string // llama, bitnet, bitnet-b1.58, bitnet-25, qwen2
	Layers       int    // 1..512
	Hidden       int    // width of the residual stream
	FeedForward  int    // width inside the feed-forward part
	Heads        int    // query heads, a multiple of KVHeads
	KVHeads      int
	HeadDim      int // even
	Context      int // positions the model was trained for; a cache may be smaller
	Vocab        int // rows of the token embedding
	RMSNormEps   float32
	SubLNEps     float32 // of norms inside a layer's two parts; RMSNormEps unless wf.subln.eps differs
	RopeTheta    float32
	Activation   string // silu, relu2
	Int8         bool   // F32, F16 and BF16 projections take int8 activations where their weights are ternary
	Diffusion    *DiffusionConfig
}

// arch is what the name of an architecture decides (FORMATS.md 6.3 to 6.5).
type arch struct {
	activation  string // where the file has no hidden_activation
	interleaved bool   // RoPE turns the pairs (2j, 2j+1); otherwise (j, j+d/2)
	bitnet      bool   // ternary projections by default, and sub-norms may occur
	biasQKV     bool   // q, k and v must have biases
	scales      bool   // a projection may have a tensor "blk.N.attn_q.scale" that multiplies its weights
}

var archs = map[string]arch{
	names.Llama:      {activation: names.SiLU, interleaved: true},
	names.BitNet:     {activation: names.SiLU, bitnet: true, scales: true},
	names.BitNetB158: {activation: names.ReLU2, bitnet: true},
	names.BitNet25:   {activation: names.ReLU2, bitnet: true},
	names.Qwen2:      {activation: names.SiLU, biasQKV: true},
}

// Bounds of what a file may claim. They keep every product of two of them far inside an int, so that a claim can be compared with the
// tensors before anything is allocated.
const (
	maxLayers  = 512
	maxWidth   = 1 << 26
	maxHeads   = 1 << 16
	maxHeadDim = 1 << 16
)

// config reads and checks everything that needs no tensor data. Of the tensors it looks at the shape of the embedding alone.
func (p *params) config(f *gguf.File, o *Options) (*Config, arch) {
	c := &Config{}
	c.Architecture, _ = value[string](p, names.Architecture)
	a, known := archs[c.Architecture]
	if !known {
		p.fail("MODEL_UNKNOWN_ARCH", "architecture %s is not one that wf runs (llama, bitnet, bitnet-b1.58, bitnet-25, qwen2)",
			fault.Quote(c.Architecture))
	}
	key := func(name string) string { return names.Arch(c.Architecture, name) }

	c.Layers = p.integer(key(names.BlockCount), required, 1, maxLayers)
	c.Context = p.integer(key(names.ContextLength), required, 1, math.MaxUint32)
	c.Hidden = p.integer(key(names.EmbeddingLength), required, 0, maxWidth)
	c.Vocab = p.embedding(f, c.Hidden)
	c.FeedForward = p.integer(key(names.FeedForward), required, 1, maxWidth)
	c.Heads = p.integer(key(names.HeadCount), required, 1, maxHeads)
	c.KVHeads = p.integer(key(names.HeadCountKV), c.Heads, 1, maxHeads)
	c.HeadDim = p.headDim(c, key)
	c.RMSNormEps = p.epsilon(key(names.RMSEpsilon), required)
	c.SubLNEps = p.epsilon(names.SubLNEps, float64(c.RMSNormEps))
	c.RopeTheta = p.float(key(names.RopeFreqBase), 10000, "a finite number of at least 1",
		func(theta float64) bool { return theta >= 1 && !math.IsInf(theta, 0) })
	c.Activation = p.activation(key(names.HiddenActivation), a, o)
	c.Int8 = p.choice(names.LinearActivation, a.linearActivation(), names.ActivationInt8, names.ActivationNone) == names.ActivationInt8
	c.Diffusion = p.diffusion(c, o)
	return c, a
}

func (a arch) linearActivation() string {
	if a.bitnet {
		return names.ActivationInt8
	}
	return names.ActivationNone
}

// embedding compares embedding_length with the token embedding [vocab, hidden] and returns the vocabulary's size.
func (p *params) embedding(f *gguf.File, hidden int) int {
	if p.err != nil {
		return 0
	}
	t, ok := f.Tensor(names.TokenEmbedding)
	switch {
	case !ok:
		p.fail("MODEL_TENSOR_MISSING", "tensor %q is missing, so the file holds no whole model", names.TokenEmbedding)
	case len(t.Dims) != 2 || t.Dims[0] != uint64(hidden):
		p.fail("MODEL_SHAPE_MISMATCH", "tensor %q: shape %v does not match embedding_length %d", names.TokenEmbedding, t.Dims, hidden)
	case t.Dims[1] > math.MaxInt32:
		p.fail("MODEL_SHAPE_MISMATCH", "tensor %q has %d rows; token ids are 31 bits", names.TokenEmbedding, t.Dims[1])
	default:
		return int(t.Dims[1])
	}
	return 0
}

// headDim checks what the attention's numbers say of each other.
func (p *params) headDim(c *Config, key func(string) string) int {
	if p.err != nil {
		return 0
	}
	if c.Heads%c.KVHeads != 0 {
		p.fail("MODEL_BAD_PARAM", "%s is %d, which is not a multiple of %s %d",
			key(names.HeadCount), c.Heads, key(names.HeadCountKV), c.KVHeads)
		return 0
	}
	share := 0 // of a head where no key_length is given
	if c.Hidden%c.Heads == 0 {
		share = c.Hidden / c.Heads
	}
	d := p.integer(key(names.KeyLength), share, 2, maxHeadDim)
	if v := p.integer(key(names.ValueLength), d, 2, maxHeadDim); p.err == nil && (v != d || d%2 != 0) {
		p.fail("MODEL_BAD_PARAM", "heads have keys of %d and values of %d numbers; wf needs the same even number", d, v)
	}
	if n := p.integer(key(names.RopeDimensions), d, 0, maxHeadDim); p.err == nil && n != d {
		p.fail("MODEL_UNSUPPORTED_ROPE", "%s is %d of a head's %d numbers; wf rotates whole heads", key(names.RopeDimensions), n, d)
	}
	return d
}

func (p *params) epsilon(key string, def float64) float32 {
	return p.float(key, def, "above 0 and at most 1", func(e float64) bool { return e > 0 && e <= 1 })
}

// activation settles the feed-forward activation. A bitnet architecture does not decide it: microsoft's converter labelled relu2 models
// "bitnet" and labels silu models "bitnet-b1.58".
func (p *params) activation(key string, a arch, o *Options) string {
	stated, ok := value[string](p, key)
	switch {
	case o.HiddenActivation != "":
		return o.HiddenActivation
	case ok && stated != names.SiLU && stated != names.ReLU2:
		p.fail("MODEL_UNSUPPORTED_ACTIVATION", "%s is %s; wf computes silu and relu2", key, fault.Quote(stated))
	case ok:
		return stated
	case a.bitnet:
		o.warn("the file has no %s; by its architecture it is taken to be %s, and --hidden-activation says otherwise", key, a.activation)
	}
	return a.activation
}

// i2sLayout settles how I2_S codes lie: as the file says, else as the caller says, else as in the published files.
func (p *params) i2sLayout(o *Options) quant.Layout {
	layout, err := quant.InputLayout(p.md, o.I2SLayout)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("infer: %w", err)
	}
	return layout
}

// params reads typed values. The first problem sticks, so that reads can be listed without a branch after each.
type params struct {
	md  *gguf.Metadata
	err error
}

func (p *params) fail(code, format string, args ...any) {
	if p.err == nil {
		p.err = fault.New(code, "infer: "+format, args...)
	}
}

func value[T any](p *params, key string) (v T, ok bool) {
	if p.err == nil {
		v, ok, p.err = gguf.Value[T](p.md, key)
	}
	return v, ok
}

// required, in place of a default, says that a key must be there.
const required = -1

func (p *params) missing(key string) {
	p.fail("MODEL_BAD_PARAM", "key %s is missing; a model needs it", key)
}

// integer reads a u32 from lo to hi. The default is held to the same range.
func (p *params) integer(key string, def, lo, hi int) int {
	v, ok := value[uint32](p, key)
	switch n := int(v); {
	case p.err != nil:
		return lo
	case !ok && def == required:
		p.missing(key)
	case !ok:
		n = def
		fallthrough
	default:
		if lo <= n && n <= hi {
			return n
		}
		p.fail("MODEL_BAD_PARAM", "%s is %d; it must be %d to %d", key, n, lo, hi)
	}
	return lo
}

// float reads an f32 for which valid holds; want says in words what that is.
func (p *params) float(key string, def float64, want string, valid func(float64) bool) float32 {
	v, ok := value[float32](p, key)
	switch {
	case p.err != nil:
	case !ok && def == required:
		p.missing(key)
	case !ok:
		return float32(def)
	case !valid(float64(v)):
		p.fail("MODEL_BAD_PARAM", "%s is %v; it must be %s", key, v, want)
	}
	return v
}

// choice reads one of a few words.
func (p *params) choice(key, def string, allowed ...string) string {
	v, ok := value[string](p, key)
	if !ok {
		return def
	}
	if !slices.Contains(allowed, v) {
		p.fail("MODEL_BAD_PARAM", "%s is %s; wf knows %s", key, fault.Quote(v), strings.Join(allowed, ", "))
	}
	return v
}
