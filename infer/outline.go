package infer

import (
	"cmp"
	"runtime"

	"github.com/wrinklefree/wf/gguf"
)

// Outline is what the header of a file says of a model.
type Outline struct {
	Config  Config
	Mapped  uint64 // bytes of weights that are used where they lie in the file: the page cache holds them, and may drop them
	Weights uint64 // bytes of weights that are laid out anew at load
	Cache   uint64 // bytes of keys and values for the positions that were asked for
	Pass    uint64 // bytes of buffers for the largest pass over so many positions, logits included
}

// Check makes every check of LoadFile but those of the weights, and says what memory running the model would take, with a cache of so many
// positions (0: as many as the model was trained for). The file need not be mapped.
func Check(f *gguf.File, o Options, positions int) (*Outline, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d, err := decide(f, &o)
	if err != nil {
		return nil, err
	}
	c := &d.model.config
	if positions == 0 {
		positions = c.Context
	}
	positions = min(positions, c.Context)
	return &Outline{
		Config: *c, Mapped: d.weights.mapped, Weights: d.weights.need, Cache: cacheBytes(c, o.CacheType, positions),
		Pass: passBytes(c, min(positions, maxRows), positions, cmp.Or(o.Threads, runtime.GOMAXPROCS(0))),
	}, nil
}

// Fits refuses a model that this machine cannot hold (MEMORY_ESTIMATE): all its weights, where they lie or laid out anew, and the buffers of a pass.
func (o *Outline) Fits() error {
	return fitsMemory("the weights and the buffers of a pass", o.Mapped+o.Weights+o.Pass, availableMemory())
}
