package tokenizer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
)

// piece is a token of a SentencePiece vocabulary.
type piece struct {
	text  string
	score float32
	kind  int32
}

// spmMetadata has <unk>, <s>, </s>, the 256 byte tokens as ids 3 to 258, then the pieces.
func spmMetadata(pieces ...piece) *gguf.Metadata {
	all := []piece{{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}}
	for b := range 256 {
		all = append(all, piece{fmt.Sprintf("<0x%02X>", b), 0, 6})
	}
	var texts []string
	var scores []float32
	var types []int32
	for _, p := range append(all, pieces...) {
		texts, scores, types = append(texts, p.text), append(scores, p.score), append(types, p.kind)
	}
	return changed(&gguf.Metadata{}, []any{
		names.TokenizerModel, "llama", names.TokenizerPre, "default", names.Tokens, texts, names.Scores, scores, names.TokenType, types, names.Version, "test",
	})
}

func spmTokenizer(t testing.TB, md *gguf.Metadata) *Tokenizer {
	t.Helper()
	tok, err := New(md, len(spmTexts(md)), noWarning(t))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func spmTexts(md *gguf.Metadata) []string {
	texts, _ := md.Get(names.Tokens)
	return texts.([]string)
}

// What SentencePiece does is compared in cmd/wf with what it gives; here is what it leaves to its callers, and what is rare.
func TestSentencePiece(t *testing.T) {
	const blankID, a, b, aa, ab, user, control, unused, blankA = 259, 260, 261, 262, 263, 264, 265, 266, 267
	md := spmMetadata(piece{"▁", -9, 1}, piece{"a", -9, 1}, piece{"b", -9, 1}, piece{"aa", -1, 1}, piece{"ab", -1, 1}, piece{"<u>", 0, 4}, piece{"<c>", 0, 3},
		piece{"bb", 0, 5}, piece{"▁a", -2, 1}, piece{"▁▁", 0, 4})
	tok := spmTokenizer(t, md)
	bare := spmTokenizer(t, changed(spmMetadata(piece{"▁", -9, 1}, piece{"a", -9, 1}), []any{names.AddSpacePrefix, false, names.AddBOS, false}))
	for _, c := range []struct {
		name, text string
		tok        *Tokenizer
		o          EncodeOptions
		want       []int32
	}{
		{"space before", "b", tok, EncodeOptions{}, []int32{blankID, b}},
		{"no text, no space", "", tok, EncodeOptions{}, nil},
		{"bos", "b", tok, EncodeOptions{AddBOS: true}, []int32{1, blankID, b}},
		{"leftmost of equal scores", "baab", tok, EncodeOptions{}, []int32{blankID, b, aa, b}},
		{"a piece joined later wins a place", "ab", tok, EncodeOptions{}, []int32{blankID, ab}},
		{"user-defined token", "b<u>b", tok, EncodeOptions{}, []int32{blankID, b, user, b}},
		{"user-defined token first", "<u>", tok, EncodeOptions{}, []int32{blankID, user}},
		{"user-defined spaces", "b  b", tok, EncodeOptions{}, []int32{blankID, b, 268, b}},
		{"control token as text", "<c>", tok, EncodeOptions{}, []int32{blankID, 3 + '<', 3 + 'c', 3 + '>'}},
		{"control token, and the space behind it", "b<c>b", tok, EncodeOptions{Special: true}, []int32{blankID, b, control, blankID, b}},
		{"unused token", "bb", tok, EncodeOptions{}, []int32{blankID, b, b}},
		{"bytes", "é", tok, EncodeOptions{}, []int32{blankID, 3 + 0xc3, 3 + 0xa9}},
		{"broken UTF-8", "\xc3b", tok, EncodeOptions{}, []int32{blankID, 3 + 0xc3, b}},
		{"a byte token as text", "<0x41>", bare, EncodeOptions{}, []int32{3 + '<', 3 + '0', 3 + 'x', 3 + '4', 3 + '1', 3 + '>'}},
		{"no space before", " a", bare, EncodeOptions{AddBOS: true}, []int32{259, 260}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.tok.Encode(c.text, c.o)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %d, want %d", got, c.want)
			}
			if back := strings.TrimPrefix(c.tok.Decode(got, true), "<s>"); back != c.text {
				t.Errorf("came back as %q, want %q", back, c.text)
			}
		})
	}
	parts := tok.EncodeParts([]string{"b", "b<c>b", "", "b"}, EncodeOptions{Special: true, AddBOS: true})
	if want := [][]int32{{1, blankID, b}, {b, control, blankID, b}, nil, {b}}; !reflect.DeepEqual(parts, want) { // no space where a part goes on
		t.Errorf("parts %d, want %d", parts, want)
	}
	if got := tok.Decode([]int32{blankA, 2, blankA}, false); got != "aa" {
		t.Errorf("got %q", got)
	}
	stream := tok.NewStream()
	if got := stream.Push(blankA) + stream.Push(b); got != " ab" { // the text goes on
		t.Errorf("streamed %q", got)
	}
	if got := tok.Text(blankA); got != " a" {
		t.Errorf("text %q", got)
	}
	if !slices.Equal(tok.Stop(), []int32{2}) {
		t.Errorf("stop %d", tok.Stop())
	}
}

