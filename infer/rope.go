package infer

import (
	"math"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// ropeFactor reads the scaling of positions. "linear" turns position p into p/factor; "none" is no scaling, as is an absent key. Everything
// else (yarn, longrope, dynamic) changes frequencies or attention in ways that wf does not compute, so it is refused by name. Scaling of
// the llama3 kind needs no key: it is the tensor rope_freqs.weight (FORMATS.md 6.6).
func (p *params) ropeFactor(architecture string) float32 {
	typeKey, factorKey := names.Arch(architecture, names.RopeScalingType), names.Arch(architecture, names.RopeFactor)
	kind, stated := value[string](p, typeKey)
	if stated && kind != "linear" && kind != "none" {
		p.fail("MODEL_UNSUPPORTED_ROPE", "%s is %s; wf scales positions linearly or not at all", typeKey, fault.Quote(kind))
	}
	factor := p.float(factorKey, 1, "a finite number above 0", func(f float64) bool { return f > 0 && !math.IsInf(f, 0) })
	if kind != "linear" {
		return 1
	}
	return factor
}

// ropeDivisors returns what divides each frequency of a head: rope_freqs.weight (nil if the file has none) times the linear factor.
// Dividing a frequency by the factor is dividing the position by it. nil stands for all ones.
func ropeDivisors(freqs []float32, factor float32, headDim int) ([]float32, error) {
	if freqs == nil && factor == 1 {
		return nil, nil
	}
	divisors := make([]float32, headDim/2)
	for j := range divisors {
		divisors[j] = factor
		if freqs != nil {
			divisors[j] *= freqs[j]
		}
		if divisors[j] <= 0 {
			return nil, fault.New("MODEL_BAD_PARAM", "infer: tensor %q: divisor %d is %v; it must be above 0", names.RopeFreqs, j, freqs[j])
		}
	}
	return divisors, nil
}
