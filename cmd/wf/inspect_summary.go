package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/quant"
)

// A summary is one line of wf inspect, and an object of its JSON. Each is read from the metadata that the runtime goes by.

type modelSummary struct {
	Name         string `json:"name,omitempty"`
	Architecture string `json:"architecture"`
	Source       string `json:"source_architecture,omitempty"` // the checkpoint's class
	Layers       int    `json:"layers"`
	Hidden       int    `json:"hidden_size"`
	FeedForward  int    `json:"intermediate_size"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads"`
	HeadDim      int    `json:"head_dim"`
	Context      int    `json:"context"`
	Activation   string `json:"activation"`
}

func (m *modelSummary) String() string {
	from := ""
	if m.Source != "" {
		from = " from " + fault.Quote(m.Source)
	}
	return fmt.Sprintf("%s %s%s: %d layers, hidden %d, feed-forward %d, %d heads (%d of keys) of %d, %s, context %d",
		fault.Quote(m.Name), m.Architecture, from, m.Layers, m.Hidden, m.FeedForward, m.Heads, m.KVHeads, m.HeadDim, m.Activation, m.Context)
}

type tokenizerSummary struct {
	Model        string            `json:"model"`
	Pre          string            `json:"pre"`
	Vocab        int               `json:"vocab"`
	Specials     map[string]uint32 `json:"specials,omitempty"`
	Stop         []uint32          `json:"stop,omitempty"` // besides eos, eot and eom
	ChatTemplate string            `json:"chat_template_sha256,omitempty"`
}

// specialKeys are the ids with a role, in the order in which they are shown.
var specialKeys = []struct{ name, key string }{
	{"bos", names.BOS}, {"eos", names.EOS}, {"eot", names.EOT}, {"eom", names.EOM}, {"unknown", names.Unknown}, {"padding", names.Padding},
	{"mask", names.MaskToken},
}

func summarizeTokenizer(md *gguf.Metadata) *tokenizerSummary {
	t := &tokenizerSummary{Specials: map[string]uint32{}}
	var ok bool
	if t.Model, ok, _ = gguf.Value[string](md, names.TokenizerModel); !ok {
		return nil
	}
	t.Pre, _, _ = gguf.Value[string](md, names.TokenizerPre)
	tokens, _, _ := gguf.Value[[]string](md, names.Tokens)
	t.Vocab = len(tokens)
	for _, s := range specialKeys {
		if id, ok, err := gguf.Value[uint32](md, s.key); ok && err == nil {
			t.Specials[s.name] = id
		}
	}
	t.Stop, _, _ = gguf.Value[[]uint32](md, names.StopTokens)
	if text, ok, _ := gguf.Value[string](md, names.ChatTemplate); ok {
		sum := sha256.Sum256([]byte(text))
		t.ChatTemplate = hex.EncodeToString(sum[:])
	}
	return t
}

func (t *tokenizerSummary) String() string {
	text := fmt.Sprintf("%s, pre-tokenizer %s, %d tokens", fault.Quote(t.Model), fault.Quote(t.Pre), t.Vocab)
	for _, s := range specialKeys {
		if id, ok := t.Specials[s.name]; ok {
			text += fmt.Sprintf(", %s %d", s.name, id)
		}
	}
	if len(t.Stop) > 0 {
		text += fmt.Sprintf(", %d more stop ids", len(t.Stop))
	}
	return text
}

type diffusionSummary struct {
	Dialect      string   `json:"dialect"`
	MaskToken    int32    `json:"mask_token_id"`
	BlockSize    int      `json:"block_size"`
	SubBlockSize int      `json:"sub_block_size"`
	Threshold    *float32 `json:"threshold,omitempty"`
	Mode         string   `json:"mode,omitempty"`
	ShiftLogits  bool     `json:"shift_logits"`
}