func TestSentencePieceWithoutBytes(t *testing.T) {
	md := changed(&gguf.Metadata{}, []any{
		names.TokenizerModel, "llama", names.Tokens, []string{"<unk>", "<s>", "</s>", "▁", "a"}, names.Scores, []float32{0, 0, 0, -1, -2},
		names.TokenType, []int32{2, 3, 3, 1, 1}, names.Version, "test",
	})
	if got := spmTokenizer(t, md).Encode("aéa", EncodeOptions{}); !slices.Equal(got, []int32{3, 4, 0, 4}) {
		t.Errorf("got %d", got)
	}
}

func TestSentencePieceRefusals(t *testing.T) {
	md := func(changes ...any) *gguf.Metadata { return changed(spmMetadata(piece{"a", 0, 1}), changes) }
	n := len(spmTexts(md()))
	t.Run("R44 scores", func(t *testing.T) {
		refuses(t, md(names.Scores, nil), n, "TOKENIZER_BAD_ARRAY")
		refuses(t, md(names.Scores, make([]float32, n-1)), n, "TOKENIZER_BAD_ARRAY")
		refuses(t, md(names.Scores, make([]uint8, n)), n, "TOKENIZER_BAD_ARRAY")
		refuses(t, md(names.Scores, slices.Repeat([]float32{float32(math.NaN())}, n)), n, "TOKENIZER_BAD_ARRAY")
	})
	t.Run("R45 defaults outside", func(t *testing.T) {
		refuses(t, changed(md(), []any{names.Tokens, []string{"a", "b"}, names.Scores, []float32{0, 0}, names.TokenType, []int32{1, 1}}), 2, "TOKENIZER_BAD_SPECIAL")
	})
	t.Run("R48 byte tokens of SentencePiece", func(t *testing.T) {
		texts := slices.Clone(spmTexts(md()))
		for _, text := range []string{"<0x-1>", "<0xG0>", "<0x123>", "<0x>"} {
			texts[100] = text
			refuses(t, md(names.Tokens, texts), n, "TOKENIZER_BAD_BYTE_TOKEN")
		}
		types := slices.Clone(value[[]int32](t, md(), names.TokenType))
		types[100] = names.TokenNormal
		refuses(t, md(names.TokenType, types), n, "TOKENIZER_BAD_BYTE_TOKEN")
	})
	t.Run("flags of another type", func(t *testing.T) {
		refuses(t, md(names.AddSpacePrefix, "yes"), n, "MODEL_BAD_PARAM_TYPE")
	})
}

// naive joins as the definition says: again and again the best pair of all.
func naive(tok *Tokenizer, text string) []string {
	var parts []string
	for len(text) > 0 {
		_, n := utf8.DecodeRuneInString(text)
		parts, text = append(parts, text[:n]), text[n:]
	}
	for {
		best := -1
		for i := range len(parts) - 1 {
			if r := tok.rank(parts[i] + parts[i+1]); r != unranked && (best < 0 || r < tok.rank(parts[best]+parts[best+1])) {
				best = i
			}
		}
		if best < 0 {
			return parts
		}
		parts[best] += parts[best+1]
		parts = slices.Delete(parts, best+1, best+2)
	}
}

