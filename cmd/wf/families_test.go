package main

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

const families = "../../testdata/families/"

// tokenizerFamilies are the vocabularies under testdata/families/tokenizers. special: their library recognises control tokens in text.
var tokenizerFamilies = []struct {
	name, file, pre string
	special         bool
}{
	{"llama-3", "tokenizer.json", "llama-bpe", true},
	{"falcon3", "tokenizer.json", "llama-bpe", true},
	{"falcon", "tokenizer.json", "falcon", true},
	{"qwen2", "tokenizer.json", "qwen2", true},
	{"smollm", "tokenizer.json", "smollm", true},
	{"gpt-2", "tokenizer.json", "gpt-2", true},
	{"spm", "tokenizer.model", "default", false},
	{"llama-2", "tokenizer.json", "default", true},
}

// TestTokenizerParity: the ids of 2500 strings are those of the library that the vocabulary was made with, by way of what convert writes.
func TestTokenizerParity(t *testing.T) {
	var texts []string
	readGzip(t, families+"tokenizers/strings.json.gz", &texts)
	if len(texts) < 2000 {
		t.Fatalf("%d strings", len(texts))
	}
	for _, family := range tokenizerFamilies {
		t.Run(family.name, func(t *testing.T) {
			t.Parallel()
			tok := familyTokenizer(t, family.name, family.file, family.pre)
			var want [][]int32
			readGzip(t, families+"tokenizers/"+family.name+"/ids.json.gz", &want)
			if len(want) != len(texts) {
				t.Fatalf("%d strings and %d lists of ids", len(texts), len(want))
			}
			compared, wrong := 0, 0
			for i, text := range texts {
				if family.name == "llama-2" && placesSpaces(text) {
					continue
				}
				compared++
				got := tok.Encode(text, tokenizer.EncodeOptions{Special: family.special})
				if !slices.Equal(got, want[i]) {
					if wrong++; wrong <= 5 {
						t.Errorf("%q:\n got %d\nwant %d", text, got, want[i])
					}
				}
				if family.file == "tokenizer.model" || family.name == "llama-2" {
					text = strings.ReplaceAll(text, "▁", " ") // SentencePiece cannot tell them apart
				}
				if back := tok.Decode(got, true); back != text {
					t.Errorf("%q comes back as %q", text, back)
				}
			}
			t.Logf("%d of %d strings compared, %d differ", compared, len(texts), wrong)
		})
	}
}

// placesSpaces tells whether transformers' Metaspace puts the space before a text elsewhere than sentencepiece and llama.cpp do, and wf with them: it
// puts none before a text that begins with one, or before what follows a control or user-defined token. And it looks for a user-defined token of four
// spaces as four U+2581.
func placesSpaces(text string) bool {
	if strings.HasPrefix(text, " ") || strings.HasPrefix(text, "▁") || strings.Contains(text, "    ") {
		return true
	}
	for _, mark := range []string{"<unk>", "<s>", "</s>", "<sep>"} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return false
}

// TestBrokenUTF8: the libraries take text only, so that what is none has no reference: it must come back.
func TestBrokenUTF8(t *testing.T) {
	for _, family := range tokenizerFamilies {
		tok := familyTokenizer(t, family.name, family.file, family.pre)
		for _, text := range []string{"\xff", "a\x80b", "\xc3", "\xc3\xc3\xa9", "\xe2\x96", " \xf0\x9f\x99 x", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80", "é\xe9\n\xff\xfe"} {
			if back := tok.Decode(tok.Encode(text, tokenizer.EncodeOptions{}), false); back != text {
				t.Errorf("%s: %q comes back as %q", family.name, text, back)
			}
		}
	}
}

