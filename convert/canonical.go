package convert

import (
	"fmt"
	"strconv"

	"github.com/wrinklefree/wf/quant"
)

// recorded lists the options that change bytes, in the canonical order of wf.options.
var recorded = []quant.Word[Options]{
	quant.TextWord("--outtype", func(o *Options) *string { return &o.Type }),
	quant.TextWord("--token-embedding-type", func(o *Options) *string { return &o.TokenEmbedding }),
	quant.TextWord("--output-tensor-type", func(o *Options) *string { return &o.OutputTensor }),
	quant.ListWord("--tensor-type", func(o *Options) *[]string { return &o.TensorTypes }),
	quant.ListWord("--override-kv", func(o *Options) *[]string { return &o.OverrideKV }),
	quant.SwitchWord("--allow-suspicious", func(o *Options) *bool { return &o.AllowSuspicious }),
	quant.SwitchWord("--ternarize", func(o *Options) *bool { return &o.Ternarize }),
	quant.SwitchWord("--keep-master-weights", func(o *Options) *bool { return &o.KeepMasterWeights }),
	quant.TextWord("--scale-rule", func(o *Options) *string { return &o.ScaleRule }),
	optionalWord("--subln-eps", " ", func(o *Options) **float32 { return &o.SubLNEps }, parseFloat),
	quant.TextWord("--hidden-activation", func(o *Options) *string { return &o.HiddenActivation }),
	quant.TextWord("--pre-tokenizer", func(o *Options) *string { return &o.PreTokenizer }),
	optionalWord("--mask-token-id", " ", func(o *Options) **int32 { return &o.MaskToken }, func(s string) (int32, error) {
		n, err := strconv.ParseInt(s, 10, 32)
		return int32(n), err
	}),
	quant.SwitchWord("--mask-token-id none", func(o *Options) *bool { return &o.NoMask }),
	quant.TextWord("--dialect", func(o *Options) *string { return &o.Dialect }),
	countWord("--block-size", func(o *Options) *int { return &o.BlockSize }),
	countWord("--sub-block-size", func(o *Options) *int { return &o.SubBlockSize }),
	optionalWord("--threshold", " ", func(o *Options) **float32 { return &o.Threshold }, parseFloat),
	quant.TextWord("--decode-mode", func(o *Options) *string { return &o.Mode }),
	optionalWord("--shift-logits", "=", func(o *Options) **bool { return &o.ShiftLogits }, strconv.ParseBool),
}

// countWord is a number whose zero means that it was not given.
func countWord(flag string, at func(*Options) *int) quant.Word[Options] {
	return quant.Word[Options]{Flag: flag, Attach: " ", Get: func(o *Options) []string {
		if *at(o) == 0 {
			return nil
		}
		return []string{strconv.Itoa(*at(o))}
	}, Set: func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err == nil {
			*at(o) = n
		}
		return err
	}}
}

func optionalWord[T any](flag, attach string, at func(*Options) **T, parse func(string) (T, error)) quant.Word[Options] {
	return quant.Word[Options]{Flag: flag, Attach: attach, Get: func(o *Options) []string {
		if *at(o) == nil {
			return nil
		}
		return []string{fmt.Sprint(**at(o))}
	}, Set: func(o *Options, value string) error {
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
