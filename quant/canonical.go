package quant

import (
	"fmt"
	"strings"

	"github.com/wrinklefree/wf/gguf"
)

// quantizeWord begins wf.options of a file that Run wrote. What wf convert records begins with a flag, or is empty.
const quantizeWord = "quantize"

// words lists the options of Run that change bytes, in canonical order.
var words = []Word[Options]{
	{quantizeWord, " ",
		func(o *Options) []string { return []string{strings.ToLower(o.Type.String())} },
		func(o *Options, value string) error { return recallType(&o.Type, value) }},
	typeWord("--token-embedding-type", func(o *Options) (*gguf.Type, *bool) { return &o.TokenEmbedding, &o.HasTokenEmbedding }),
	typeWord("--output-tensor-type", func(o *Options) (*gguf.Type, *bool) { return &o.OutputTensor, &o.HasOutputTensor }),
	{"--tensor-type", " ", func(o *Options) (values []string) {
		for _, r := range o.Rules {
			values = append(values, r.String())
		}
		return values
	}, func(o *Options, value string) error {
		r, err := ParseRule(value)
		if err == nil {
			o.Rules = append(o.Rules, r)
		}
		return err
	}},
	ListWord("--override-kv", func(o *Options) *[]string { return &o.OverrideKV }),
	SwitchWord("--allow-requantize", func(o *Options) *bool { return &o.AllowRequantize }),
	TextWord("--i2s-layout", func(o *Options) *string { return &o.I2SLayout }),
}

func typeWord(flag string, at func(*Options) (*gguf.Type, *bool)) Word[Options] {
	return Word[Options]{flag, " ", func(o *Options) []string {
		if t, has := at(o); *has {
			return []string{strings.ToLower(t.String())}
		}
		return nil
	}, func(o *Options, value string) error {
		t, has := at(o)
		err := recallType(t, value)
		*has = err == nil
		return err
	}}
}

func recallType(t *gguf.Type, name string) error {
	found, ok := gguf.ParseType(name)
	if !ok {
		return fmt.Errorf("type %q", name)
	}
	*t = found
	return nil
}
