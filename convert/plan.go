package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// Plan is a conversion that has been decided: plain data, from which writing follows without another decision.
type Plan struct {
	Architecture Architecture
	Type         gguf.Type // of the projections
	Tensors      []TensorPlan
	Metadata     *gguf.Metadata // all but the receipt and what the types imply, which quant.File adds
	Diffusion    *Diffusion     // nil for an autoregressive model
	Source       string         // wf.quant.source
	ScaleRule    string         // wf.quant.scale_rule; "" for a dense model
	Dropped      []string       // source tensors without a place of their own, and why
	Notices      []string
}

// TensorPlan is one tensor of the output and how it comes about.
type TensorPlan struct {
	Name string
	Type gguf.Type
	Dims []uint64 // ne order: fastest first

	Source   string           // the checkpoint's tensor; "" for a computed one
	From     checkpoint.DType //
	FirstRow uint64           // of the source matrix; not 0 only behind another part of a fused tensor
	Rows     uint64           // a vector has one element a row
	Cols     uint64

	Code  Code
	Unit  float32 // Ternary: codes are values/Unit
	Scale float32 // Ternary, Packed: the value of code 1. Plain: a factor, usually 1
	Order Order   // of the rows
	Head  uint64  // rows that Order regroups at a time

	WeightScale float32 // the checkpoint's own, which is in Scale already; 0 if it has none

	Values []float32 // of a computed tensor
}

// Code says what the source's numbers are.
type Code uint8

const (
	Plain   Code = iota // values, written as they are (times Scale)
	Ternary             // values that become codes -1, 0, 1: round half even of value/Unit, clamped
	Packed              // codes, four to the byte: bits 2i+1..2i of packed row r are row i*P+r plus 1, P packed rows in all
)

// Order is how the rows of a head are regrouped (FORMATS.md 6.3). With d rows in a head and j = 0..d/2-1:
type Order uint8

const (
	AsIs         Order = iota
	Interleaved        // row 2j+c of the output is row c*d/2+j of the source: Hugging Face to llama
	Deinterleave       // the inverse: Meta's files to every other architecture
)

// How says in words what happens to the values.
func (t *TensorPlan) How() string {
	var how []string
	switch {
	case t.Code == Packed:
		how = append(how, fmt.Sprintf("unpacked, scale %.6g", t.Scale))
	case t.Code == Ternary && t.Unit == t.Scale:
		how = append(how, fmt.Sprintf("ternary, scale %.6g", t.Scale))
	case t.Code == Ternary:
		how = append(how, fmt.Sprintf("ternary, %.6g becomes scale %.6g", t.Unit, t.Scale))
	case t.Values == nil && t.Scale != 1:
		how = append(how, fmt.Sprintf("times %.6g", t.Scale))
	}
	switch t.Order {
	case Interleaved:
		how = append(how, "rows interleaved")
	case Deinterleave:
		how = append(how, "rows in halves")
	}
	return strings.Join(how, ", ")
}

// How a packed layer's weight_scale acts.
const (
	multiply = "multiply"
	divide   = "divide"
)

// Values of wf.quant.source.
const (
	sourceOnline   = "online"
	sourceMultiply = "offline-mul"
	sourceDivide   = "offline-div"
	sourceTernary  = "ternary"
	sourceDense    = "dense"
)

// planner holds what MakePlan has found out so far.
type planner struct {
	*Plan
	inv    *Inventory
	config *Config
	tok    *Tokenizer
	o      *Options
	types  quant.Types
	pieces claims
	order  []*piece
}

func (p *planner) note(format string, args ...any) {
	p.Notices = append(p.Notices, fmt.Sprintf(format, args...))
}

