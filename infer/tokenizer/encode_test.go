package tokenizer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
)

// testdata/tinydlm.json is what huggingface/tokenizers makes of tinydlm's tokenizer.json.
func TestEncodeGolden(t *testing.T) {
	tok := tinyTokenizer(t)
	var cases []struct {
		Text string
		IDs  []int32
	}
	readJSON(t, "testdata/tinydlm.json", &cases)
	for _, c := range cases {
		if got := tok.Encode(c.Text, EncodeOptions{Special: true}); !slices.Equal(got, c.IDs) {
			t.Errorf("%q:\n got %d\nwant %d", c.Text, got, c.IDs)
		}
		if got := tok.Decode(c.IDs, true); got != c.Text {
			t.Errorf("decode: got %q, want %q", got, c.Text)
		}
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes []any
		want    []int32
		warning string
	}{
		{"eos and eot", nil, []int32{1, 3}, ""},
		{"all that are named", []any{names.EOM, uint32(7), names.StopTokens, []uint32{9, 8, 3}}, []int32{1, 3, 7, 8, 9}, ""},
		{"no guess in our own file", []any{names.EOT, nil}, []int32{3}, ""},
		{"by text in another's file", []any{names.EOT, nil, names.Padding, nil, names.Version, nil}, []int32{1, 3}, ""},
		{"never a token that only pads", []any{names.EOT, nil, names.Version, nil}, []int32{3}, ""},
		{"R46 mask in the stop set", []any{names.EOT, uint32(0), names.StopTokens, []uint32{0}}, []int32{3}, "mask token 0"},
		{"R46 mask found by text", []any{names.EOT, nil, names.Padding, nil, names.Version, nil, names.MaskToken, uint32(1)}, []int32{3}, "mask token 1"},
		{"R46 mask is eos", []any{names.EOS, uint32(0)}, []int32{1}, "mask token 0"},
		{"no end", []any{names.EOS, nil, names.EOT, nil}, []int32{}, "no token that ends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var warnings []string
			tok, err := New(changed(tinyMetadata(t), c.changes), 1024, func(text string) { warnings = append(warnings, text) })
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(tok.Stop(), c.want) {
				t.Errorf("got %d, want %d", tok.Stop(), c.want)
			}
			if c.warning == "" && len(warnings) > 0 || c.warning != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], c.warning)) {
				t.Errorf("warnings %q, want one of %q", warnings, c.warning)
			}
		})
	}
}

