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
	"github.com/wrinklefree/wf/gguf/names"
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
