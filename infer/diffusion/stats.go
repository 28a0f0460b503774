package diffusion

import "encoding/json"

// Kind says what a pass is for.
type Kind int

// The kinds of passes.
const (
	Prefill         Kind = iota // prompt positions into the cache
	DenoiseBlock                // a denoise step over a whole block
	DenoiseSubBlock             // a denoise step over a sub-block alone, with the sub-block cache
	Commit                      // a finished block into the cache
	Decode                      // one token of an autoregressive model
	Kinds                       // how many there are
)

func (k Kind) String() string {
	return [Kinds]string{"prefill", "denoise block", "denoise sub-block", "commit", "decode"}[k]
}

// MarshalText makes a kind the key of a JSON object.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Stats is what a decoder reports.
type Stats struct {
	PromptTokens int
	PrefixTokens int            // of the prompt's; their keys and values came with Options.Prefix
	NewTokens    int            // the stop token included
	Passes       [Kinds]int     // forward passes
	Seconds      [Kinds]float64 // measured by whoever runs the passes; Generate does
	Auto         *Auto          // what mode auto has chosen; nil in other modes and where there is nothing to choose
}

// DenoiseSteps is the number of passes that took masked tokens.
func (s Stats) DenoiseSteps() int { return s.Passes[DenoiseBlock] + s.Passes[DenoiseSubBlock] }

// TokensPerStep is how many new tokens came of a denoise step on average; 0 without any.
func (s Stats) TokensPerStep() float64 {
	if s.DenoiseSteps() == 0 {
		return 0
	}
	return float64(s.NewTokens) / float64(s.DenoiseSteps())
}

// TokensPerSecond counts new tokens over the time of every pass but prefill; 0 if no time was measured.
func (s Stats) TokensPerSecond() float64 {
	seconds := 0.0
	for kind := DenoiseBlock; kind < Kinds; kind++ {
		seconds += s.Seconds[kind]
	}
	if seconds == 0 {
		return 0
	}
	return float64(s.NewTokens) / seconds
}

// MarshalJSON writes the counts, and passes and seconds of the kinds that occurred, by name.
func (s Stats) MarshalJSON() ([]byte, error) {
	passes, seconds := map[Kind]int{}, map[Kind]float64{}
	for kind := range Kinds {
		if s.Passes[kind] > 0 {
			passes[kind], seconds[kind] = s.Passes[kind], s.Seconds[kind]
		}
	}
	return json.Marshal(struct {
		PromptTokens    int              `json:"prompt_tokens"`
		PrefixTokens    int              `json:"prefix_tokens"`
		NewTokens       int              `json:"new_tokens"`
		Passes          map[Kind]int     `json:"passes"`
		Seconds         map[Kind]float64 `json:"seconds"`
		TokensPerStep   float64          `json:"tokens_per_step"`
		TokensPerSecond float64          `json:"tokens_per_second"`
		Auto            *Auto            `json:"auto,omitempty"`
	}{s.PromptTokens, s.PrefixTokens, s.NewTokens, passes, seconds, s.TokensPerStep(), s.TokensPerSecond(), s.Auto})
}
