package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// Kinds of a claimed tensor.
const (
	weight = "weight"
	bias   = "bias"
	scale  = "weight_scale" // consumed with its weight
)

// epsRule says which epsilon the spelling of a SubLN implies (FORMATS.md 5.4).
type epsRule uint8

const (
	epsModel      epsRule = iota + 1 // rms_norm_eps: transformers' attn_sub_norm and the like
	epsSequential                    // 1e-6: WrinkleFree's nn.Sequential hard-codes it
	epsQuantizer                     // quantization_config.rms_norm_eps: transformers' use_rms_norm
)

// rule says what a name of the checkpoint means. More than one part: the rows of several tensors, one behind the other.
type rule struct {
	parts []string // of a layer, or a whole GGUF name outside the layers
	meta  bool     // Meta-style name: q and k rows are interleaved already
	eps   epsRule  // set for the norms on the inputs of projections
}

// modelRules are the tensors outside the layers.
var modelRules = map[string]string{
	"model.embed_tokens.weight": names.TokenEmbedding, "tok_embeddings.weight": names.TokenEmbedding,
	"model.norm.weight": names.OutputNorm, "norm.weight": names.OutputNorm,
	"lm_head.weight": names.Output, "output.weight": names.Output,
}

// normRules are the norms of a layer, behind "model.layers.N." or "layers.N.".
var normRules = map[string]rule{
	"input_layernorm.weight":          {parts: []string{names.AttnNorm}},
	"post_attention_layernorm.weight": {parts: []string{names.FFNNorm}},
	"attention_norm.weight":           {parts: []string{names.AttnNorm}},
	"ffn_norm.weight":                 {parts: []string{names.FFNNorm}},

	"self_attn.attn_sub_norm.weight":   {parts: []string{names.AttnSubNorm}, eps: epsModel},
	"self_attn.inner_attn_ln.weight":   {parts: []string{names.AttnSubNorm}, eps: epsModel},
	"attention.attn_sub_norm.weight":   {parts: []string{names.AttnSubNorm}, eps: epsModel},
	"mlp.ffn_sub_norm.weight":          {parts: []string{names.FFNSubNorm}, eps: epsModel},
	"mlp.ffn_layernorm.weight":         {parts: []string{names.FFNSubNorm}, eps: epsModel},
	"feed_forward.ffn_sub_norm.weight": {parts: []string{names.FFNSubNorm}, eps: epsModel},
}

// projectionRules are the stems of the seven projections; linearRules says what may stand behind them.
var projectionRules = map[string]rule{
	"self_attn.q_proj": {parts: []string{names.AttnQ}}, "self_attn.k_proj": {parts: []string{names.AttnK}},
	"self_attn.v_proj": {parts: []string{names.AttnV}}, "self_attn.o_proj": {parts: []string{names.AttnOutput}},
	"mlp.gate_proj": {parts: []string{names.FFNGate}}, "mlp.up_proj": {parts: []string{names.FFNUp}},
	"mlp.down_proj": {parts: []string{names.FFNDown}},

	"attention.wq": {parts: []string{names.AttnQ}, meta: true}, "attention.wk": {parts: []string{names.AttnK}, meta: true},
	"attention.wv": {parts: []string{names.AttnV}, meta: true}, "attention.wo": {parts: []string{names.AttnOutput}, meta: true},
	"attention.wqkv":  {parts: []string{names.AttnQ, names.AttnK, names.AttnV}, meta: true},
	"feed_forward.w1": {parts: []string{names.FFNGate}, meta: true}, "feed_forward.w3": {parts: []string{names.FFNUp}, meta: true},
	"feed_forward.w2":  {parts: []string{names.FFNDown}, meta: true},
	"feed_forward.w13": {parts: []string{names.FFNGate, names.FFNUp}, meta: true},
}

// linearRules: a projection is a module with its tensors, nn.Sequential(norm, linear), or a wrapper with norm and linear.
var linearRules = map[string]struct {
	kind string
	eps  epsRule
}{
	".weight": {weight, 0}, ".linear.weight": {weight, 0}, ".1.weight": {weight, 0},
	".bias": {bias, 0}, ".linear.bias": {bias, 0}, ".1.bias": {bias, 0},
	".weight_scale": {scale, 0}, ".linear.weight_scale": {scale, 0}, ".1.weight_scale": {scale, 0},
	".0.weight": {weight, epsSequential}, ".norm.weight": {weight, epsModel}, ".rms_norm.weight": {weight, epsQuantizer},
}