func TestEncodeOptions(t *testing.T) {
	llama := tinyTokenizer(t, names.TokenizerPre, "llama-bpe", names.AddBOS, nil)
	hello := llama.Encode("hello", EncodeOptions{})
	for _, c := range []struct {
		name string
		tok  *Tokenizer
		text string
		o    EncodeOptions
		want []int32
	}{
		{"no bos", tinyTokenizer(t), "hello", EncodeOptions{AddBOS: true}, hello},
		{"bos", tinyTokenizer(t, names.AddBOS, true), "hello", EncodeOptions{AddBOS: true}, slices.Concat([]int32{1}, hello)},
		{"bos not wanted", tinyTokenizer(t, names.AddBOS, true), "hello", EncodeOptions{}, hello},
		{"eos", tinyTokenizer(t, names.AddEOS, true), "hello", EncodeOptions{AddBOS: true}, slices.Concat(hello, []int32{3})},
		{"bos of llama-bpe", llama, "hello", EncodeOptions{AddBOS: true}, slices.Concat([]int32{1}, hello)},
		{"empty", tinyTokenizer(t, names.AddBOS, true), "", EncodeOptions{AddBOS: true}, []int32{1}},
	} {
		if got := c.tok.Encode(c.text, c.o); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// Of several parts of a text, bos comes before the first and eos after the last.
func TestEncodeParts(t *testing.T) {
	tok := tinyTokenizer(t, names.AddBOS, true, names.AddEOS, true)
	got := tok.EncodeParts([]string{"hello", "", " there"}, EncodeOptions{AddBOS: true})
	want := [][]int32{append([]int32{1}, tok.Encode("hello", EncodeOptions{})...), nil, append(tok.Encode(" there", EncodeOptions{}), 3)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
}

type token struct {
	text string
	kind int32
}

// small is a tokenizer of the 256 bytes as ids 0 to 255, the tokens that follow, and merges.
func small(t testing.TB, pre string, merges []string, tokens ...token) *Tokenizer {
	t.Helper()
	var texts []string
	var types []int32
	for b := range 256 {
		texts, types = append(texts, string(letterOf[b])), append(types, names.TokenNormal)
	}
	for _, token := range tokens {
		texts, types = append(texts, token.text), append(types, token.kind)
	}
	md := changed(&gguf.Metadata{}, []any{
		names.TokenizerModel, "gpt2", names.TokenizerPre, pre, names.Tokens, texts, names.TokenType, types, names.Merges, merges,
		names.EOS, uint32(0), names.Version, "test",
	})
	tok, err := New(md, len(texts), noWarning(t))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestMerging(t *testing.T) {
	abc := []token{{"ab", 1}, {"bc", 1}, {"abc", 1}, {"aa", 1}, {"abab", 1}} // ids 256 ...
	for _, c := range []struct {
		name, pre string
		merges    []string
		text      string
		want      []int32
	}{
		{"lowest rank first", "gpt-2", []string{"b c", "a b", "a bc"}, "abc", []int32{258}},
		{"a merge that does not apply", "gpt-2", []string{"a b", "b c", "a bc"}, "abc", []int32{256, 'c'}},
		{"leftmost of equals", "gpt-2", []string{"a a"}, "aaa", []int32{259, 'a'}},
		{"a later pair of lower rank goes first", "gpt-2", []string{"ab ab", "a b"}, "ababab", []int32{260, 256}},
		{"without ignore_merges", "gpt-2", []string{"a b"}, "abc", []int32{256, 'c'}},
		{"with ignore_merges", "llama-bpe", []string{"a b"}, "abc", []int32{258}},
	} {
		if got := small(t, c.pre, c.merges, abc...).Encode(c.text, EncodeOptions{}); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestAddedTokens(t *testing.T) {
	tok := small(t, "llama-bpe", []string{"x y", "é é"},
		token{"<e>", 4}, token{"<e><f>", 4}, token{"xy", 3}, token{"  ", 4}, token{"éé", 4}, token{"<c>", 3})
	const e, ef, xy, spaces, accents, c = 256, 257, 258, 259, 260, 261
	for _, test := range []struct {
		text    string
		special bool
		want    []int32
	}{
		{"<e><f><e>", false, []int32{ef, e}}, // the longest
		{"a<e>b", false, []int32{'a', e, 'b'}},
		{"   ", false, []int32{spaces, ' '}},
		{"xy", false, []int32{'x', 'y'}}, // no control token by way of a merge or ignore_merges
		{"xy", true, []int32{xy}},
		{"<c>", false, []int32{'<', 'c', '>'}},
		{"<c>", true, []int32{c}},
		{"éé", false, []int32{accents}}, // plain text, though its letters are bytes in the alphabet
		{"\xe9\xe9", false, []int32{0xe9, 0xe9}},
	} {
		got := tok.Encode(test.text, EncodeOptions{Special: test.special})
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: got %d, want %d", test.text, got, test.want)
		}
		if text := tok.Decode(got, true); text != test.text {
			t.Errorf("%q: decoded to %q", test.text, text)
		}
	}
}

func TestDecode(t *testing.T) {
	tok := small(t, "gpt-2", nil, token{"<u>", 2}, token{"<c>", 3}, token{"<d>", 4}, token{"[PAD]", 5}, token{"Ġ中", 1})
	ids := []int32{'h', 256, 257, 258, 259, 260, -1, 261, 0x7fffffff}
	if got, want := tok.Decode(ids, false), "h<d> 中"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := tok.Decode(ids, true), "h<u><c><d>[PAD] 中"; got != want {
		t.Errorf("special: got %q, want %q", got, want)
	}
	for id, want := range map[int32]string{' ': " ", 257: "<c>", 260: " 中", -1: "", 261: ""} {
		if got := tok.Text(id); got != want {
			t.Errorf("text of %d: got %q, want %q", id, got, want)
		}
	}
	if tok.Vocab() != 261 || !tok.IsControl(257) || tok.IsControl(258) || tok.IsControl(-1) {
		t.Error("wrong size or control tokens")
	}
}

// A byte that no token stands for becomes the unknown token, or its byte token, or nothing.
func TestMissingBytes(t *testing.T) {
	tokens, types := []string{"a", "b", "<unk>", "</s>"}, []int32{1, 1, 2, 3}
	md := &gguf.Metadata{}
	changed(md, []any{names.TokenizerModel, "gpt2", names.TokenizerPre, "gpt-2", names.Merges, []string{}, names.EOS, uint32(3), names.Version, "test"})
	build := func() *Tokenizer {
		t.Helper()
		tok, err := New(changed(md, []any{names.Tokens, tokens, names.TokenType, types}), len(tokens), noWarning(t))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	if got := build().Encode("aéb", EncodeOptions{}); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("nothing: got %d", got)
	}
	md.Set(names.Unknown, uint32(2))
	if got := build().Encode("aéb", EncodeOptions{}); !slices.Equal(got, []int32{0, 2, 2, 1}) {
		t.Errorf("unknown: got %d", got)
	}
	for b := range 256 {
		tokens, types = append(tokens, fmt.Sprintf("<0x%02X>", b)), append(types, names.TokenByte)
	}
	tok := build()
	if got := tok.Encode("aéb", EncodeOptions{}); !slices.Equal(got, []int32{0, 4 + 0xc3, 4 + 0xa9, 1}) || tok.Decode(got, false) != "aéb" {
		t.Errorf("byte tokens: got %d", got)
	}
}

// A token that ends texts is not made out of text even if the file calls it an ordinary one.
func TestSpecialIDsOfOtherTypes(t *testing.T) {
	types := slices.Clone(value[[]int32](t, tinyMetadata(t), names.TokenType))
	types[1], types[3] = names.TokenUserDefined, names.TokenNormal
	tok := tinyTokenizer(t, names.TokenType, types)
	ids := tok.Encode("<|im_end|><|endoftext|>", EncodeOptions{})
	if slices.Contains(ids, 3) || slices.Contains(ids, 1) || !tok.IsControl(3) || !tok.IsControl(1) {
		t.Errorf("got %d", ids)
	}
}

func TestMergesOfUnknownPieces(t *testing.T) {
	var warnings []string
	md := changed(tinyMetadata(t), []any{names.Merges, []string{"q ☃", "i s", "☃ q"}})
	tok, err := New(md, 1024, func(text string) { warnings = append(warnings, text) })
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "2 merges") {
		t.Fatal(err, warnings)
	}
	if ids := tok.Encode("is", EncodeOptions{}); len(ids) != 1 {
		t.Errorf("got %d", ids)
	}
}

func TestMissingPre(t *testing.T) {
	for arch, want := range map[string]string{names.BitNetB158: "llama-bpe", names.BitNet25: "llama-bpe", names.Llama: "default"} {
		var warnings []string
		md := changed(tinyMetadata(t), []any{names.TokenizerPre, nil, names.Architecture, arch})
		_, err := New(md, 1024, func(text string) { warnings = append(warnings, text) })
		if err != nil || len(warnings) != 1 || !strings.HasSuffix(warnings[0], want) {
			t.Errorf("%s: %v, %q", arch, err, warnings)
		}
	}
}

// What a stream gives is what Decode gives, and never half a character.
func TestStream(t *testing.T) {
	tok := small(t, "gpt-2", nil, token{"<c>", 3})
	for _, text := range []string{
		"", "plain", "é日本🙂👩‍👩‍👧!", "a\xffb", "\xf0\x9f\x99",
		"\xe2\x82", "\xf0\x9f\x99x", "\xc3\xc3\xa9", "\xf4\x90\x80\x80", "\x80\x80\x80\x80", "🙂\xf0\x9f",
	} {
		s := tok.NewStream()
		var joined strings.Builder
		for _, id := range tok.Encode(text, EncodeOptions{}) {
			part := s.Push(id)
			if utf8.ValidString(text) && !utf8.ValidString(part) {
				t.Errorf("%q: part %q", text, part)
			}
			joined.WriteString(part)
			joined.WriteString(s.Push(256)) // a control token between says nothing and breaks nothing
		}
		rest := s.Flush()
		if utf8.ValidString(text) && rest != "" {
			t.Errorf("%q: %q was held back", text, rest)
		}
		if got := joined.String() + rest; got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	s := tok.NewStream()
	for i, want := range []string{"", "", "", "🙂", "x"} {
		if got := s.Push(int32("🙂x"[i])); got != want {
			t.Errorf("byte %d: got %q, want %q", i, got, want)
		}
	}
}

func FuzzEncodeDecode(f *testing.F) {
	tokenizers := []*Tokenizer{
		tinyTokenizer(f), tinyTokenizer(f, names.TokenizerPre, "llama-bpe"), tinyTokenizer(f, names.TokenizerPre, "qwen2"),
		tinyTokenizer(f, names.TokenizerPre, "default"), tinyTokenizer(f, names.TokenizerPre, "gpt-2"),
	}
	for _, text := range []string{
		"", "What is the capital of France?", "<|im_start|>user\n", "|<MASK>|", "\xff\xf0\x9f", " \t\r\n\u00a0x", "'LL 1234567", "e\u0301🙂",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range tokenizers {
			for _, special := range []bool{false, true} {
				ids := tok.Encode(text, EncodeOptions{Special: special})
				if got := tok.Decode(ids, true); got != text {
					t.Errorf("special %v: %d decodes to %q, want %q", special, ids, got, text)
				}
				if slices.Contains(ids, tok.mask) || !special && len(controls(tok, ids)) > 0 {
					t.Errorf("special %v: %q gives %d", special, text, ids)
				}
				s := tok.NewStream()
				var streamed strings.Builder
				for _, id := range ids {
					streamed.WriteString(s.Push(id))
				}
				if got, want := streamed.String()+s.Flush(), tok.Decode(ids, false); got != want {
					t.Errorf("streamed %q, want %q", got, want)
				}
			}
		}
	})
}