// MakePlan decides everything about a conversion. It reads no file: an inventory can be typed.
func MakePlan(inv *Inventory, c *Config, t *Tokenizer, o Options) (*Plan, error) {
	pieces, err := claim(inv, c)
	if err != nil {
		return nil, err
	}
	p := &planner{Plan: &Plan{Metadata: &gguf.Metadata{}, Notices: slices.Concat(c.Notices, t.Notices)},
		inv: inv, config: c, tok: t, o: &o, pieces: pieces}
	if p.types, err = o.types(); err != nil {
		return nil, err
	}
	if err := p.head(); err != nil {
		return nil, err
	}
	p.order = pieces.ordered(c)
	activation := c.HiddenAct
	if o.HiddenActivation != "" {
		activation = o.HiddenActivation
	}
	if p.Architecture, err = chooseArchitecture(c, activation, p.hasSubLN()); err != nil {
		return nil, err
	}
	if err := p.biases(); err != nil {
		return nil, err
	}
	if a := p.Architecture; a.Reason != "" {
		p.note("%s", a)
	}
	p.Architecture.stockNotices(c, pieces, pieces[names.Output] != nil, p.note)
	if p.Diffusion, err = planDiffusion(c, t, &o, p.note); err != nil {
		return nil, err
	}
	if p.Diffusion != nil {
		p.note("%s", p.Diffusion)
	}
	if err := p.tensors(); err != nil {
		return nil, err
	}
	if err := p.metadata(activation); err != nil {
		return nil, err
	}
	notices, err := quant.ApplyOverrides(p.Metadata, o.OverrideKV)
	p.Notices = append(p.Notices, notices...)
	if err == nil && p.types.Any(func(t gguf.Type) bool { return t == gguf.TQ2_0 }) {
		err = quant.RefuseTQ2(p.Metadata)
	}
	if err != nil {
		return nil, err
	}
	return p.Plan, nil
}

// hasSubLN reports whether any projection has a norm on its input.
func (p *planner) hasSubLN() bool {
	return slices.ContainsFunc(p.order, func(k *piece) bool { return k.eps != 0 })
}

// head drops an output head that is the embedding again.
func (p *planner) head() error {
	head := p.pieces[names.Output]
	switch {
	case head == nil:
		if !p.config.TieWordEmbeddings {
			p.note("the checkpoint has no output head: it is tied to the embedding, although config.json does not say so")
		}
	case p.inv.Values[names.Output].SameAsEmbed:
		delete(p.pieces, names.Output)
		p.Dropped = append(p.Dropped, head.source.Name+": equal to the embedding (tied)")
	case p.config.TieWordEmbeddings:
		return fault.New("CONFIG_CONFLICT", "config.json says tie_word_embeddings, but tensor %s differs from the embedding; "+
			"set the key to what is meant in a copy and pass --config-dir", fault.Quote(head.source.Name))
	}
	return nil
}

// biases requires those of q, k and v for qwen2, whose readers do.
func (p *planner) biases() error {
	if p.Architecture.To != names.Qwen2 {
		return nil
	}
	for layer := range p.config.NumHiddenLayers {
		for _, part := range []string{names.AttnQ, names.AttnK, names.AttnV} {
			if name := names.Block(layer, part, bias); p.pieces[name] == nil {
				return fault.New("MODEL_TENSOR_MISSING", "the checkpoint gives no %s; architecture qwen2 has biases on q, k and v", name)
			}
		}
	}
	return nil
}

// isMaster reports whether float values of a projection are master weights: training rounds them to codes in every forward pass.
func isMaster(p *piece, c *Config, o *Options) bool {
	if p.scale != nil || !quant.IsProjection(p.name) || keptFloat(p, c) {
		return false
	}
	return o.Ternarize || c.isBitNet() || c.Quantization != nil && c.Quantization.Mode == "online"
}

// keptFloat reports whether quantization_config.modules_to_not_convert names the piece's module, as transformers matches it.
func keptFloat(p *piece, c *Config) bool {
	if c.Quantization == nil {
		return false
	}
	return slices.ContainsFunc(c.Quantization.ModulesToNotConvert, func(key string) bool {
		return key != "" && strings.Contains(p.source.Name, key)
	})
}

// scaleRule decides whether a weight_scale multiplies or divides (FORMATS.md 5.2). Neither is guessed from the values.
func (p *planner) scaleRule() (string, error) {
	q := p.config.Quantization
	switch {
	case p.o.ScaleRule != "":
		return p.o.ScaleRule, nil
	case q != nil && q.LinearClassStated && q.LinearClass == "autobitlinear":
		return multiply, nil
	case q != nil && q.LinearClassStated:
		return divide, nil
	case p.config.WrinkleFree || q != nil && q.Method == "bitnet_ternary":
		p.note("quantization_config names no linear_class; WrinkleFree's packer stores mean |W|, so weight_scale multiplies (--scale-rule overrides)")
		return multiply, nil
	case q != nil:
		return divide, nil // transformers' default linear_class is bitlinear
	}
	return "", fault.New("MISSING_SCALE", "the checkpoint has weight_scale tensors, but config.json has no quantization_config that says how they act; "+
		"pass --scale-rule multiply or divide")
}