// refused are tensors that GGUF here cannot hold, by a component of their name (FORMATS.md 4.4.7, 5.1).
var refused = []struct{ component, why string }{
	{"lrc_U", "a low-rank correction, which GGUF here cannot hold"},
	{"lrc_V", "a low-rank correction, which GGUF here cannot hold"},
	{"lrc_U_linear", "a low-rank correction, which GGUF here cannot hold"},
	{"lrc_V_linear", "a low-rank correction, which GGUF here cannot hold"},
	{"weight_quantized", "the packed part of a layer with a low-rank correction, which GGUF here cannot hold"},
	{"lora_A", "an unmerged LoRA; merge it into the weights first"},
	{"lora_B", "an unmerged LoRA; merge it into the weights first"},
	{"base_layer", "the base of an unmerged LoRA; merge it first"},
	{"salient_indices", "a column of BitLinearSalient, which GGUF here cannot hold"},
	{"nonsalient_indices", "a column of BitLinearSalient, which GGUF here cannot hold"},
	{"saliency_scores", "a part of BitLinearSalient, which GGUF here cannot hold"},
	{"learnable_scale", "a scale that only its own training code applies"},
	{"qweight", "WrinkleFree's packed cache; convert the checkpoint that it was made from"},
}

// piece is one output tensor and the rows of the checkpoint that become it.
type piece struct {
	name   string // GGUF name
	part   string // names.AttnQ ..., or the whole name outside the layers
	kind   string // weight or bias
	layer  int    // -1 outside the layers
	source *Tensor
	scale  *Tensor  // of a packed or scaled projection
	shape  []uint64 // torch order, of the output
	first  uint64   // row of source that is the first
	whole  uint64   // rows of source when unpacked
	meta   bool
	eps    epsRule
}

// isMatrix reports whether a constant value would make the piece suspicious.
func (p *piece) isMatrix() bool { return len(p.shape) == 2 }

// claims are the pieces of a checkpoint by output name.
type claims map[string]*piece

