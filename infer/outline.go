package infer

import (
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/quant"
)

// Outline is what the header of a file says of a model.
type Outline struct {
	Config  Config
	Mapped  uint64 // bytes of weights that are used where they lie in the file: the page cache holds them, and may drop them
	Weights uint64 // bytes of weights that are laid out anew at load
	Cache   uint64 // bytes of keys and values for the positions that were asked for
}

// Check makes every check of LoadFile but those of the weights, and says what memory running the model would take, with a cache of so many
// positions (0: as many as the model was trained for). The file need not be mapped.
func Check(f *gguf.File, o Options, positions int) (*Outline, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d, err := decide(f, &o, true)
	if err != nil {
		return nil, err
	}
	c := &d.model.config
	if positions == 0 {
		positions = c.Context
	}
	out := &Outline{Config: *c, Weights: d.weights.need, Cache: cacheBytes(c, o.CacheType, min(positions, c.Context))}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if matrix := len(t.Dims) > 1; matrix && inPlace(t.Type) && !(quant.IsProjection(t.Name) && d.weights.takesInt8(t.Type)) {
			out.Mapped += t.Size
		}
	}
	return out, nil
}
