package infer

import (
	"strings"

	"github.com/wrinklefree/wf/gguf/names"
)

// DiffusionConfig says how a model decodes by block diffusion (DECODING.md; keys in FORMATS.md 8.3), checked.
type DiffusionConfig struct {
	Dialect      string // fast-dllm-v2, wrinklefree
	MaskToken    int32
	ShiftLogits  bool     // row i-1 predicts position i; false only for wrinklefree
	BlockSize    int      // tokens
	SubBlockSize int      // tokens; divides BlockSize
	Threshold    *float32 // 0..1; nil where the file states none
	Mode         string   // iterative, greedy, adaptive; "" where the file states none
}

// Both are what every published model was trained with.
const (
	defaultBlockSize    = 32
	defaultSubBlockSize = 8
)

// diffusion returns nil for an autoregressive model: one without a mask token.
func (p *params) diffusion(c *Config, o *Options) *DiffusionConfig {
	if p.err != nil || o.NoMask {
		return nil
	}
	mask, ok := p.mask(c, o)
	if !ok {
		return nil
	}
	d := &DiffusionConfig{MaskToken: mask}
	d.Dialect = p.choice(names.Dialect, names.DialectWrinkleFree, names.DialectFastDLLM, names.DialectWrinkleFree)
	if o.Dialect != "" {
		d.Dialect = o.Dialect
	}
	d.Mode = p.choice(names.Mode, "", names.ModeIterative, names.ModeGreedy, names.ModeAdaptive)
	if threshold := p.float(names.Threshold, 0, "0 to 1", func(t float64) bool { return t >= 0 && t <= 1 }); p.md.Has(names.Threshold) {
		d.Threshold = &threshold
	}

	d.BlockSize = p.integer(names.BlockSize, defaultBlockSize, 1, c.Context)
	if o.BlockSize > 0 {
		d.BlockSize = o.BlockSize
	}
	d.SubBlockSize = p.integer(names.SubBlockSize, min(defaultSubBlockSize, d.BlockSize), 1, c.Context)
	if o.SubBlockSize > 0 {
		d.SubBlockSize = o.SubBlockSize
	}
	switch {
	case p.err != nil:
	case d.BlockSize > c.Context:
		p.fail("MODEL_BAD_PARAM", "a block of %d tokens is larger than the context of %d", d.BlockSize, c.Context)
	case d.BlockSize%d.SubBlockSize != 0:
		p.fail("MODEL_BAD_PARAM", "sub-blocks of %d tokens do not divide a block of %d; pass --sub-block-size", d.SubBlockSize, d.BlockSize)
	}

	shift, stated := value[bool](p, names.ShiftLogits)
	d.ShiftLogits = shift || !stated
	if !d.ShiftLogits && d.Dialect != names.DialectWrinkleFree {
		p.fail("MODEL_BAD_PARAM", "%s is false, which dialect %s does not have; only %s does",
			names.ShiftLogits, d.Dialect, names.DialectWrinkleFree)
	}
	return d
}

// mask settles the mask token: the caller's, else the file's. A token that stands for text cannot be the mask, since the model would never
// write it.
func (p *params) mask(c *Config, o *Options) (int32, bool) {
	stated, ok := value[uint32](p, names.MaskToken)
	id := int64(stated)
	switch {
	case p.err != nil:
		return 0, false
	case o.MaskToken != nil:
		id = int64(*o.MaskToken)
		if ok && id != int64(stated) {
			o.warn("--mask-token-id %d differs from the file's mask token %d", id, stated)
		}
	case !ok:
		for _, kv := range p.md.All() {
			if strings.HasPrefix(kv.Key, "wf.diffusion.") {
				p.fail("MODEL_BAD_MASK_TOKEN", "the file has %s but no %s; pass --mask-token-id with a number or none", kv.Key, names.MaskToken)
			}
		}
		return 0, false
	}
	if id < 0 || id >= int64(c.Vocab) {
		p.fail("MODEL_BAD_MASK_TOKEN", "mask token %d is outside the vocabulary of %d", id, c.Vocab)
		return 0, false
	}
	// An array of another type or length is the tokenizer's to refuse.
	if v, _ := p.md.Get(names.TokenType); v != nil {
		if types, ok := v.([]int32); ok && id < int64(len(types)) {
			switch types[id] {
			case names.TokenNormal, names.TokenUnknown, names.TokenByte:
				p.fail("MODEL_BAD_MASK_TOKEN", "mask token %d has token type %d, which is text; a mask is a control or user-defined token",
					id, types[id])
			}
		}
	}
	return int32(id), p.err == nil
}
