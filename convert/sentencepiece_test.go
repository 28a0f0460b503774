package convert

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// message builds a protobuf message: number and value by turns; a value is an int (varint), a float32 (4 bytes), text or another message.
func message(fields ...any) []byte {
	var out []byte
	for i := 0; i < len(fields); i += 2 {
		number := uint64(fields[i].(int)) << 3
		switch v := fields[i+1].(type) {
		case int:
			out = binary.AppendUvarint(binary.AppendUvarint(out, number|wireVarint), uint64(int64(v)))
		case float32:
			out = binary.LittleEndian.AppendUint32(binary.AppendUvarint(out, number|wire32), math.Float32bits(v))
		case string:
			out = append(binary.AppendUvarint(binary.AppendUvarint(out, number|wireBytes), uint64(len(v))), v...)
		case []byte:
			out = append(binary.AppendUvarint(binary.AppendUvarint(out, number|wireBytes), uint64(len(v))), v...)
		}
	}
	return out
}

// piecesOf is a model of type BPE: <unk>, <s>, </s>, ▁, a and ▁a.
func piecesOf(more ...any) []byte {
	all := []any{
		1, message(1, "<unk>", 2, float32(0), 3, 2), 1, message(1, "<s>", 3, 3), 1, message(1, "</s>", 3, 3),
		1, message(1, "▁", 2, float32(-1)), 1, message(1, "a", 2, float32(-2)), 1, message(1, "▁a", 2, float32(-0.5)),
	}
	return message(append(append(all, 2, message(3, 2, 43, -1)), more...)...)
}

