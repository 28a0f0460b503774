package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// DiffusionSource is what the files beside the weights say about block diffusion; nil and zero mean not stated.
type DiffusionSource struct {
	MaskToken    *int32
	Where        string // the file and key that states MaskToken
	Dialect      string
	BlockSize    int
	SubBlockSize int
	Threshold    *float64
	Mode         string
	ShiftLogits  *bool
}

// Diffusion is what the file will say (FORMATS.md 8.3, DECODING.md).
type Diffusion struct {
	MaskToken    int32    `json:"mask_token_id"`
	MaskSource   string   `json:"mask_source"` // where the id comes from
	Dialect      string   `json:"dialect"`
	ShiftLogits  bool     `json:"shift_logits"`
	BlockSize    int      `json:"block_size"`
	SubBlockSize int      `json:"sub_block_size"`
	Threshold    *float32 `json:"threshold,omitempty"`
	Mode         string   `json:"mode,omitempty"`
}

// maskText is the mask token of Fast-dLLM v2 and of WrinkleFree: its pipes stand outside the angle brackets.
const maskText = "|<MASK>|"

// maskLike are tokens that other models use as masks. They decide nothing: BERT-style training leaves them in causal vocabularies.
var maskLike = []string{"<mask>", "[MASK]", "<|mask|>"}

const (
	defaultBlockSize    = 32
	defaultSubBlockSize = 8
)

// readDiffusion gathers what is stated, in the order of DECODING.md, Metadata: config.json, its objects dlm and diffusion (unless "enabled"
// is false), dlm_config.json (fields without members if there is none). The first to state a value wins.
func readDiffusion(config, sidecar fields) DiffusionSource {
	var d DiffusionSource
	d.read(config)
	for _, key := range []string{"dlm", "diffusion"} {
		if object, ok := config.object(key); ok {
			if enabled, stated := object.boolean("enabled"); enabled || !stated {
				d.read(object)
				d.readSettings(object)
			}
		}
	}
	d.read(sidecar)
	d.readSettings(sidecar)
	return d
}

func (d *DiffusionSource) read(f fields) {
	if id, ok := f.integer("mask_token_id", 0, maxTokens-1); ok && d.MaskToken == nil {
		v := int32(id)
		d.MaskToken, d.Where = &v, f.doc.name+" ("+f.path+"mask_token_id)"
	}
	size := func(to *int, keys ...string) {
		for _, key := range keys {
			if v, ok := f.integer(key, 1, maxContext); ok && *to == 0 {
				*to = int(v)
			}
		}
	}
	size(&d.BlockSize, "bd_size", "block_size")
	size(&d.SubBlockSize, "sub_block_size", "small_block_size")
	f.word(&d.Dialect, "dialect", names.DialectFastDLLM, names.DialectWrinkleFree)
}

// readSettings reads what is too general a word for the top level of config.json.
func (d *DiffusionSource) readSettings(f fields) {
	f.word(&d.Mode, "decode_mode", names.ModeIterative, names.ModeGreedy, names.ModeAdaptive)
	if v, ok := f.number("threshold", 0, 1); ok && d.Threshold == nil {
		d.Threshold = &v
	}
	if v, ok := f.boolean("shift_logits"); ok && d.ShiftLogits == nil {
		d.ShiftLogits = &v
	}
}

// word reads one of the known words, unless to has one already.
func (f fields) word(to *string, key string, known ...string) {
	text, ok := f.text(key)
	switch {
	case !ok || *to != "":
	case slices.Contains(known, text):
		*to = text
	default:
		f.unsupported("%s is %s; wf knows %s", fault.Quote(f.path+key), fault.Quote(text), strings.Join(known, ", "))
	}
}