func (d *diffusionSummary) String() string {
	text := fmt.Sprintf("%s: mask token %d, blocks of %d, sub-blocks of %d", d.Dialect, d.MaskToken, d.BlockSize, d.SubBlockSize)
	if d.Threshold != nil {
		text += fmt.Sprintf(", threshold %v", *d.Threshold)
	}
	if d.Mode != "" {
		text += ", mode " + d.Mode
	}
	if !d.ShiftLogits {
		text += ", logits not shifted"
	}
	return text
}

type ternarySummary struct {
	Projections int    `json:"projections"` // matrices that BitNet makes ternary
	Ternary     int    `json:"ternary"`     // of them, those that are
	Minus       uint64 `json:"minus"`
	Zero        uint64 `json:"zero"`
	Plus        uint64 `json:"plus"`
	Source      string `json:"source,omitempty"`     // wf.quant.source
	ScaleRule   string `json:"scale_rule,omitempty"` // wf.quant.scale_rule
	Activation  string `json:"activation,omitempty"` // wf.linear.activation
	Layout      uint32 `json:"i2s_layout,omitempty"`
	LayoutWhy   string `json:"i2s_layout_reason,omitempty"`
}

// add counts a projection, and its weights if they have been counted.
func (s *ternarySummary) add(ternary bool, share *quant.Share) {
	s.Projections++
	if ternary {
		s.Ternary++
	}
	if share != nil {
		s.Minus, s.Zero, s.Plus = s.Minus+share.Minus, s.Zero+share.Zero, s.Plus+share.Plus
	}
}

// scaleRules says in words what wf.quant.scale_rule means.
var scaleRules = map[string]string{
	names.ScaleAbsMean: "scales are mean |W|",
	names.ScaleKept:    "scales are the source's own",
	names.ScaleNone:    "raw master weights, which ternary types refuse",
}

func (s *ternarySummary) String() string {
	share := quant.Share{Minus: s.Minus, Zero: s.Zero, Plus: s.Plus}
	text := fmt.Sprintf("%d of %d projections", s.Ternary, s.Projections)
	if share.Weights() > 0 {
		text += ", -1/0/+1: " + share.Percent() + " %"
	}
	if rule := scaleRules[s.ScaleRule]; rule != "" {
		text += "; " + rule
	}
	if s.Source != "" {
		text += ", source " + fault.Quote(s.Source)
	}
	if s.Layout != 0 {
		text += fmt.Sprintf("; I2_S layout %d (%s)", s.Layout, s.LayoutWhy)
	}
	return text
}

type memorySummary struct {
	Mapped  uint64 `json:"mapped_bytes"`
	Weights uint64 `json:"weight_bytes"`
	Cache   uint64 `json:"cache_bytes"`
	Context int    `json:"context"` // positions of the cache
}

func (m *memorySummary) String() string {
	return fmt.Sprintf("%s laid out at load, %s in the file, %s of cache (%d positions)",
		bytesText(m.Weights), bytesText(m.Mapped), bytesText(m.Cache), m.Context)
}

type receiptSummary struct {
	Version string   `json:"version"`
	Options string   `json:"options"`
	Sources []string `json:"sources"`
}

func (r *receiptSummary) String() string {
	text := "wf " + oneLine(r.Version)
	if len(r.Sources) > 0 {
		text += fmt.Sprintf(" from %s", fault.Quote(r.Sources[0]))
	}
	if n := len(r.Sources) - 1; n > 0 {
		text += fmt.Sprintf(" and %d files more", n)
	}
	if r.Options != "" {
		text += ": " + fault.Quote(r.Options)
	}
	return text
}

// addHeader shows what the header of a file says, damaged or not.
func (v *inspection) addHeader(f *gguf.File) {
	v.Format = fmt.Sprintf("GGUF version %d", f.Version)
	for _, kv := range f.Metadata.All() {
		v.Metadata = append(v.Metadata, metadataLine{kv.Key, valueType(kv.Value), valueText(kv)})
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		v.Tensors = append(v.Tensors, tensorLine{Name: t.Name, Type: t.Type.String(), Dims: t.Dims, Bytes: t.Size,
			BitsPerWeight: bitsPerWeight(t.Size, t.Dims[0]*t.Rows())})
	}
	v.Types = totals(v.Tensors)
	v.Tokenizer = summarizeTokenizer(f.Metadata)
}