func TestParseSentencePiece(t *testing.T) {
	tok, err := ParseSentencePiece(piecesOf(3, message(1, "identity", 3, 0, 4, 0), 9, 7, 10, message(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Token{{"<unk>", 2, 0, false}, {"<s>", 3, 0, false}, {"</s>", 3, 0, false}, {"▁", 1, -1, false}, {"a", 1, -2, false}, {"▁a", 1, -0.5, false}}
	if !slices.Equal(tok.Tokens, want) || tok.Model != names.ModelSPM || *tok.AddSpace || len(tok.Notices) != 0 {
		t.Errorf("%+v", tok)
	}
	if s := tok.Special; s["unk"] != "<unk>" || s["bos"] != "<s>" || s["eos"] != "</s>" || s["pad"] != "" || tok.First != "<s>" {
		t.Errorf("special tokens %v", s)
	}
	loose, err := ParseSentencePiece(piecesOf(3, message(1, "nmt_nfkc", 2, "\x01")))
	if err != nil || len(loose.Notices) != 2 || !*loose.AddSpace {
		t.Errorf("%v %q", err, loose.Notices)
	}

	for _, c := range []struct {
		name, code string
		data       []byte
	}{
		{"R78 empty model", "TOKENIZER_BAD_MODEL", nil},
		{"R78 JSON as tokenizer.model", "TOKENIZER_BAD_MODEL", []byte(`{"model": {}}`)},
		{"R78 Git LFS pointer", "TOKENIZER_BAD_MODEL", []byte("version https://git-lfs.github.com/spec/v1\n")},
		{"R78 tiktoken", "TOKENIZER_UNSUPPORTED", []byte("IQ== 0\nIg== 1\n")},
		{"R78 length beyond the file", "TOKENIZER_BAD_MODEL", []byte("\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
		{"R78 endless varint", "TOKENIZER_BAD_MODEL", append([]byte("\n"), bytes.Repeat([]byte{0xff}, 20)...)},
		{"R78 group", "TOKENIZER_BAD_MODEL", append(piecesOf(), 0x0b)},
		{"R78 field 0", "TOKENIZER_BAD_MODEL", append(piecesOf(), 0x02, 0)},
		{"R78 piece as a number", "TOKENIZER_BAD_MODEL", piecesOf(1, 7)},
		{"R78 score as text", "TOKENIZER_BAD_MODEL", piecesOf(1, message(1, "b", 2, "x"))},
		{"R78 score NaN", "TOKENIZER_BAD_MODEL", piecesOf(1, message(1, "b", 2, float32(math.NaN())))},
		{"R78 type 7", "TOKENIZER_BAD_MODEL", piecesOf(1, message(1, "b", 3, 7))},
		{"R78 piece without text", "TOKENIZER_EMPTY_TOKEN", piecesOf(1, message(2, float32(1)))},
		{"R78 piece twice", "TOKENIZER_DUPLICATE_ID", piecesOf(1, message(1, "a"))},
		{"R78 unigram model", "TOKENIZER_UNSUPPORTED", piecesOf(2, message(3, 1))},
		{"R78 spaces kept", "TOKENIZER_UNSUPPORTED", piecesOf(3, message(5, 0))},
		{"R78 special id outside", "TOKENIZER_BAD_SPECIAL", piecesOf(2, message(41, 6))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseSentencePiece(c.data)
			requireCode(t, err, c.code)
		})
	}
	t.Run("R78 every prefix", func(t *testing.T) {
		whole := piecesOf()
		for n := range len(whole) {
			if _, err := ParseSentencePiece(whole[:n]); err != nil && !strings.HasPrefix(fault.Code(err), "TOKENIZER_") {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	})
}

// TestSentencePieceFolder: pieces, then added_tokens.json and added_tokens_decoder, then padding, with scores as llama.cpp's converter writes them.
func TestSentencePieceFolder(t *testing.T) {
	m := newModel()
	delete(m.files, "tokenizer.json")
	m.files["tokenizer.model"] = string(piecesOf())
	m.files["added_tokens.json"] = `{"<|user|>": 7, "<s>": 1}`
	m.files["tokenizer_config.json"] = `{"unk_token": "<unk>", "added_tokens_decoder": {"6": {"content": "[X]", "special": true}, "7": {"content": "<|user|>", "special": false}}}`
	delete(m.config, "eos_token_id")
	out := convertDir(t, m.write(t), Options{NoMask: true})
	for key, want := range map[string]any{names.TokenizerModel: "llama", names.TokenizerPre: "default", names.BOS: uint32(1), names.EOS: uint32(2), names.Unknown: uint32(0),
		names.AddBOS: true, names.AddSpacePrefix: true, names.Merges: nil} {
		if got := out.value(key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	n := len(out.value(names.Tokens).([]string))
	texts := []string{"<unk>", "<s>", "</s>", "▁", "a", "▁a", "[X]", "<|user|>"}
	kinds := []int32{2, 3, 3, 1, 1, 1, 3, 3}
	scores := []float32{0, 0, 0, -1, -2, -0.5, addedScore, addedScore}
	if n < len(texts) {
		t.Fatalf("%d tokens", n)
	}
	for id := len(texts); id < n; id++ {
		texts, kinds, scores = append(texts, "[PAD"+string(rune('0'+id))+"]"), append(kinds, 5), append(scores, paddingScore)
	}
	if !slices.Equal(out.value(names.Tokens).([]string), texts) || !slices.Equal(out.value(names.TokenType).([]int32), kinds) || !slices.Equal(out.value(names.Scores).([]float32), scores) {
		t.Errorf("%q %d %v", out.value(names.Tokens), out.value(names.TokenType), out.value(names.Scores))
	}
	m.files["added_tokens.json"] = `{"b": 4}`
	_, err := tryConvert(t, m.write(t), Options{})
	requireCode(t, err, "TOKENIZER_DUPLICATE_ID", "4")
	m.files["added_tokens.json"] = `{"b": -4}`
	_, err = tryConvert(t, m.write(t), Options{})
	requireCode(t, err, "TOKENIZER_BAD_VALUE")
}

// TestByteFallbackJSON: what transformers makes of a tokenizer.model becomes one again: scores from the order of merges, byte tokens, the space before.
func TestByteFallbackJSON(t *testing.T) {
	const vocab = `{"version": "1.0", "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 7, "content": "▁▁", "special": false}],
		"normalizer": %N, "pre_tokenizer": %P, "post_processor": null,
		"model": {"type": "BPE", "byte_fallback": true, "vocab": {"<unk>": 0, "<0x41>": 1, "▁": 2, "a": 3, "b": 4, "ab": 5, "▁ab": 6}, "merges": ["a b", "▁ ab"]}}`
	const prepend = `{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}`
	for _, c := range []struct {
		name, normalizer, pre string
		space, known          bool
	}{
		{"Prepend and Replace", prepend, `null`, true, true},
		{"Replace", `{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}`, `null`, false, true},
		{"Metaspace", `null`, `{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}`, true, true},
		{"Metaspace without", `null`, `{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false}`, false, true},
		{"R79 nothing", `null`, `null`, false, false},
		{"R79 Metaspace that splits", `null`, `{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}`, true, false},
		{"R79 another normalizer", `{"type": "NFKC"}`, `null`, false, false},
		{"R79 both", prepend, `{"type": "ByteLevel"}`, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := ParseTokenizer([]byte(strings.NewReplacer("%N", c.normalizer, "%P", c.pre).Replace(vocab)))
			if err != nil {
				t.Fatal(err)
			}
			if *tok.AddSpace != c.space || (tok.PreErr == nil) != c.known || tok.Model != names.ModelSPM {
				t.Errorf("space %v, %v, model %s", *tok.AddSpace, tok.PreErr, tok.Model)
			}
			want := []Token{{"<unk>", 3, addedScore, true}, {"<0x41>", 6, -2, false}, {"▁", 1, -2, false}, {"a", 1, -2, false}, {"b", 1, -2, false}, {"ab", 1, 0, false},
				{"▁ab", 1, -1, false}, {"  ", 4, addedScore, true}}
			if !slices.Equal(tok.Tokens, want) {
				t.Errorf("%+v", tok.Tokens)
			}
		})
	}
}

func FuzzSentencePiece(f *testing.F) {
	trained, err := os.ReadFile("../testdata/families/tokenizers/spm/tokenizer.model")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(trained)
	f.Add(piecesOf(3, message(1, "identity", 2, "x", 3, 0), 2, message(40, 5, 41, -1)))
	f.Add([]byte("IQ== 0\nIg== 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := ParseSentencePiece(data)
		if err != nil {
			if code := fault.Code(err); !strings.HasPrefix(code, "TOKENIZER_") {
				t.Errorf("%v has code %q", err, code)
			}
			return
		}
		size := 0
		for id, k := range tok.Tokens {
			if k.Text == "" || k.Score != k.Score || k.Kind < names.TokenNormal || k.Kind > names.TokenByte {
				t.Errorf("token %d is %+v", id, k)
			}
			size += len(k.Text)
		}
		if size > len(data) {
			t.Errorf("%d bytes of text from %d", size, len(data))
		}
	})
}
