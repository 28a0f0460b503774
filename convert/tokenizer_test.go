package convert

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

func TestR78(t *testing.T) {
	in := func(old, to string) string {
		if !strings.Contains(vocabulary, old) {
			t.Fatalf("the vocabulary has no %s", old)
		}
		return strings.Replace(vocabulary, old, to, 1)
	}
	for _, c := range []struct {
		name, code, text string
		parts            []string
	}{
		{"R78 depth 100 000", "TOKENIZER_LIMIT", in(`"normalizer": null`, `"normalizer": `+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), []string{"deeper"}},
		{"R78 5 M merges", "TOKENIZER_LIMIT", in(`["a b"]`, `["a b"`+strings.Repeat(`,"a b"`, 5_000_000)+`]`), []string{"600000"}},
		{"R78 merge of an unknown piece", "TOKENIZER_BAD_MERGE", in(`"a b"`, `"a c"`), []string{`"c"`}},
		{"R78 merge into an unknown piece", "TOKENIZER_BAD_MERGE", in(`"a b"`, `"b a"`), []string{`"ba"`}},
		{"R78 merge of one piece", "TOKENIZER_BAD_MERGE", in(`"a b"`, `"ab"`), nil},
		{"R78 merge of three", "TOKENIZER_BAD_MERGE", in(`"a b"`, `"a b b"`), nil},
		{"R78 merge that is a number", "TOKENIZER_BAD_MERGE", in(`"a b"`, `7`), nil},
		{"R78 merge of a pair of three", "TOKENIZER_BAD_MERGE", in(`"a b"`, `["a", "b", "b"]`), nil},
		{"R78 duplicate ids", "TOKENIZER_DUPLICATE_ID", in(`"b": 1`, `"b": 0`), []string{`"a"`, `"b"`}},
		{"R78 duplicate ids of added tokens", "TOKENIZER_DUPLICATE_ID", in(`"id": 4`, `"id": 3`), nil},
		{"R78 added token over a piece", "TOKENIZER_DUPLICATE_ID", in(`"id": 4`, `"id": 2`), nil},
		{"R78 one text, two ids", "TOKENIZER_DUPLICATE_ID", in(`"|<MASK>|"`, `"ab"`), []string{"2", "4"}},
		{"R78 duplicate pieces", "TOKENIZER_DUPLICATE_KEY", in(`"b": 1`, `"a": 1`), nil},
		{"R78 id 2^31", "TOKENIZER_BAD_ID", in(`"b": 1`, `"b": 2147483648`), []string{"2147483648"}},
		{"R78 id -1", "TOKENIZER_BAD_ID", in(`"b": 1`, `"b": -1`), nil},
		{"R78 id 1.5", "TOKENIZER_BAD_ID", in(`"b": 1`, `"b": 1.5`), nil},
		{"R78 id as text", "TOKENIZER_BAD_ID", in(`"b": 1`, `"b": "1"`), nil},
		{"R78 id of an added token", "TOKENIZER_BAD_ID", in(`"id": 4`, `"id": 2147483648`), nil},
		{"R78 no id", "TOKENIZER_MISSING_KEY", in(`"id": 4, `, ``), nil},
		{"R78 empty added token", "TOKENIZER_EMPTY_TOKEN", in(`"|<MASK>|"`, `""`), []string{"4"}},
		{"R78 empty piece", "TOKENIZER_EMPTY_TOKEN", in(`"b": 1`, `"": 1`), nil},
		{"R78 lone surrogate", "TOKENIZER_BAD_JSON", in(`"b": 1`, `"\ud800": 1`), nil},
		{"R78 not JSON", "TOKENIZER_BAD_JSON", "version https://git-lfs.github.com/spec/v1", nil},
		{"R78 vocab is a list", "TOKENIZER_BAD_VALUE", in(`"vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 5}`, `"vocab": ["a"]`), nil},
		{"R78 vocab is cut", "TOKENIZER_BAD_JSON", vocabulary[:strings.Index(vocabulary, `"b": 1`)], nil},
		{"R78 unigram", "TOKENIZER_UNSUPPORTED", in(`"BPE"`, `"Unigram"`), []string{"Unigram"}},
		{"R78 no model", "TOKENIZER_UNSUPPORTED", `{}`, nil},
		{"R78 trailing text", "TOKENIZER_BAD_JSON", vocabulary + "x", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			_, err := ParseTokenizer([]byte(c.text))
			requireCode(t, err, c.code, c.parts...)
			if took := time.Since(start); took > slowly(2*time.Second) {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("R78 64 MiB and a byte", func(t *testing.T) {
		dir := newModel().write(t)
		if err := os.Truncate(filepath.Join(dir, "tokenizer.json"), 64<<20+1); err != nil {
			t.Fatal(err)
		}
		_, err := tryConvert(t, dir, Options{})
		requireCode(t, err, "TOKENIZER_LIMIT", "67108865")
	})
	t.Run("R78 a gap in the ids", func(t *testing.T) {
		out := convertDir(t, newModel().write(t), Options{})
		tokens, kinds := out.value(names.Tokens).([]string), out.value(names.TokenType).([]int32)
		want := []string{"a", "b", "ab", "<|endoftext|>", "|<MASK>|", "Ġ", "[PAD6]", "[PAD7]"}
		if !slices.Equal(tokens, want) || !slices.Equal(kinds, []int32{1, 1, 1, 3, 3, 1, 5, 5}) {
			t.Errorf("tokens %q, types %d", tokens, kinds)
		}
	})
	t.Run("R78 more tokens than vocab_size", func(t *testing.T) {
		m := newModel()
		m.config["vocab_size"] = 4
		m.tensors["model.embed_tokens.weight"] = tensor{"F32", []int{4, 128}, nil}
		_, err := m.plan(t, m.typed(), Options{NoMask: true})
		requireCode(t, err, "TOKENIZER_BAD_ID", "5", "4")
	})
	t.Run("R78 no merges", func(t *testing.T) {
		m := newModel()
		m.files["tokenizer.json"] = in(`["a b"]`, `[]`)
		_, err := m.plan(t, m.typed(), Options{})
		requireCode(t, err, "TOKENIZER_BAD_MERGE")
	})
}

// splitter returns a pre_tokenizer of Split and ByteLevel.
func splitter(pattern string) string {
	text, _ := json.Marshal(pattern)
	return `{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ` + string(text) + `}, "behavior": "Isolated", "invert": false},
		{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}`
}

func TestPreTokenizer(t *testing.T) {
	const (
		llama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
		qwen   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
		bytes  = `{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}`
		digits = `{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, ` + bytes + `]}`

		falconPre = `{"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"}, ` + bytes + `,
			{"type": "Digits", "individual_digits": false}, {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false}]}`
	)
	for _, c := range []struct{ name, normalizer, pre, want string }{
		{"Llama 3", "null", splitter(llama3), "llama-bpe"},
		{"Qwen 2", `{"type": "NFC"}`, splitter(qwen), "qwen2"},
		{"Qwen 2 without normalizer", "null", splitter(qwen), "qwen2"},
		{"SmolLM", "null", digits, "smollm"},
		{"GPT-2", "null", bytes, "gpt-2"},
		{"R79 hostile pattern", "null", splitter(`(a+)+$`), ""},
		{"R79 unknown pattern", "null", splitter(`\p{N}{1,4}`), ""},
		{"R79 pattern and GPT-2's", "null", strings.Replace(splitter(llama3), `"use_regex": false`, `"use_regex": true`, 1), ""},
		{"R79 inverted pattern", "null", strings.Replace(splitter(llama3), `"invert": false`, `"invert": true`, 1), ""},
		{"R79 other behavior", "null", strings.Replace(splitter(llama3), "Isolated", "Removed", 1), ""},
		{"R79 other normalizer", `{"type": "Lowercase"}`, bytes, ""},
		{"Falcon", "null", falconPre, "falcon"},
		{"R79 Falcon's, other punctuation", "null", strings.Replace(falconPre, "Contiguous", "Isolated", 1), ""},
		{"R79 Falcon's, single digits", "null", strings.Replace(falconPre, `"individual_digits": false`, `"individual_digits": true`, 1), ""},
		{"R79 a space before", "null", strings.Replace(bytes, `"add_prefix_space": false`, `"add_prefix_space": true`, 1), ""},
		{"R79 digits in groups", "null", strings.Replace(digits, "true", "false", 1), ""},
		{"R79 Metaspace", "null", `{"type": "Metaspace"}`, ""},
		{"R79 none", "null", "null", ""},
		{"R79 not even an object", "null", "[[1]]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			text := strings.Replace(vocabulary, `"normalizer": null`, `"normalizer": `+c.normalizer, 1)
			text = strings.Replace(text, `{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}`, c.pre, 1)
			m.files["tokenizer.json"] = text
			p, err := m.plan(t, m.typed(), Options{})
			if c.want == "" {
				requireCode(t, err, "TOKENIZER_UNKNOWN_PATTERN", "--pre-tokenizer")
				p, err = m.plan(t, m.typed(), Options{PreTokenizer: "default"})
				c.want = "default"
			}
			if err != nil {
				t.Fatal(err)
			}
			if pre, _ := p.Metadata.Get(names.TokenizerPre); pre != c.want {
				t.Errorf("pre is %v, want %s", pre, c.want)
			}
		})
	}
	t.Run("ignore_merges", func(t *testing.T) {
		tok, err := ParseTokenizer([]byte(strings.Replace(vocabulary, `"BPE"`, `"BPE", "ignore_merges": true`, 1)))
		if err != nil || len(tok.Notices) != 1 {
			t.Errorf("%v %q", err, tok.Notices)
		}
	})
}

// TestVocabulary is FORMATS.md 7.1 to 7.3.
func TestVocabulary(t *testing.T) {
	plan := func(t *testing.T, m *model, o Options) func(key string) any {
		t.Helper()
		out := convertDir(t, m.write(t), o)
		return out.value
	}
	t.Run("merges as pairs", func(t *testing.T) {
		m := newModel()
		m.files["tokenizer.json"] = strings.NewReplacer(`["a b"]`, `[["a", "b"], [" ", "a"]]`, `"Ġ": 5`, `"Ġ": 5, "Ġa": 6`).Replace(vocabulary)
		if got := plan(t, m, Options{})(names.Merges); !slices.Equal(got.([]string), []string{"a b", "Ġ a"}) {
			t.Errorf("merges %q", got)
		}
	})
	t.Run("token types", func(t *testing.T) {
		m := newModel()
		m.files["tokenizer.json"] = strings.Replace(vocabulary, `"added_tokens": [`, `"added_tokens": [{"id": 6, "content": "<|tool|>"}, {"id": 7, "content": "▁word▁"},`, 1)
		get := plan(t, m, Options{})
		tokens, kinds := get(names.Tokens).([]string), get(names.TokenType).([]int32)
		if kinds[6] != names.TokenControl || kinds[7] != names.TokenUserDefined || tokens[7] != " word " {
			t.Errorf("types %d, tokens %q", kinds, tokens)
		}
	})
	t.Run("special ids", func(t *testing.T) {
		m := newModel()
		m.config["bos_token_id"], m.config["pad_token_id"], m.config["sep_token_id"] = 2, 1, 0
		m.files["tokenizer_config.json"] = `{"bos_token": {"content": "<|endoftext|>"}, "eos_token": "<|endoftext|>", "unk_token": "ab", "pad_token": null, "add_bos_token": true, "add_prefix_space": true}`
		get := plan(t, m, Options{})
		for key, want := range map[string]any{names.BOS: uint32(3), names.EOS: uint32(3), names.Unknown: uint32(2), names.Padding: uint32(1), names.Separator: uint32(0),
			names.CLS: nil, names.AddBOS: true, names.AddEOS: false, names.AddSpacePrefix: true, names.EOT: nil} {
			if get(key) != want {
				t.Errorf("%s is %v, want %v", key, get(key), want)
			}
		}
	})
	t.Run("stop set", func(t *testing.T) {
		m := newModel()
		m.config["eos_token_id"] = []int{4, 0}
		m.files["generation_config.json"] = `{"eos_token_id": [0, 1, 2, 5]}`
		m.files["tokenizer_config.json"] = `{"eos_token": "<|endoftext|>"}`
		get := plan(t, m, Options{})
		if get(names.EOS) != uint32(3) || get(names.EOT) != uint32(0) || get(names.EOM) != uint32(1) || !slices.Equal(get(names.StopTokens).([]uint32), []uint32{2, 5}) {
			t.Errorf("eos %v, eot %v, eom %v, others %v", get(names.EOS), get(names.EOT), get(names.EOM), get(names.StopTokens))
		}
	})
	t.Run("the mask is no stop token", func(t *testing.T) { // SmolLM2: the mask is <|endoftext|>, config.json's eos is another
		m := newModel()
		m.files["tokenizer.json"] = strings.Replace(vocabulary, "|<MASK>|", "<|im_end|>", 1)
		m.config["mask_token_id"], m.config["eos_token_id"] = 3, 4
		m.files["tokenizer_config.json"] = `{"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}`
		get := plan(t, m, Options{})
		if get(names.MaskToken) != uint32(3) || get(names.EOS) != uint32(4) || get(names.EOT) != nil || get(names.BOS) != uint32(3) {
			t.Errorf("mask %v, eos %v, eot %v, bos %v", get(names.MaskToken), get(names.EOS), get(names.EOT), get(names.BOS))
		}
	})
	t.Run("no end token", func(t *testing.T) {
		m := newModel()
		delete(m.config, "eos_token_id")
		out := convertDir(t, m.write(t), Options{})
		if !strings.Contains(out.notices, "end token") || out.value(names.EOS) != nil {
			t.Errorf("notices %q", out.notices)
		}
	})
	t.Run("bad special id", func(t *testing.T) {
		m := newModel()
		m.config["eos_token_id"] = []int{3, 8}
		_, err := m.plan(t, m.typed(), Options{})
		requireCode(t, err, "TOKENIZER_BAD_SPECIAL", "8")
	})
	t.Run("post-processor", func(t *testing.T) {
		special := func(text string) string { return `{"SpecialToken": {"id": "` + text + `", "type_id": 0}}` }
		const body = `{"Sequence": {"id": "A", "type_id": 0}}`
		for _, c := range []struct {
			single   []string
			bos, eos bool
		}{
			{[]string{special("<|endoftext|>"), body}, true, false}, {[]string{body, special("<|endoftext|>")}, false, true},
			{[]string{special("ab"), body}, false, false}, {[]string{special("<|endoftext|>")}, false, false}, {[]string{body}, false, false},
		} {
			m := newModel()
			template := `{"type": "TemplateProcessing", "single": [` + strings.Join(c.single, ",") + `]}`
			m.files["tokenizer.json"] = strings.Replace(vocabulary, `"post_processor": null`, `"post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, `+template+`]}`, 1)
			m.config["bos_token_id"] = 3
			get := plan(t, m, Options{DryRun: false})
			if get(names.AddBOS) != c.bos || get(names.AddEOS) != c.eos {
				t.Errorf("%v: add_bos %v, add_eos %v", c.single, get(names.AddBOS), get(names.AddEOS))
			}
		}
	})
	t.Run("chat templates", func(t *testing.T) {
		m := newModel()
		m.files["chat_template.jinja"] = "from jinja"
		if got := plan(t, m, Options{})(names.ChatTemplate); got != "from jinja" {
			t.Errorf("template %q", got)
		}
		m.files["tokenizer_config.json"] = `{"chat_template": [{"name": "default", "template": "one"}, {"name": "tool_use", "template": "two"}]}`
		get := plan(t, m, Options{})
		if get(names.ChatTemplate) != "one" || get(names.ChatTemplate+".tool_use") != "two" || !slices.Equal(get(names.ChatTemplates).([]string), []string{"tool_use"}) {
			t.Errorf("templates %v %v", get(names.ChatTemplate), get(names.ChatTemplates))
		}
		delete(m.files, "chat_template.jinja")
		m.files["tokenizer_config.json"] = `{}`
		m.files["chat_template.json"] = `{"chat_template": "from json"}`
		if got := plan(t, m, Options{})(names.ChatTemplate); got != "from json" {
			t.Errorf("template %q", got)
		}
		for _, bad := range []string{`[{"name": "a b", "template": "x"}]`, `[{"name": "a", "template": "x"}, {"name": "a", "template": "y"}]`, `7`} {
			m.files["tokenizer_config.json"] = `{"chat_template": ` + bad + `}`
			_, err := tryConvert(t, m.write(t), Options{})
			requireCode(t, err, "TOKENIZER_BAD_VALUE", "chat_template")
		}
	})
	t.Run("no tokenizer", func(t *testing.T) {
		m := newModel()
		delete(m.files, "tokenizer.json")
		_, err := tryConvert(t, m.write(t), Options{})
		requireCode(t, err, "TOKENIZER_NOT_FOUND")
	})
}

func FuzzTokenizerJSON(f *testing.F) {
	f.Add([]byte(vocabulary))
	f.Add([]byte(strings.Replace(vocabulary, `["a b"]`, `[["a", "b"], [" ", "a"]]`, 1)))
	f.Add([]byte(strings.Replace(vocabulary, `{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}`, splitter(`(a+)+$`), 1)))
	f.Add([]byte(`{"model": {"type": "BPE", "vocab": {"a": 1048575}}, "added_tokens": [{"id": 0, "content": "\ud83d\ude00"}]}`))
	f.Add([]byte(`{"post_processor": {"type": "TemplateProcessing", "single": [1, null]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := ParseTokenizer(data)
		if err != nil {
			if code := fault.Code(err); !strings.HasPrefix(code, "TOKENIZER_") {
				t.Errorf("%v has code %q", err, code)
			}
			return
		}
		if (tok.Pre == "") != (tok.PreErr != nil) {
			t.Errorf("pre %q, error %v", tok.Pre, tok.PreErr)
		}
		seen := map[string]bool{}
		for id, k := range tok.Tokens {
			if k.Text != "" && seen[k.Text] && !strings.Contains(k.Text, " ") { // an added token's U+2581 may become a space that another has
				t.Errorf("token %d, %q, appears twice", id, k.Text)
			}
			seen[k.Text] = true
		}
		for _, merge := range tok.Merges {
			if strings.Count(merge, " ") != 1 {
				t.Errorf("merge %q", merge)
			}
		}
	})
}