// tensors plans every tensor, and with them Type, Source and ScaleRule.
func (p *planner) tensors() error {
	if q := p.config.Quantization; q != nil && q.ModulesToNotConvert != nil && !slices.Contains(q.ModulesToNotConvert, "lm_head") {
		return fault.New("UNSUPPORTED_CONFIG", "quantization_config.modules_to_not_convert lacks lm_head: transformers would make the output head ternary, "+
			"which wf does not; add it if the head was trained as float")
	}
	rule := ""
	if slices.ContainsFunc(p.order, func(k *piece) bool { return k.scale != nil }) {
		var err error
		if rule, err = p.scaleRule(); err != nil {
			return err
		}
	}
	masters, kept, plain := 0, 0, 0 // projections: to be ternarised, ternary in the checkpoint, neither
	for _, k := range p.order {
		t, err := p.tensor(k, rule)
		if err != nil {
			return err
		}
		switch {
		case !quant.IsProjection(k.name):
		case isMaster(k, p.config, p.o) && !p.inv.Values[k.name].Ternary:
			masters++
		case t.Code != Plain:
			kept++
		default:
			plain++
		}
		p.Tensors = append(p.Tensors, t)
	}
	p.classify(rule, masters, kept, plain)
	if err := p.chooseTypes(); err != nil {
		return err
	}
	if r := p.config.Rope; r.Type == "llama3" {
		values := r.frequencies(p.config.RopeTheta, p.config.HeadDim)
		p.Tensors = append(p.Tensors, TensorPlan{Name: names.RopeFreqs, Type: gguf.F32, Dims: []uint64{uint64(len(values))}, Values: values})
	}
	return nil
}

// classify settles wf.quant.source and wf.quant.scale_rule.
func (p *planner) classify(rule string, masters, kept, plain int) {
	switch {
	case masters > 0:
		if p.Source, p.ScaleRule = sourceOnline, names.ScaleAbsMean; p.o.KeepMasterWeights {
			p.ScaleRule = names.ScaleNone
			p.note("the master weights are written as they are; wf quantize will refuse to make this file ternary")
		}
	case rule == multiply:
		p.Source, p.ScaleRule = sourceMultiply, names.ScaleKept
	case rule == divide:
		p.Source, p.ScaleRule = sourceDivide, names.ScaleKept
	case plain == 0:
		p.Source, p.ScaleRule = sourceTernary, names.ScaleKept
	default:
		p.Source = sourceDense
	}
	if masters > 0 && kept > 0 {
		p.note("%d of %d projections hold {-s, 0, s} already and keep their s; the others are ternarised", kept, masters+kept+plain)
	}
}

// tensor plans one tensor but for its type.
func (p *planner) tensor(k *piece, rule string) (TensorPlan, error) {
	v := p.inv.Values[k.name]
	t := TensorPlan{Name: k.name, Source: k.source.Name, From: k.source.DType, FirstRow: k.first, Rows: k.shape[0], Cols: 1, Scale: 1}
	t.Dims = []uint64{k.shape[0]}
	if len(k.shape) == 2 {
		t.Cols = k.shape[1]
		t.Dims = []uint64{k.shape[1], k.shape[0]}
	}
	if v.Constant && k.isMatrix() && !p.o.AllowSuspicious {
		return t, fault.New("TENSOR_SUSPICIOUS", "tensor %s: every weight has the same value, as after a failed export; "+
			"--allow-suspicious converts it all the same", fault.Quote(k.source.Name))
	}
	if k.part == names.AttnQ || k.part == names.AttnK {
		t.Head = uint64(p.config.HeadDim)
		switch wanted := p.Architecture.interleaved() && p.o.Format != FormatSGL; {
		case wanted && !k.meta:
			t.Order = Interleaved
		case !wanted && k.meta:
			t.Order = Deinterleave
		}
	}
	switch {
	case k.kind == bias:
		t.Scale = p.biasFactor(k, rule)
		return t, nil
	case !quant.IsProjection(k.name):
		return t, nil
	}
	factor := float32(1)
	if k.scale != nil {
		p.Dropped = append(p.Dropped, k.scale.Name+": in the weights")
		t.WeightScale = v.WeightScale
		if factor = v.WeightScale; rule == divide {
			factor = 1 / v.WeightScale
		}
	}
	switch {
	case k.isPacked():
		t.Code, t.Unit, t.Scale = Packed, 1, factor
	case v.Ternary:
		t.Code, t.Unit, t.Scale = Ternary, v.Unit, float32(v.Unit*factor)
	case p.config.saysTernary():
		return t, fault.New("NOT_TERNARY", "tensor %s is not ternary (%s), although config.json has quant_method bitnet_ternary; "+
			"if these are master weights, say quantization_mode online in a copy and pass --config-dir", fault.Quote(k.source.Name), v.Residual)
	case isMaster(k, p.config, p.o) && !p.o.KeepMasterWeights:
		t.Code, t.Unit, t.Scale = Ternary, v.Mean, v.Mean
	default:
		t.Scale = factor
	}
	return t, nil
}

