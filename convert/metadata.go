package convert

import (
	"math"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// metadata writes the keys of FORMATS.md 6.1, 7 and 8.3.
func (p *planner) metadata(activation string) error {
	md, c, arch := p.Metadata, p.config, p.Architecture.To
	key := func(name string) string { return names.Arch(arch, name) }
	md.Set(names.Architecture, arch)
	md.Set(names.Type, "model")
	md.Set(names.Name, p.o.Name)
	md.Set(key(names.BlockCount), uint32(c.NumHiddenLayers))
	md.Set(key(names.ContextLength), uint32(c.MaxPositionEmbeddings))
	md.Set(key(names.EmbeddingLength), uint32(c.HiddenSize))
	md.Set(key(names.FeedForward), uint32(c.IntermediateSize))
	md.Set(key(names.HeadCount), uint32(c.NumAttentionHeads))
	md.Set(key(names.HeadCountKV), uint32(c.NumKeyValueHeads))
	if c.HeadDimStated {
		md.Set(key(names.KeyLength), uint32(c.HeadDim))
		md.Set(key(names.ValueLength), uint32(c.HeadDim))
	}
	md.Set(key(names.RMSEpsilon), float32(c.RMSNormEps))
	md.Set(key(names.VocabSize), uint32(c.VocabSize))
	md.Set(key(names.HiddenActivation), activation)
	md.Set(key(names.RopeDimensions), uint32(c.HeadDim))
	md.Set(key(names.RopeFreqBase), float32(c.RopeTheta))
	p.ropeScaling()

	eps, err := p.subLNEps()
	if err != nil {
		return err
	}
	if eps != 0 && float32(eps) != float32(c.RMSNormEps) {
		md.Set(names.SubLNEps, float32(eps))
	}

	pre := p.o.PreTokenizer
	if pre == "" {
		if pre = p.tok.Pre; pre == "" {
			return p.tok.PreErr
		}
	}
	var mask *int32
	if p.Diffusion != nil {
		mask = &p.Diffusion.MaskToken
	}
	if err := writeVocabulary(md, p.tok, c, pre, mask, p.note); err != nil {
		return err
	}
	if p.Diffusion != nil {
		p.Diffusion.write(md)
	}

	md.Set(names.SourceArch, c.Architecture)
	md.Set(names.QuantSource, p.Source)
	if p.ScaleRule != "" {
		md.Set(names.ScaleRule, p.ScaleRule)
	}
	md.Set(names.LinearActivation, names.ActivationNone)
	if p.Source != sourceDense {
		md.Set(names.LinearActivation, names.ActivationInt8)
	}
	var suspicious []string
	for _, k := range p.order {
		if k.isMatrix() && p.inv.Values[k.name].Constant {
			suspicious = append(suspicious, k.name)
		}
	}
	if len(suspicious) > 0 {
		md.Set(names.AllowedSuspicious, suspicious)
		p.note("%d matrices hold one value only and were let through: %s and so on", len(suspicious), suspicious[0])
	}
	return nil
}

// ropeScaling writes what llama.cpp needs beside rope_freqs.weight: nothing for llama3.
func (p *planner) ropeScaling() {
	md, r := p.Metadata, p.config.Rope
	key := func(name string) string { return names.Arch(p.Architecture.To, name) }
	if r.Type != "linear" && r.Type != "yarn" {
		return
	}
	md.Set(key(names.RopeScalingType), r.Type)
	md.Set(key(names.RopeFactor), float32(r.Factor))
	if r.Type == "linear" {
		return
	}
	md.Set(key(names.RopeOriginal), uint32(r.Original))
	if r.AttentionFactor != 0 {
		// transformers' factor is the whole of it; llama.cpp multiplies its own 1 + 0.1 ln(factor) by attn_factor.
		md.Set(key(names.RopeAttnFactor), float32(r.AttentionFactor/(1+float64(0.1*math.Log(r.Factor)))))
	}
	if r.BetaFast != 0 {
		md.Set(key(names.RopeBetaFast), float32(r.BetaFast))
	}
	if r.BetaSlow != 0 {
		md.Set(key(names.RopeBetaSlow), float32(r.BetaSlow))
	}
}

// subLNEps returns the epsilon of the norms on the inputs of projections, or 0 if there are none (FORMATS.md 5.4).
func (p *planner) subLNEps() (float64, error) {
	eps, first := 0.0, ""
	for _, k := range p.order {
		if k.eps == 0 {
			continue
		}
		implied := p.config.RMSNormEps
		switch {
		case p.o.SubLNEps != nil:
			implied = float64(*p.o.SubLNEps)
		case p.config.SubLNEps != nil:
			implied = *p.config.SubLNEps
		case k.eps == epsSequential:
			implied = 1e-6
		case k.eps == epsQuantizer:
			if implied = 1e-6; p.config.Quantization != nil {
				implied = p.config.Quantization.RMSNormEps
			}
		}
		if first != "" && implied != eps {
			return 0, fault.New("CONFIG_CONFLICT", "norms %s and %s imply the epsilons %g and %g; pass --subln-eps",
				fault.Quote(first), fault.Quote(k.source.Name), eps, implied)
		}
		eps, first = implied, k.source.Name
	}
	return eps, nil
}
