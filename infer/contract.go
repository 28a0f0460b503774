// Package infer runs a GGUF model: it maps the file, checks what it says, and computes logits for any rows at any positions.
package infer

import (
	"github.com/wrinklefree/wf/gguf"
)

// Config is what the file says of the model.
type Config struct {
	Architecture                                                         string // llama, bitnet, bitnet-b1.58, qwen2
	Layers, Hidden, FeedForward, Heads, KVHeads, HeadDim, Context, Vocab int
	RMSNormEps, SubLNEps, RopeTheta                                      float32
	Activation                                                           string           // silu, relu2
	Diffusion                                                            *DiffusionConfig // nil for an autoregressive model
}

// DiffusionConfig is the file's diffusion metadata (FORMATS.md 8.3), checked; Mode "" and Threshold nil when the file states none.
type DiffusionConfig struct {
	Dialect                 string // fast-dllm-v2, wrinklefree
	MaskToken               int32
	ShiftLogits             bool
	BlockSize, SubBlockSize int
	Threshold               *float32
	Mode                    string
}

// Options of loading. The zero value works.
type Options struct {
	Threads                 int
	CacheType               gguf.Type // F32 (0, default) or F16
	I2SLayout               string
	HiddenActivation        string
	MaskToken               *int32 // --mask-token-id N; NoMask for none
	NoMask                  bool
	Dialect                 string
	BlockSize, SubBlockSize int
	Warn                    func(string) // warnings for a person, one sentence each
}

// Model is a loaded model. Its weights are read-only; Forward may not be called concurrently (one pass uses all threads).
type Model struct{}

func Load(path string, o Options) (*Model, error)      { panic("contract") }
func LoadFile(f *gguf.File, o Options) (*Model, error) { panic("contract") } // f from gguf.Map, or gguf.Parse of embedded bytes
func (m *Model) Close() error                          { panic("contract") }
func (m *Model) Config() *Config                       { panic("contract") }
func (m *Model) Metadata() *gguf.Metadata              { panic("contract") }

// Cache holds keys and values by absolute position, 0 up to its capacity. Positions below Len are final; those at and above it belong to the
// block being denoised and are overwritten by each pass.
type Cache struct{}

// NewCache allocates room for capacity positions; MEMORY_ESTIMATE with need and available if the machine has not that much.
func (m *Model) NewCache(capacity int) (*Cache, error) { panic("contract") }
func (c *Cache) Len() int                              { panic("contract") }
func (c *Cache) Cap() int                              { panic("contract") }
func (c *Cache) SetLen(n int)                          { panic("contract") } // commit (n > Len) or roll back (n < Len)

// Mask says which positions a row sees.
type Mask struct {
	Block int // 0: causal, j <= i. B > 0: block-causal, j/B <= i/B.
}

// Segment is one request's rows in a pass: consecutive positions Start, Start+1, ... Their keys and values are written to Cache first; then row i
// sees every position j that Mask allows with j < Extent (0: Start+len(IDs)), whether written in this pass or before.
type Segment struct {
	Cache  *Cache
	Start  int
	IDs    []int32
	Extent int
	Mask   Mask
	Logits []int     // rows (indices into IDs) whose logits are wanted, ascending
	Out    []float32 // [len(Logits), Vocab]; grown if too small. Owned by the caller between passes
}

// Forward runs one pass over the rows of all segments (continuous batching: results do not depend on neighbours). A NaN or infinity in the
// network of a segment is reported as NUMERIC_ERROR in Segment.Err... see infer.
func (m *Model) Forward(segments []*Segment) error { panic("contract") }