// biasFactor: transformers' AutoBitLinear multiplies its output by weight_scale behind the bias (FORMATS.md 5.3).
func (p *planner) biasFactor(k *piece, rule string) float32 {
	w := p.pieces[names.Block(k.layer, k.part, weight)]
	if q := p.config.Quantization; w.scale != nil && rule == multiply && q != nil && q.LinearClass == "autobitlinear" {
		return p.inv.Values[w.name].WeightScale
	}
	return 1
}

// chooseTypes settles Type and the type of every tensor, and refuses what a type cannot hold.
func (p *planner) chooseTypes() error {
	p.Type = parseType(p.o.Type)
	if isAuto(p.o.Type) {
		p.Type = p.auto()
	}
	p.types.Type = p.Type
	implausible, straddles := "", ""
	for i := range p.Tensors {
		t := &p.Tensors[i]
		var err error
		if t.Type, err = p.types.For(t.Name, t.Dims); err != nil {
			return err
		}
		if t.Type == gguf.I2_S && t.Cols%gguf.I2_S.BlockSize() != 0 && straddles == "" {
			straddles = t.Name
			p.note("%s: rows of %d weights are not a multiple of 128, so I2_S blocks straddle rows; wf reads them, bitnet.cpp's kernels compute garbage", t.Name, t.Cols)
		}
		v := p.inv.Values[t.Name]
		if quant.IsTernary(t.Type) && t.Code == Plain {
			return fault.New("NOT_TERNARY", "tensor %s is not ternary (%s), and %s does not say that it is a master weight; choose f16, or --ternarize",
				fault.Quote(t.Source), v.Residual, fault.Quote(p.Architecture.From))
		}
		if t.Code == Plain {
			continue
		}
		if err := quant.CheckScale(t.Type, t.Scale); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(t.Source), err)
		}
		if mean := float64(t.Scale) * v.Density; p.pieces[t.Name].scale != nil && (mean < 1e-4 || mean > 10) && implausible == "" {
			implausible = t.Source
			p.note("tensor %s: its weight_scale gives a mean magnitude of %.3g, outside 0.0001 to 10; if the text comes out as noise, try the other --scale-rule",
				fault.Quote(t.Source), mean)
		}
	}
	return nil
}

// auto chooses the type of --outtype auto.
func (p *planner) auto() gguf.Type {
	ternary, half := true, true
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if quant.IsProjection(t.Name) && (t.Code == Plain || !gguf.I2_S.Fits(t.Dims)) {
			ternary = false
		}
		if len(t.Dims) == 2 && t.Code == Plain && !(p.inv.Values[t.Name].Max*t.Scale < 65520) {
			half = false
		}
	}
	switch {
	case ternary:
		return gguf.I2_S
	case half:
		return gguf.F16
	}
	return gguf.BF16
}

// frequencies returns rope_freqs (FORMATS.md 6.6): what divides the rotation frequency of each pair.
func (r Rope) frequencies(base float64, headDim int) []float32 {
	out := make([]float32, headDim/2)
	original := float64(r.Original)
	for i := range out {
		length := 2 * math.Pi * math.Pow(base, float64(2*i)/float64(headDim))
		switch {
		case length < original/r.HighFreqFactor:
			out[i] = 1
		case length > original/r.LowFreqFactor:
			out[i] = float32(r.Factor)
		default:
			s := (original/length - r.LowFreqFactor) / (r.HighFreqFactor - r.LowFreqFactor)
			out[i] = float32(1 / ((1-s)/r.Factor + s))
		}
	}
	return out
}
