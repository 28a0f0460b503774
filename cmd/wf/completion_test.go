package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf"
)

// complete asks for completions as the shells' scripts do.
func complete(t *testing.T, words ...string) (found []string, directive string) {
	var stdout, stderr bytes.Buffer
	if status := run(append([]string{"__completeNoDesc"}, words...), strings.NewReader(""), &stdout, &stderr); status != exitOK {
		t.Fatalf("%q: status %d: %s", words, status, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	return lines[:len(lines)-1], lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	const (
		nothingElse = ":4" // cobra.ShellCompDirectiveNoFileComp
		endings     = ":8" // cobra.ShellCompDirectiveFilterFileExt
		folders     = ":16"
		anyFile     = ":0"
	)
	for _, c := range []struct {
		words     string // the last one is being typed; a line that ends in a space begins a new one
		want      []string
		directive string
	}{
		{"qu", []string{"quantize"}, nothingElse},
		{"generate -m ", modelFiles, endings},
		{"generate --decode-mode ", decodeModes, nothingElse},
		{"generate --dialect ", []string{"fast-dllm-v2", "wrinklefree"}, nothingElse},
		{"generate --cache-type ", []string{"f32", "f16"}, nothingElse},
		{"generate --hidden-activation ", []string{"silu", "relu2"}, nothingElse},
		{"generate --file ", nil, anyFile},
		{"generate --threads ", nil, nothingElse},
		{"generate ", nil, nothingElse},
		{"serve -m ", modelFiles, endings},
		{"serve --log-format ", []string{"text", "json"}, nothingElse},
		{"serve --tls-cert ", nil, anyFile},
		{"serve --config ", nil, anyFile},
		{"convert ", checkpointFiles, endings},
		{"convert x --outtype ", convert.Choices["outtype"], nothingElse},
		{"convert x --config-dir ", nil, folders},
		{"quantize ", modelFiles, endings},
		{"quantize a.gguf ", gguf.TypeNames(), nothingElse},
		{"quantize --print-rules ", gguf.TypeNames(), nothingElse},
		{"convert x --token-embedding-type ", convert.Choices["token-embedding-type"], nothingElse},
		{"inspect ", append(modelFiles[:1:1], checkpointFiles...), endings},
		{"verify ", modelFiles, endings},
		{"verify a.gguf --source ", nil, anyFile},
		{"bench -m ", modelFiles, endings},
		{"bench -o ", []string{"md", "csv", "json", "jsonl"}, nothingElse},
		{"bench --synthetic ", shapeNames(), nothingElse},
		{"perplexity --mask ", []string{"causal", "block"}, nothingElse},
		{"eval ", []string{"jsonl"}, endings},
		{"replay ", []string{"jsonl"}, endings},
		{"eval x.jsonl --modes ", decodeModes, nothingElse},
		{"completion ", shells, nothingElse},
	} {
		found, directive := complete(t, strings.Split(c.words, " ")...)
		if !slices.Equal(found, c.want) || directive != c.directive {
			t.Errorf("wf %s: %q %s, wanted %q %s", c.words, found, directive, c.want, c.directive)
		}
	}
}

// TestEveryFlagCompletes insists that no flag offers files where it wants none.
func TestEveryFlagCompletes(t *testing.T) {
	root := newRootCmd(&environment{})
	for _, cmd := range root.Commands() {
		for _, name := range flagNames(cmd) {
			if _, ok := cmd.GetFlagCompletionFunc(name); !ok {
				t.Errorf("wf %s --%s has no completion", cmd.Name(), name)
			}
		}
	}
}

// TestCompletionScripts: each shell gets a script that calls wf back.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range shells {
		var stdout, stderr bytes.Buffer
		if status := run([]string{"completion", shell}, nil, &stdout, &stderr); status != exitOK || !strings.Contains(stdout.String(), cobra.ShellCompRequestCmd) {
			t.Errorf("%s: status %d, %d bytes: %s", shell, status, stdout.Len(), stderr.String())
		}
	}
}