// addFindings shows what the data holds.
func (v *inspection) addFindings(f *gguf.File, data *quant.Verified) {
	v.Ternary = &ternarySummary{}
	for i, found := range data.Tensors {
		line := &v.Tensors[i]
		if line.Ternary = found.Share; found.Problem != nil {
			line.Problem = fault.Code(found.Problem)
		}
		if !quant.IsProjection(line.Name) {
			continue
		}
		v.Ternary.add(found.Share != nil, found.Share)
	}
	v.addTernary(f, data.Layout)
	if r := data.Receipt; r != nil {
		v.Receipt = &receiptSummary{Version: r.Version, Options: r.Options}
		for _, s := range r.Sources {
			v.Receipt.Sources = append(v.Receipt.Sources, s.Name)
		}
	}
}

// addTernary shows the rules by which ternary layers are read.
func (v *inspection) addTernary(f *gguf.File, layout quant.Layout) {
	s := v.Ternary
	s.Source, _, _ = gguf.Value[string](f.Metadata, names.QuantSource)
	s.ScaleRule, _, _ = gguf.Value[string](f.Metadata, names.ScaleRule)
	s.Activation, _, _ = gguf.Value[string](f.Metadata, names.LinearActivation)
	if !slices.ContainsFunc(f.Tensors, func(t gguf.TensorInfo) bool { return t.Type == gguf.I2_S }) {
		return
	}
	s.Layout, s.LayoutWhy = uint32(layout), names.I2SLayout
	switch {
	case f.Metadata.Has(names.I2SLayout):
	case layout == quant.Layout128:
		s.LayoutWhy = "that of the published files; the file does not say, and --i2s-layout 64 reads what bitnet.cpp wrote on ARM"
	default:
		s.LayoutWhy = "--i2s-layout"
	}
}

// addOutline shows what the runtime makes of the header; nil if it refuses it.
func (v *inspection) addOutline(f *gguf.File, o *infer.Outline) {
	if o == nil {
		return
	}
	c := &o.Config
	v.Model = &modelSummary{Architecture: c.Architecture, Layers: c.Layers, Hidden: c.Hidden, FeedForward: c.FeedForward,
		Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, Context: c.Context, Activation: c.Activation}
	v.Model.Name, _, _ = gguf.Value[string](f.Metadata, names.Name)
	v.Model.Source, _, _ = gguf.Value[string](f.Metadata, names.SourceArch)
	v.Memory = &memorySummary{Mapped: o.Mapped, Weights: o.Weights, Cache: o.Cache, Context: min(c.Context, usualContext)}
	if d := c.Diffusion; d != nil {
		v.Diffusion = &diffusionSummary{d.Dialect, d.MaskToken, d.BlockSize, d.SubBlockSize, d.Threshold, d.Mode, d.ShiftLogits}
	}
}

// totals sums tensors by type, the one with the most bytes first.
func totals(tensors []tensorLine) []typeTotal {
	weights := map[string]float64{}
	var all []typeTotal
	for _, t := range tensors {
		i := slices.IndexFunc(all, func(a typeTotal) bool { return a.Type == t.Type })
		if i < 0 {
			i, all = len(all), append(all, typeTotal{Type: t.Type})
		}
		all[i].Tensors++
		all[i].Bytes += t.Bytes
		if t.BitsPerWeight > 0 {
			weights[t.Type] += 8 * float64(t.Bytes) / t.BitsPerWeight
		}
	}
	for i := range all {
		if w := weights[all[i].Type]; w > 0 {
			all[i].BitsPerWeight = 8 * float64(all[i].Bytes) / w
		}
	}
	slices.SortFunc(all, func(a, b typeTotal) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Type, b.Type))
	})
	return all
}