// TestJoiner compares with the definition on vocabularies in which many scores are equal and pairs of higher score turn up late.
func TestJoiner(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var pieces []piece
		seen := map[string]bool{}
		for range 40 {
			text := ""
			for range 1 + rng.IntN(5) {
				text += []string{"a", "b", "é"}[rng.IntN(3)]
			}
			if !seen[text] {
				seen[text], pieces = true, append(pieces, piece{text, float32(rng.IntN(6)), 1})
			}
		}
		tok := spmTokenizer(t, spmMetadata(pieces...))
		text := ""
		for range rng.IntN(60) {
			text += []string{"a", "b", "é"}[rng.IntN(3)]
		}
		var got []string
		var j joiner
		j.run(text, tok.rank, func(part string) { got = append(got, part) })
		if want := naive(tok, text); !slices.Equal(got, want) {
			t.Fatalf("%q with %v:\n got %q\nwant %q", text, pieces, got, want)
		}
	}
}

func TestLongSentencePieceText(t *testing.T) {
	const size = 1 << 20
	pieces := []piece{{"▁", -99, 1}}
	for _, base := range []string{"A", "▁", "is", "\n", "🙂", "\u0301"} {
		for n := 2; n <= 16; n *= 2 {
			pieces = append(pieces, piece{strings.Repeat(base, n), float32(-n), 1})
		}
	}
	pieces = append(pieces, piece{"A", -99, 1}, piece{"is", -1, 1}, piece{"ab", -20, 1}, piece{"cd", -3, 1}, piece{"abcd", -15, 1})
	tok := spmTokenizer(t, spmMetadata(pieces...))
	random := make([]byte, 2*size)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for _, c := range []struct{ name, text string }{
		{"A", strings.Repeat("A", 2*size)}, {"spaces", strings.Repeat(" ", 2*size/3)}, {"^", strings.Repeat("^", 2*size)}, {"newlines", strings.Repeat("\n", 2*size)},
		{"one emoji", strings.Repeat("🙂", 2*size/4)}, {"combining marks", strings.Repeat("\u0301", 2*size/2)}, {"random bytes", string(random)},
		{"pairs that call for a better one each time", strings.Repeat("abcd", 2*size/4)}, {"pieces that join", strings.Repeat("is", 2*size/2)},
	} {
		t.Run("R80 encode 1 MiB of "+c.name+" by SentencePiece", func(t *testing.T) {
			encode := func(text string) time.Duration {
				start := time.Now()
				ids := tok.Encode(text, EncodeOptions{})
				took := time.Since(start)
				if tok.Decode(ids, true) != text {
					t.Error("decode does not return the input")
				}
				return took
			}
			half := len(c.text) / 2
			for half > 0 && !utf8.RuneStart(c.text[half]) && c.name != "random bytes" {
				half--
			}
			one, two := time.Hour, time.Hour
			limit := time.Duration(slowness(t) * float64(time.Second))
			for try := 0; try < 5 && !t.Failed() && (try == 0 || one > limit || two > one*5/2); try++ {
				one, two = min(one, encode(c.text[:half])), min(two, encode(c.text))
			}
			if one > limit {
				t.Errorf("took %v, wanted less than %v", one, limit)
			}
			if two > one*5/2 {
				t.Errorf("twice the text took %v, the text %v", two, one)
			}
		})
	}
}

func FuzzSentencePieceText(f *testing.F) {
	tok := spmTokenizer(f, spmMetadata(piece{"▁", -9, 1}, piece{"a", -9, 1}, piece{"aa", -1, 1}, piece{"▁a", -2, 1}, piece{"<u>", 0, 4}, piece{"▁▁", 0, 4}, piece{"é", -3, 1}))
	for _, text := range []string{"", " ", "aaa a", "<s> a</s>a", "a<u>  <u>", "\xff\xc3\xa9", "<0x41>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, blank, " ")
		for _, special := range []bool{false, true} {
			ids := tok.Encode(text, EncodeOptions{Special: special})
			if got := tok.Decode(ids, true); got != text {
				t.Errorf("special %v: %d decodes to %q, want %q", special, ids, got, text)
			}
			if !special && len(controls(tok, ids)) > 0 {
				t.Errorf("%q gives %d", text, ids)
			}
		}
	})
}