// planDiffusion settles the diffusion settings: flags, then what the checkpoint states, then a token |<MASK>|. It returns nil for an
// autoregressive model.
func planDiffusion(c *Config, t *Tokenizer, o *Options, note func(string, ...any)) (*Diffusion, error) {
	if o.NoMask {
		return nil, nil
	}
	s := &c.Diffusion
	d := &Diffusion{Dialect: o.Dialect, BlockSize: o.BlockSize, SubBlockSize: o.SubBlockSize, Threshold: o.Threshold, Mode: o.Mode, ShiftLogits: true}
	switch id, found := t.id(maskText); {
	case o.MaskToken != nil:
		if d.MaskToken, d.MaskSource = *o.MaskToken, "--mask-token-id"; s.MaskToken != nil && *s.MaskToken != d.MaskToken {
			if !o.Force {
				return nil, fault.New("MASK_MISMATCH", "--mask-token-id is %d, but %s says %d; a model decodes only with the mask it was trained with. "+
					"--force overrides", d.MaskToken, s.Where, *s.MaskToken)
			}
			note("--mask-token-id %d overrides the %d of %s", d.MaskToken, *s.MaskToken, s.Where)
		}
	case s.MaskToken != nil:
		d.MaskToken, d.MaskSource = *s.MaskToken, s.Where
	case found:
		d.MaskToken, d.MaskSource = id, "tokenizer.json, token "+maskText
	default:
		for _, text := range append(maskLike, t.MaskText) {
			if id, ok := t.id(text); ok && text != "" {
				note("token %s has id %d, but nothing says that the model was trained for diffusion; if it was, pass --mask-token-id %d", fault.Quote(text), id, id)
				break
			}
		}
		return nil, nil
	}

	if err := checkMask(d, c, t); err != nil {
		return nil, err
	}
	if d.Dialect == "" {
		if d.Dialect = s.Dialect; d.Dialect == "" {
			d.Dialect = names.DialectWrinkleFree
			if c.isFastDLLM() {
				d.Dialect = names.DialectFastDLLM
			}
		}
	}
	if d.BlockSize == 0 {
		if d.BlockSize = s.BlockSize; d.BlockSize == 0 {
			d.BlockSize = defaultBlockSize
		}
	}
	if d.SubBlockSize == 0 {
		if d.SubBlockSize = s.SubBlockSize; d.SubBlockSize == 0 {
			d.SubBlockSize = min(defaultSubBlockSize, d.BlockSize)
		}
	}
	if d.BlockSize > c.MaxPositionEmbeddings {
		return nil, fault.New("MODEL_BAD_PARAM", "block size %d is above the model's context of %d", d.BlockSize, c.MaxPositionEmbeddings)
	}
	if d.BlockSize%d.SubBlockSize != 0 {
		return nil, fault.New("MODEL_BAD_PARAM", "sub-block size %d does not divide block size %d; pass --sub-block-size", d.SubBlockSize, d.BlockSize)
	}
	if d.Threshold == nil && s.Threshold != nil {
		v := float32(*s.Threshold)
		d.Threshold = &v
	}
	if d.Mode == "" {
		d.Mode = s.Mode
	}
	if shift := o.ShiftLogits; shift != nil {
		d.ShiftLogits = *shift
	} else if s.ShiftLogits != nil {
		d.ShiftLogits = *s.ShiftLogits
	}
	if !d.ShiftLogits && d.Dialect == names.DialectFastDLLM {
		return nil, fault.New("MODEL_BAD_PARAM", "shift_logits is false, which only dialect %s has; the dialect is %s", names.DialectWrinkleFree, d.Dialect)
	}
	return d, nil
}

// checkMask refuses a mask that a decoder would refuse: beyond the vocabulary, or the id of ordinary text.
func checkMask(d *Diffusion, c *Config, t *Tokenizer) error {
	if int(d.MaskToken) >= c.VocabSize {
		return fault.New("MODEL_BAD_MASK_TOKEN", "mask token id %d (%s) is not below vocab_size %d", d.MaskToken, d.MaskSource, c.VocabSize)
	}
	if text, kind := t.token(int(d.MaskToken)); kind == names.TokenNormal || kind == names.TokenUnknown || kind == names.TokenByte {
		return fault.New("MODEL_BAD_MASK_TOKEN", "mask token id %d (%s) is the ordinary token %s; a mask is a special token", d.MaskToken, d.MaskSource, fault.Quote(text))
	}
	return nil
}

// isFastDLLM reports whether the class is one of Fast-dLLM's.
func (c *Config) isFastDLLM() bool { return strings.HasPrefix(c.Architecture, "Fast_dLLM") }

// write adds the keys of FORMATS.md 8.3.
func (d *Diffusion) write(md *gguf.Metadata) {
	md.Set(names.MaskToken, uint32(d.MaskToken))
	md.Set(names.ShiftLogits, d.ShiftLogits)
	md.Set(names.Dialect, d.Dialect)
	md.Set(names.BlockSize, uint32(d.BlockSize))
	md.Set(names.SubBlockSize, uint32(d.SubBlockSize))
	if d.Threshold != nil {
		md.Set(names.Threshold, *d.Threshold)
	}
	if d.Mode != "" {
		md.Set(names.Mode, d.Mode)
	}
}

// String says the settings in one line.
func (d *Diffusion) String() string {
	return fmt.Sprintf("a diffusion model: dialect %s, mask token %d from %s, blocks of %d", d.Dialect, d.MaskToken, d.MaskSource, d.BlockSize)
}
