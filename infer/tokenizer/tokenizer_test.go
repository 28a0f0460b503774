package tokenizer

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
)

const tiny = "../../testdata/tinydlm/"

// readJSON decodes a file into v.
func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// tinyMetadata is what convert writes for tinydlm: ids 0 to 3 are control tokens, 0 is the mask.
func tinyMetadata(t testing.TB) *gguf.Metadata {
	t.Helper()
	var file struct {
		AddedTokens []struct{ ID int } `json:"added_tokens"`
		Model       struct {
			Vocab  map[string]int
			Merges []string
		}
	}
	readJSON(t, tiny+"hf/tokenizer.json", &file)
	var config struct {
		ChatTemplate string `json:"chat_template"`
	}
	readJSON(t, tiny+"hf/tokenizer_config.json", &config)
	tokens, types := make([]string, len(file.Model.Vocab)), make([]int32, len(file.Model.Vocab))
	for text, id := range file.Model.Vocab {
		tokens[id], types[id] = text, names.TokenNormal
	}
	for _, added := range file.AddedTokens {
		types[added.ID] = names.TokenControl
	}
	md := &gguf.Metadata{}
	for _, kv := range []gguf.KV{
		{Key: names.TokenizerModel, Value: "gpt2"}, {Key: names.TokenizerPre, Value: "smollm"},
		{Key: names.Tokens, Value: tokens}, {Key: names.TokenType, Value: types}, {Key: names.Merges, Value: file.Model.Merges},
		{Key: names.BOS, Value: uint32(1)}, {Key: names.EOS, Value: uint32(3)}, {Key: names.EOT, Value: uint32(1)},
		{Key: names.Padding, Value: uint32(1)}, {Key: names.MaskToken, Value: uint32(0)},
		{Key: names.AddBOS, Value: false}, {Key: names.ChatTemplate, Value: config.ChatTemplate}, {Key: names.Version, Value: "test"},
	} {
		md.Set(kv.Key, kv.Value)
	}
	return md
}

// noWarning fails the test on a warning.
func noWarning(t testing.TB) func(string) {
	return func(text string) { t.Helper(); t.Errorf("warning: %s", text) }
}

// tinyTokenizer is tinydlm's, with changes to its metadata: pairs of key and value; a value of nil deletes the key.
func tinyTokenizer(t testing.TB, changes ...any) *Tokenizer {
	t.Helper()
	tok, err := New(changed(tinyMetadata(t), changes), 1024, noWarning(t))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func changed(md *gguf.Metadata, changes []any) *gguf.Metadata {
	for i := 0; i < len(changes); i += 2 {
		if key, value := changes[i].(string), changes[i+1]; value == nil {
			md.Delete(key)
		} else {
			md.Set(key, value)
		}
	}
	return md
}
