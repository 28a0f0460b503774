package convert

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// word is one option that changes bytes, as wf.options records it: the flag that a person would type. Each is written and read by the same
// entry of recorded, so that what a file records can be replayed.
type word struct {
	flag   string
	attach string                                   // what stands between flag and value; "" for a flag without a value
	get    func(o *Options) (value string, ok bool) // ok: the option was given
	set    func(o *Options, value string) error
}

// recorded lists them in canonical order.
var recorded = []word{
	textWord("--outtype", func(o *Options) *string { return &o.Type }),
	textWord("--token-embedding-type", func(o *Options) *string { return &o.TokenEmbedding }),
	textWord("--output-tensor-type", func(o *Options) *string { return &o.OutputTensor }),
	switchWord("--allow-suspicious", func(o *Options) *bool { return &o.AllowSuspicious }),
	switchWord("--ternarize", func(o *Options) *bool { return &o.Ternarize }),
	switchWord("--keep-master-weights", func(o *Options) *bool { return &o.KeepMasterWeights }),
	textWord("--scale-rule", func(o *Options) *string { return &o.ScaleRule }),
	optionalWord("--subln-eps", " ", func(o *Options) **float32 { return &o.SubLNEps }, parseFloat),
	textWord("--hidden-activation", func(o *Options) *string { return &o.HiddenActivation }),
	textWord("--pre-tokenizer", func(o *Options) *string { return &o.PreTokenizer }),
	optionalWord("--mask-token-id", " ", func(o *Options) **int32 { return &o.MaskToken }, func(s string) (int32, error) {
		n, err := strconv.ParseInt(s, 10, 32)
		return int32(n), err
	}),
	switchWord("--mask-token-id none", func(o *Options) *bool { return &o.NoMask }),
	textWord("--dialect", func(o *Options) *string { return &o.Dialect }),
	countWord("--block-size", func(o *Options) *int { return &o.BlockSize }),
	countWord("--sub-block-size", func(o *Options) *int { return &o.SubBlockSize }),
	optionalWord("--threshold", " ", func(o *Options) **float32 { return &o.Threshold }, parseFloat),
	textWord("--decode-mode", func(o *Options) *string { return &o.Mode }),
	optionalWord("--shift-logits", "=", func(o *Options) **bool { return &o.ShiftLogits }, strconv.ParseBool),
}

// textWord is an option with a word for a value, in lower case.
func textWord(flag string, at func(*Options) *string) word {
	return word{flag, " ",
		func(o *Options) (string, bool) { return strings.ToLower(*at(o)), *at(o) != "" },
		func(o *Options, value string) error { *at(o) = value; return nil }}
}

func switchWord(flag string, at func(*Options) *bool) word {
	return word{flag, "",
		func(o *Options) (string, bool) { return "", *at(o) },
		func(o *Options, _ string) error { *at(o) = true; return nil }}
}

// countWord is a number whose zero means that it was not given.
func countWord(flag string, at func(*Options) *int) word {
	return word{flag, " ",
		func(o *Options) (string, bool) { return strconv.Itoa(*at(o)), *at(o) != 0 },
		func(o *Options, value string) (err error) { *at(o), err = strconv.Atoi(value); return err }}
}

func optionalWord[T any](flag, attach string, at func(*Options) **T, parse func(string) (T, error)) word {
	return word{flag, attach,
		func(o *Options) (string, bool) {
			if *at(o) == nil {
				return "", false
			}
			return fmt.Sprint(**at(o)), true
		},
		func(o *Options, value string) error {
			v, err := parse(value)
			if err == nil {
				*at(o) = &v
			}
			return err
		}}
}

func parseFloat(s string) (float32, error) {
	v, err := strconv.ParseFloat(s, 32)
	return float32(v), err
}

// canonical lists the options that change bytes, in a fixed order, as wf.options records them.
func (o *Options) canonical() string {
	var flags []string
	for _, w := range recorded {
		if value, ok := w.get(o); ok {
			flags = append(flags, w.flag+w.attach+value)
		}
	}
	return strings.Join(flags, " ")
}

// parseCanonical is the inverse of canonical. What it does not understand completely is RECEIPT_UNKNOWN: a replay with other options would prove
// nothing.
func parseCanonical(text string) (o Options, err error) {
	rest := text
	for rest != "" {
		before := rest
		for _, w := range recorded {
			tail, ok := strings.CutPrefix(rest, w.flag+w.attach)
			if !ok || w.attach == "" && tail != "" && tail[0] != ' ' {
				continue
			}
			value := ""
			if w.attach != "" {
				value, tail, _ = strings.Cut(tail, " ")
			}
			if w.set(&o, value) == nil {
				rest = strings.TrimPrefix(tail, " ")
				break
			}
		}
		if rest == before {
			break
		}
	}
	if rest != "" || o.canonical() != text {
		return Options{}, fault.New("RECEIPT_UNKNOWN",
			"the options that the file records, %s, are not ones that this release of wf convert writes, so they cannot be replayed", fault.Quote(text))
	}
	return o, nil
}