// claim gives every tensor of the checkpoint its meaning. Errors: UNSUPPORTED_TENSOR, UNCLAIMED_TENSOR, DUPLICATE_TENSOR, MISSING_SCALE,
// MODEL_TENSOR_MISSING, MODEL_SHAPE_MISMATCH.
func claim(inv *Inventory, c *Config) (claims, error) {
	all := claims{}
	scales := map[string]*Tensor{} // by the output name of the weight
	var unknown []string
	for i := range inv.Tensors {
		t := &inv.Tensors[i]
		for _, component := range strings.Split(t.Name, ".") {
			for _, r := range refused {
				if component == r.component {
					return nil, fault.New("UNSUPPORTED_TENSOR", "tensor %s is %s", fault.Quote(t.Name), r.why)
				}
			}
		}
		r, layer, kind := find(t.Name)
		if kind == "" || layer >= c.NumHiddenLayers {
			unknown = append(unknown, t.Name)
			continue
		}
		var pieces []*piece
		rows := uint64(0)
		for _, part := range r.parts {
			p := &piece{name: part, part: part, kind: kind, layer: layer, source: t, first: rows, meta: r.meta, eps: r.eps}
			if layer >= 0 {
				p.name = names.Block(layer, part, kind)
			}
			p.shape = c.shapeOf(p)
			rows += p.shape[0]
			pieces = append(pieces, p)
		}
		for _, p := range pieces {
			p.whole = rows
			if kind == scale {
				weight := names.Block(layer, p.part, weight)
				if old := scales[weight]; old != nil {
					return nil, fault.New("MISSING_SCALE", "tensors %s and %s are both the scale of one projection", fault.Quote(old.Name), fault.Quote(t.Name))
				}
				scales[weight] = t
				continue
			}
			if old := all[p.name]; old != nil {
				return nil, fault.New("DUPLICATE_TENSOR", "tensors %s and %s both mean %s", fault.Quote(old.source.Name), fault.Quote(t.Name), p.name)
			}
			all[p.name] = p
		}
	}
	if len(unknown) > 0 {
		return nil, unclaimed(unknown, c)
	}
	for name, s := range scales {
		if all[name] == nil {
			return nil, fault.New("UNCLAIMED_TENSOR", "tensor %s is the scale of a weight that the checkpoint lacks", fault.Quote(s.Name))
		}
		all[name].scale = s
	}
	if err := all.complete(c); err != nil {
		return nil, err
	}
	for _, p := range all.ordered(c) {
		if err := p.check(c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// find applies the rules to a name. layer is -1 outside the layers, kind "" if no rule knows the name.
func find(name string) (r rule, layer int, kind string) {
	if whole, ok := modelRules[name]; ok {
		return rule{parts: []string{whole}}, -1, weight
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "model."), "layers.")
	number, rest, found := strings.Cut(rest, ".")
	layer, err := strconv.Atoi(number)
	if !ok || !found || err != nil || layer < 0 || strconv.Itoa(layer) != number {
		return rule{}, -1, ""
	}
	if r, ok := normRules[rest]; ok {
		return r, layer, weight
	}
	module, rest, _ := strings.Cut(rest, ".")
	stem, suffix, _ := strings.Cut(rest, ".")
	r, known := projectionRules[module+"."+stem]
	linear, ok := linearRules["."+suffix]
	if !known || !ok {
		return rule{}, layer, ""
	}
	if r.eps = linear.eps; r.eps != 0 {
		norm := map[string]string{names.AttnOutput: names.AttnSubNorm, names.FFNDown: names.FFNSubNorm}[r.parts[0]]
		if norm == "" {
			norm = r.parts[0] + names.NormIn
		}
		if len(r.parts) > 1 {
			return rule{}, layer, "" // a norm before a fused projection: nobody publishes one
		}
		r.parts = []string{norm}
	}
	return r, layer, linear.kind
}

// unclaimed names the first few tensors.
func unclaimed(unknown []string, c *Config) error {
	slices.Sort(unknown)
	list := fault.Quote(unknown[0])
	for _, name := range unknown[1:] {
		if len(list) > 100 {
			list += ", ..."
			break
		}
		list += ", " + fault.Quote(name)
	}
	return fault.New("UNCLAIMED_TENSOR", "%d tensors mean nothing to wf in a %s of %d layers, and leaving any out would change the model: %s",
		len(unknown), fault.Quote(c.Architecture), c.NumHiddenLayers, list)
}

// shapeOf returns the shape that the config gives an output tensor, in torch order.
func (c *Config) shapeOf(p *piece) []uint64 {
	hidden, ffn := uint64(c.HiddenSize), uint64(c.IntermediateSize)
	q, kv := uint64(c.NumAttentionHeads*c.HeadDim), uint64(c.NumKeyValueHeads*c.HeadDim)
	var shape []uint64
	switch strings.TrimSuffix(p.part, names.NormIn) {
	case names.TokenEmbedding, names.Output:
		return []uint64{uint64(c.VocabSize), hidden}
	case names.AttnSubNorm:
		return []uint64{q}
	case names.FFNSubNorm:
		return []uint64{ffn}
	case names.AttnQ:
		shape = []uint64{q, hidden}
	case names.AttnK, names.AttnV:
		shape = []uint64{kv, hidden}
	case names.AttnOutput:
		shape = []uint64{hidden, q}
	case names.FFNGate, names.FFNUp:
		shape = []uint64{ffn, hidden}
	case names.FFNDown:
		shape = []uint64{hidden, ffn}
	default:
		return []uint64{hidden} // the norms before attention, FFN and head
	}
	switch {
	case strings.HasSuffix(p.part, names.NormIn):
		return shape[1:]
	case p.kind == bias:
		return shape[:1]
	}
	return shape
}

// isPacked reports whether the piece is four codes to the byte.
func (p *piece) isPacked() bool { return p.source.DType == checkpoint.U8 && quant.IsProjection(p.name) }

// check holds the source's dtype and shape against the config.
func (p *piece) check(c *Config) error {
	t := p.source
	want := slices.Clone(p.shape)
	want[0] = p.whole
	switch {
	case p.isPacked():
		if want[0] != p.shape[0] {
			return fault.New("UNSUPPORTED_TENSOR", "tensor %s is fused and packed for a GPU kernel; convert the checkpoint that it was made from", fault.Quote(t.Name))
		}
		if p.scale == nil {
			return fault.New("MISSING_SCALE", "tensor %s is packed ternary codes, but the checkpoint has no weight_scale for it", fault.Quote(t.Name))
		}
		want[0] = (want[0] + 3) / 4
	case !slices.Contains([]checkpoint.DType{checkpoint.F32, checkpoint.BF16, checkpoint.F16, checkpoint.F64}, t.DType):
		return fault.New("UNSUPPORTED_DTYPE", "tensor %s has dtype %s; wf converts F32, BF16, F16 and F64, and U8 for packed projections", fault.Quote(t.Name), t.DType)
	}
	if !slices.Equal(t.Shape, want) {
		hint := ""
		if p.kind == weight && (p.part == names.AttnOutput || p.part == names.FFNDown) && len(t.Shape) == 2 && t.Shape[1] > want[1] {
			hint = ", as a layer trained with use_hadamard has"
		}
		return fault.New("MODEL_SHAPE_MISMATCH", "tensor %s has shape %v%s; config.json asks for %v", fault.Quote(t.Name), brief(t.Shape), hint, want)
	}
	if s := p.scale; s != nil {
		if n := len(s.Shape); n > 1 || n == 1 && s.Shape[0] != 1 || p.whole != p.shape[0] {
			return fault.New("MISSING_SCALE", "tensor %s has shape %v; wf knows one scale for a projection", fault.Quote(s.Name), brief(s.Shape))
		}
		if !slices.Contains([]checkpoint.DType{checkpoint.F32, checkpoint.BF16, checkpoint.F16, checkpoint.F64}, s.DType) {
			return fault.New("MISSING_SCALE", "tensor %s has dtype %s; a scale is a float", fault.Quote(s.Name), s.DType)
		}
	}
	return nil
}

// brief cuts a shape that is too long to print.
func brief(shape []uint64) string {
	if len(shape) > 4 {
		return fmt.Sprintf("of %d dimensions", len(shape))
	}
	return fmt.Sprint(shape)
}

// parts of a layer in the order in which they are written, each with what must be there.
var layerOrder = []struct {
	part     string
	required bool
}{
	{names.AttnNorm, true},
	{names.AttnQ + names.NormIn, false}, {names.AttnQ, true}, {names.AttnK + names.NormIn, false}, {names.AttnK, true},
	{names.AttnV + names.NormIn, false}, {names.AttnV, true}, {names.AttnSubNorm, false}, {names.AttnOutput, true},
	{names.FFNNorm, true},
	{names.FFNGate + names.NormIn, false}, {names.FFNGate, true}, {names.FFNUp + names.NormIn, false}, {names.FFNUp, true},
	{names.FFNSubNorm, false}, {names.FFNDown, true},
}

// ordered lists the pieces in the order in which they are written.
func (a claims) ordered(c *Config) []*piece {
	var list []*piece
	add := func(name string) {
		if p := a[name]; p != nil {
			list = append(list, p)
		}
	}
	add(names.TokenEmbedding)
	for layer := range c.NumHiddenLayers {
		for _, l := range layerOrder {
			add(names.Block(layer, l.part, weight))
			add(names.Block(layer, l.part, bias))
		}
	}
	add(names.OutputNorm)
	add(names.Output)
	return list
}

// complete names the required tensors that no source gives, and refuses SubLN in some layers only.
func (a claims) complete(c *Config) error {
	var lacking []string
	require := func(name string) {
		if a[name] == nil {
			lacking = append(lacking, name)
		}
	}
	require(names.TokenEmbedding)
	require(names.OutputNorm)
	subLN := a.has(names.AttnSubNorm, c) || a.has(names.FFNSubNorm, c)
	for layer := range c.NumHiddenLayers {
		for _, l := range layerOrder {
			if l.required || subLN && (l.part == names.AttnSubNorm || l.part == names.FFNSubNorm) {
				require(names.Block(layer, l.part, weight))
			}
		}
	}
	if len(lacking) > 0 {
		return fault.New("MODEL_TENSOR_MISSING", "the checkpoint gives no %s (%d missing in all); config.json asks for %d layers",
			strings.Join(lacking[:min(3, len(lacking))], ", "), len(lacking), c.NumHiddenLayers)
	}
	return nil
}

// has reports whether any layer has a part.
func (a claims) has(part string, c *Config) bool {
	for layer := range c.NumHiddenLayers {
		if a[names.Block(layer, part, weight)] != nil {
			return true
		}
	}
	return false
}
