package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestSuggestions holds what wf says to words that nearly are its own.
func TestSuggestions(t *testing.T) {
	for line, want := range map[string]string{
		"genrate Hello":                           `unknown command "genrate"; did you mean wf generate? [USAGE]`,
		"genrate -m model.gguf":                   "did you mean wf generate?",
		"quantise a.gguf I2_S":                    "did you mean wf quantize?",
		"run":                                     "did you mean wf generate?",
		"help genrate":                            "did you mean wf generate?",
		"frobnicate":                              `unknown command "frobnicate"; wf --help lists the commands [USAGE]`,
		"generate --treshold 1 Hello":             "unknown flag: --treshold; did you mean --threshold? [USAGE]",
		"generate --temperature 1 Hello":          "did you mean --temp?",
		"generate --ctx 64 Hello":                 "did you mean --ctx-size?",
		"generate -temp 0.5 Hello":                "did you mean --temp?",
		"generate -ctx-size 64 Hello":             "did you mean --ctx-size?",
		"generate --zzz Hello":                    "unknown flag: --zzz; see wf generate --help [USAGE]",
		"generate --threads two Hello":            `--threads is "two"; wanted a whole number; see wf generate --help [USAGE]`,
		"generate --temp hot Hello":               `--temp is "hot"; wanted a number; see wf generate --help [USAGE]`,
		"generate --decode-mode greddy Hello":     `--decode-mode is "greddy"; wanted iterative, greedy, adaptive, autoregressive or auto; did you mean greedy? [USAGE]`,
		"generate --cache-type f61 Hello":         "did you mean f16?",
		"generate --dialect fastdllm-v2 Hello":    "did you mean fast-dllm-v2?",
		"generate --hidden-activation relu Hello": "did you mean relu2?",
		"convert x --outtype i2s":                 "did you mean i2_s?",
		"convert x --scale-rule multipy":          "did you mean multiply?",
		"quantize a.gguf I2S":                     "did you mean I2_S?",
		"quantize a.gguf I2_S --i2s-layout arm":   `--i2s-layout is "arm"; wanted`,
		"bench -o jsn":                            "did you mean json?",
		"bench --synthetic bitnet2b":              "did you mean bitnet-2b?",
		"bench -o xml":                            `--output is "xml"; wanted md, csv, json or jsonl; see wf bench --help [USAGE]`,
		"logits --token-ids 2 --mask casual -o x": "did you mean causal?",
		"perplexity -f x --mask blok":             "did you mean block?",
		"serve --log-format jason":                "did you mean json?",
		"completion bsh":                          "did you mean bash?",
	} {
		var stdout, stderr bytes.Buffer
		status := run(strings.Fields(line), strings.NewReader(""), &stdout, &stderr)
		if status != exitUsage || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("wf %s: status %d, wanted %d and %q:\n%s%s", line, status, exitUsage, want, stderr.String(), stdout.String())
		}
	}
}
