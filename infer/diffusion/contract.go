// Package diffusion decodes: block diffusion in both dialects of Fast-dLLM v2 and WrinkleFree, and plain autoregression.
package diffusion

import (
	"context"

	"github.com/wrinklefree/wf/infer"
)

// Model is what a decoder needs of infer.Model; tests put a stub here.
type Model interface {
	Config() *infer.Config
	NewCache(capacity int) (*infer.Cache, error)
	Forward(segments []*infer.Segment) error
}

// Options of one request; the zero value takes the file's and the dialect's defaults (DECODING.md).
type Options struct {
	Mode                    string // "", iterative, greedy, adaptive, autoregressive
	Threshold               *float32
	BlockSize, SubBlockSize int // 0: the file's
	SubBlockCache           bool
	MaxIterations           int // 0: 10
	MaxTokens               int // 0: to the context's end
	Context                 int // 0: min(model, 4096)
	Temperature             float32
	TopK                    int
	TopP, MinP              float32
	Seed                    *uint64
	Choice                  int
	Stop                    []int32
	StopStrings             []string
	Decode                  func(ids []int32) string // needed for StopStrings
	OnEvent                 func(Event)              // every pass
	OnTokens                func(ids []int32)        // settled prefix grew: exactly the new ids, in order, never revised
	Warn                    func(string)
}

// Take is one position filled in.
type Take struct {
	Position   int
	ID         int32
	Confidence float32
}

// Event is one pass, next token or fill, with the fields of the golden traces.
type Event struct {
	Event string // denoise, next, fill
	Block int
	Sub   int
	Pass  int
	Take  []Take
}

// Stats is what a decoder reports.
type Stats struct{}

// Result of a generation.
type Result struct {
	IDs          []int32 // new ids, the stop token included
	FinishReason string  // stop, length
	Seed         uint64
	Stats        Stats
}

// Decoder is one request's state machine: Next says which rows the next pass needs, Accept takes their logits. It never runs the model itself, so that an
// engine can put many decoders into one pass.
type Decoder struct{}

func NewDecoder(m Model, prompt []int32, o Options) (*Decoder, error) { panic("contract") }
func (d *Decoder) Next() *infer.Segment                               { panic("contract") } // nil when done
func (d *Decoder) Accept() error                                      { panic("contract") } // after Forward filled the segment
func (d *Decoder) Result() *Result                                    { panic("contract") }

// Generate runs one request to its end.
func Generate(ctx context.Context, m Model, prompt []int32, o Options) (*Result, error) {
	panic("contract")
}