// familyTokenizer converts a vocabulary as part of the smallest model that a plan can be made for.
func familyTokenizer(t *testing.T, name, file, pre string) *tokenizer.Tokenizer {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(families, "tokenizers", name, file))
	if err != nil {
		t.Fatal(err)
	}
	parse := convert.ParseTokenizer
	if file == "tokenizer.model" {
		parse = convert.ParseSentencePiece
	}
	vocabulary, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	c := &convert.Config{
		Architecture: "LlamaForCausalLM", HiddenAct: names.SiLU, VocabSize: len(vocabulary.Tokens), HiddenSize: 2, IntermediateSize: 2, NumAttentionHeads: 1,
		NumKeyValueHeads: 1, HeadDim: 2, MaxPositionEmbeddings: 64, RMSNormEps: 1e-5, RopeTheta: 10000, SpecialIDs: map[string][]int32{"eos": {0}},
	}
	rows := uint64(c.VocabSize)
	inventory := &convert.Inventory{Values: map[string]convert.Values{}, Tensors: []convert.Tensor{
		{Name: "model.embed_tokens.weight", DType: checkpoint.F32, Shape: []uint64{rows, 2}}, {Name: "model.norm.weight", DType: checkpoint.F32, Shape: []uint64{2}},
	}}
	plan, err := convert.MakePlan(inventory, c, vocabulary, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := plan.Metadata.Get(names.TokenizerPre); got != pre {
		t.Errorf("%s: pre-tokenizer %v, want %s", name, got, pre)
	}
	tok, err := tokenizer.New(plan.Metadata, int(rows), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readGzip(t *testing.T, path string, to any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(z).Decode(to)
	}
	if err != nil {
		t.Fatal(path, err)
	}
}

// checkpointFamilies are the checkpoints under testdata/families, each as its own tools save it, and what becomes of them. file is the weights, if a folder
// does not say.
var checkpointFamilies = []struct {
	name, file, arch string
	diffusion        bool
	ternary          bool // else dense
	notice           string
}{
	{name: "bitnet-bf16", arch: "bitnet-b1.58", ternary: true},
	{name: "bitnet-packed", arch: "bitnet-b1.58", ternary: true},
	{name: "bitnet-pth", file: "model_state.pth", arch: "bitnet-b1.58", ternary: true},
	{name: "1bitllm", arch: "bitnet", ternary: true},
	{name: "llama3-158", arch: "llama", ternary: true},
	{name: "falcon3-158", arch: "llama", ternary: true},
	{name: "falcon-e", arch: "llama", ternary: true},
	{name: "wrinklefree-576", arch: "llama", ternary: true, diffusion: true, notice: "weight_scale multiplies"},
	{name: "llama", arch: "llama"},
	{name: "qwen2", arch: "qwen2", diffusion: true},
}

// familyBound is how far a logit may be from transformers' in float32, as a share of its row's largest: sums in another order. An activation that is
// rounded to int8 the other way would move logits by a percent; none of these ids comes near enough to an edge.
const familyBound = 1e-5

// TestFamilies: every family converts; its logits are those of transformers on the same files; it generates text, and a ternary one the same ids from two bits
// a weight.
func TestFamilies(t *testing.T) {
	for _, family := range checkpointFamilies {
		t.Run(family.name, func(t *testing.T) {
			t.Parallel()
			dir := families + family.name + "/"
			golden := readGolden(t, dir+"golden.safetensors")
			var notices []string
			o := convert.Options{Type: "f32", Notice: func(text string) { notices = append(notices, text) }}
			m := loadModel(t, convertTo(t, dir+family.file, o), infer.Options{})
			if arch := m.Config().Architecture; arch != family.arch {
				t.Errorf("architecture %s, want %s", arch, family.arch)
			}
			if !strings.Contains(strings.Join(notices, "\n"), family.notice) {
				t.Errorf("notices %q", notices)
			}
			for _, key := range []string{"", ".short"} {
				got := logitsOf(t, m, golden.ids("ids"+key), infer.Mask{})
				compareRows(t, "ids"+key, 512, got, golden["logits"+key+".causal"], familyBound)
			}
			answer := generateIDs(t, m, family.diffusion)
			if !family.ternary {
				return
			}
			packed := loadModel(t, convertTo(t, dir+family.file, convert.Options{Type: "i2_s", TokenEmbedding: "f32", OutputTensor: "f32"}), infer.Options{})
			if again := generateIDs(t, packed, family.diffusion); !slices.Equal(again, answer) {
				t.Errorf("I2_S generates %d, F32 %d", again, answer)
			}
		})
	}
}

// generateIDs answers a prompt through the file's own vocabulary.
func generateIDs(t *testing.T, m *infer.Model, diffuses bool) []int32 {
	t.Helper()
	tok := loadTokenizer(t, m)
	prompt := tok.Encode("The quick brown fox, 1234.", tokenizer.EncodeOptions{AddBOS: true})
	r, err := diffusion.Generate(t.Context(), m, prompt, diffusion.Options{MaxTokens: 12, Text: tok.NewStream()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.IDs) != 12 || len(prompt) < 5 {
		t.Errorf("%d ids for a prompt of %d", len(r.IDs), len(prompt))
	}
	if autoregressive := r.Stats.Passes[diffusion.Decode] > 0; autoregressive == diffuses {
		t.Errorf("decoded token by token: %v", autoregressive)
	}
	return r.IDs
}

// TestFastDLLM: the class of Fast-dLLM v2 is Qwen2's network, the config beside it says the rest.
func TestFastDLLM(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "model.safetensors"} {
		copyFile(t, families+"qwen2/"+name, filepath.Join(dir, name))
	}
	data, err := os.ReadFile(families + "qwen2/config.json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"Qwen2ForCausalLM"`, `"Fast_dLLM_QwenForCausalLM"`, `"model_type": "qwen2"`, `"model_type": "Fast_dLLM_Qwen", "bd_size": 32`).Replace(string(data))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m := loadModel(t, convertTo(t, dir, convert.Options{Type: "f32"}), infer.Options{})
	golden := readGolden(t, families+"qwen2/golden.safetensors")
	compareRows(t, "ids", 512, logitsOf(t, m, golden.ids("ids"), infer.Mask{}), golden["logits.causal"], familyBound)
	if d := m.Config().Diffusion; d == nil || d.Dialect != names.DialectFastDLLM || d.BlockSize != 32 {
		t.Errorf("diffusion %+v", d)
	}
	generateIDs(t, m, true)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestIncomplete: what is missing is named before anything is written.
func TestIncomplete(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	second := "model-00002-of-00002.safetensors"
	for _, c := range []struct {
		name, code string
		parts      []string
		change     func(t *testing.T, dir string)
	}{
		{"missing shard", "INDEX_INCONSISTENT", []string{second, "download"}, func(t *testing.T, dir string) { remove(t, dir, second) }},
		{"shard cut short", "ST_TRUNCATED", []string{second}, func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, second), 50_000); err != nil {
				t.Fatal(err)
			}
		}},
		{"shard is an LFS pointer", "NOT_WEIGHTS", []string{second, "Git LFS pointer", "git lfs pull"}, func(t *testing.T, dir string) { write(t, dir, second, pointer) }},
		{"tokenizer is an LFS pointer", "TOKENIZER_BAD_JSON", []string{"tokenizer.json", "Git LFS pointer"}, func(t *testing.T, dir string) { write(t, dir, "tokenizer.json", pointer) }},
		{"config is an LFS pointer", "CONFIG_BAD_JSON", []string{"config.json", "Git LFS pointer"}, func(t *testing.T, dir string) { write(t, dir, "config.json", pointer) }},
		{"adapter only", "CKPT_ADAPTER", []string{"adapter_model.safetensors", "merge"}, func(t *testing.T, dir string) {
			for _, name := range []string{"model.safetensors.index.json", "model-00001-of-00002.safetensors", second} {
				remove(t, dir, name)
			}
			write(t, dir, "adapter_config.json", `{"peft_type": "LORA", "base_model_name_or_path": "microsoft/bitnet-b1.58-2B-4T-bf16"}`)
			copyFile(t, families+"llama/golden.safetensors", filepath.Join(dir, "adapter_model.safetensors"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", second} {
				copyFile(t, families+"llama/"+name, filepath.Join(dir, name))
			}
			c.change(t, dir)
			out := filepath.Join(t.TempDir(), "x.gguf")
			_, err := convert.Run(t.Context(), convert.Options{Path: dir, Out: out})
			if fault.Code(err) != c.code {
				t.Fatalf("%v [%s], want %s", err, fault.Code(err), c.code)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v lacks %q", err, part)
				}
			}
			if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
