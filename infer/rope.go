package infer

import (
	"math"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/kernel"
)

// ropeScaling says how a model's positions are stretched beyond what it was first trained for: not at all, linearly (position p turns like
// p/factor), or by YaRN (arXiv:2309.00071), which stretches slow pairs and leaves fast ones. Scaling of the llama3 kind needs no keys: it is
// the tensor rope_freqs.weight (FORMATS.md 6.6).
type ropeScaling struct {
	factor float32 // 1: none
	yarn   bool

	original           int     // positions of the first training
	ext                float64 // how much of the difference between fast and slow pairs is made, 1 in every published model
	attn               float64 // multiplies cos and sin, beside YaRN's own 1 + 0.1 ln(factor)
	betaFast, betaSlow float64 // turns within original positions from which a pair is fast, and below which it is slow
}

// ropeScaling reads the keys. Other kinds (dynamic, longrope) change frequencies from request to request and are refused by name.
func (p *params) ropeScaling(c *Config) (s ropeScaling) {
	key := func(name string) string { return names.Arch(c.Architecture, name) }
	kind, stated := value[string](p, key(names.RopeScalingType))
	if stated && kind != "linear" && kind != "yarn" && kind != "none" {
		p.fail("MODEL_UNSUPPORTED_ROPE", "%s is %s; wf scales positions linearly, by yarn or not at all", key(names.RopeScalingType), fault.Quote(kind))
	}
	positive := func(name string, def float64) float64 {
		return float64(p.float(key(name), def, "a finite number above 0", func(f float64) bool { return f > 0 && !math.IsInf(f, 0) }))
	}
	if s.factor = float32(positive(names.RopeFactor, 1)); kind != "linear" && kind != "yarn" {
		s.factor = 1
	}
	if s.yarn = kind == "yarn"; !s.yarn {
		return s
	}
	s.original = p.integer(key(names.RopeOriginal), c.Context, 1, math.MaxUint32)
	s.ext = float64(p.float(key(names.RopeExtFactor), 1, "0 to 1", func(f float64) bool { return f >= 0 && f <= 1 }))
	s.attn = positive(names.RopeAttnFactor, 1)
	s.betaFast, s.betaSlow = positive(names.RopeBetaFast, 32), positive(names.RopeBetaSlow, 1)
	if c.RopeTheta == 1 {
		p.fail("MODEL_BAD_PARAM", "%s is 1; yarn needs pairs that turn at different speeds", key(names.RopeFreqBase))
	}
	return s
}

// rotary makes the rotation of a head. freqs divides each pair's frequency; nil stands for ones.
func (s ropeScaling) rotary(headDim int, theta float32, freqs []float32, interleaved bool) (*kernel.Rotary, error) {
	powers := kernel.RotaryPowers(headDim, theta)
	inv := make([]float32, len(powers))
	for j, power := range powers {
		divisor := float32(1)
		if freqs != nil {
			divisor = freqs[j]
		}
		if s.yarn {
			// Rounded as in transformers, _compute_yarn_parameters.
			mix := s.fast(j, headDim, float64(theta))
			fast, slow := 1/power, 1/(s.factor*power)
			inv[j] = float32(slow*(1-mix)) + float32(fast*mix)
		} else {
			inv[j] = 1 / power
			divisor *= s.factor
		}
		inv[j] /= divisor
		if !(divisor > 0) || inv[j]-inv[j] != 0 {
			return nil, fault.New("MODEL_BAD_PARAM", "infer: tensor %q: divisor %d is %v; it must be above 0", names.RopeFreqs, j, divisor)
		}
	}
	scale := 1.0
	if s.yarn {
		scale = s.attn
	}
	if s.yarn && s.ext != 0 {
		scale *= 1 + float64(0.1*kernel.Ln(float64(s.factor)))
	}
	return kernel.NewRotary(inv, float32(scale), interleaved), nil
}

// fast says how far pair j is left alone: 1 for pairs that make at least betaFast turns in the original positions, 0 for those with at most
// betaSlow, and a ramp over the indices between.
func (s ropeScaling) fast(j, headDim int, theta float64) float32 {
	index := func(turns float64) float64 { // of the pair that makes so many
		return float64(headDim) * kernel.Ln(float64(s.original)/(turns*2*math.Pi)) / (2 * kernel.Ln(theta))
	}
	low := max(math.Floor(index(s.betaFast)), 0)
	high := min(math.Ceil(index(s.betaSlow)), float64(headDim-1))
	if low == high {
		high += 0.001
	}
	ramp := (float32(j) - float32(low)) / float32(high-low)
	return (1 - min(max(ramp, 0), 1)) * float32(s.ext)
}
