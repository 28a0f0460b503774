package convert

import (
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Architecture is the choice of the GGUF architecture and why (FORMATS.md 6.4).
type Architecture struct {
	From   string `json:"from"`             // architectures[0] of config.json, which is never edited
	As     string `json:"as,omitempty"`     // the class that it is rewritten to, if it is
	To     string `json:"to"`               // general.architecture
	Reason string `json:"reason,omitempty"` // "" where From means To by itself
}

// String says the rewrite and its reason in one line.
func (a Architecture) String() string {
	as := ""
	if a.As != "" {
		as = " is rewritten to " + a.As + " and"
	}
	return a.From + as + " becomes " + a.To + ": " + a.Reason
}

// interleaved reports whether the architecture wants the rows of q and k interleaved: (2j, 2j+1) rotate together, not (j, j+d/2).
func (a Architecture) interleaved() bool { return a.To == names.Llama }

// chooseArchitecture applies FORMATS.md 6.4. subLN: the checkpoint has norms on the inputs of projections.
func chooseArchitecture(c *Config, activation string, subLN bool) (Architecture, error) {
	a := Architecture{From: c.Architecture}
	switch {
	case c.Architecture == "Qwen2ForCausalLM" || c.Architecture == "Fast_dLLM_QwenForCausalLM":
		if a.To = names.Qwen2; c.isFastDLLM() {
			a.As, a.Reason = "Qwen2ForCausalLM", "Fast-dLLM changes how Qwen2 is decoded, not its layers"
		}
		if subLN {
			return a, fault.New("UNSUPPORTED_TENSOR", "%s with norms on the inputs of projections: architecture qwen2 has no place for them", fault.Quote(a.From))
		}
		if activation != names.SiLU {
			return a, fault.New("UNSUPPORTED_CONFIG", "%s with hidden_act %s: architecture qwen2 means silu", fault.Quote(a.From), activation)
		}
		return a, nil
	case c.isBitNet() || c.Architecture == "LlamaForCausalLM" || c.Architecture == "MistralForCausalLM":
	default:
		return a, fault.New("MODEL_UNKNOWN_ARCH", "config.json: architectures[0] is %s; wf converts BitNetForCausalLM (BitnetForCausalLM), "+
			"LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Fast_dLLM_QwenForCausalLM", fault.Quote(c.Architecture))
	}
	switch {
	case subLN && activation == names.ReLU2:
		a.To, a.Reason = names.BitNetB158, "norms on the inputs of projections and squared ReLU: llama has neither"
	case subLN:
		a.To, a.Reason = names.BitNet, "norms on the inputs of projections, for which llama has no place, and SiLU"
	case activation == names.ReLU2:
		a.To, a.Reason = names.BitNetB158, "squared ReLU: llama would run SiLU without a word"
	default:
		a.To = names.Llama
		if c.isBitNet() {
			a.As, a.Reason = "LlamaForCausalLM", "no norms on the inputs of projections and SiLU: what is left is llama, which every reader knows"
		}
	}
	return a, nil
}

// stockNotices says what other programs will do with a file of a bitnet architecture (FORMATS.md 6.4, 6.5).
func (a Architecture) stockNotices(c *Config, pieces claims, untied bool, note func(string, ...any)) {
	if !strings.HasPrefix(a.To, names.BitNet) {
		return
	}
	if untied {
		note("llama.cpp and bitnet.cpp have no output.weight for %s: they refuse the file or ignore the head; wf uses it", a.To)
	}
	if n := c.NumAttentionHeads * c.HeadDim; n != c.HiddenSize {
		note("heads times head_dim is %d, hidden_size %d: other programs' loaders of %s require them equal", n, c.HiddenSize, a.To)
	}
	for _, p := range pieces {
		if p.kind == bias {
			note("other programs' loaders of %s ignore or refuse the biases of projections; wf adds them", a.To)
			return
		}
	}
}
