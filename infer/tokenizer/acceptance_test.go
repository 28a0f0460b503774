package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// slowness multiplies bounds of time.
func slowness(t testing.TB) float64 {
	text := os.Getenv("WF_TEST_SLOWNESS")
	if text == "" {
		return 1
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// refuses wants New to fail with a code.
func refuses(t *testing.T, md *gguf.Metadata, rows int, code string) {
	t.Helper()
	_, err := New(md, rows, func(string) {})
	if fault.Code(err) != code {
		t.Errorf("got %v [%s], want %s", err, fault.Code(err), code)
	}
	if err != nil && (len(err.Error()) > 300 || strings.Contains(err.Error(), "\n")) {
		t.Errorf("not a line of 300 bytes: %q", err)
	}
}

func TestRefusals(t *testing.T) {
	tokens := slices.Clone(value[[]string](t, tinyMetadata(t), names.Tokens))
	types := value[[]int32](t, tinyMetadata(t), names.TokenType)
	with := func(changes ...any) *gguf.Metadata { return changed(tinyMetadata(t), changes) }
	replaced := func(id int, text string, kind int32) *gguf.Metadata {
		tokens, types := slices.Clone(tokens), slices.Clone(types)
		tokens[id], types[id] = text, kind
		return with(names.Tokens, tokens, names.TokenType, types)
	}
	t.Run("R44 vocabulary of 0 or 1", func(t *testing.T) {
		for n := range 2 {
			refuses(t, with(names.Tokens, tokens[:n], names.TokenType, types[:n]), n, "TOKENIZER_BAD_ARRAY")
		}
	})
	t.Run("R44 arrays of different length", func(t *testing.T) {
		refuses(t, with(names.Tokens, tokens[:1023]), 1023, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(names.TokenType, types[:1023]), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(names.TokenType, nil), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(names.Scores, make([]float32, 1023)), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(), 1025, "TOKENIZER_BAD_ARRAY")
	})
	t.Run("R44 arrays of another type", func(t *testing.T) {
		refuses(t, with(names.Scores, make([]uint8, 1024)), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(names.TokenType, make([]uint32, 1024)), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(names.Tokens, make([]float32, 1024)), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, with(names.StopTokens, []int32{1}), 1024, "TOKENIZER_BAD_ARRAY")
	})
	t.Run("R44 texts", func(t *testing.T) {
		refuses(t, replaced(700, "", names.TokenNormal), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, replaced(700, tokens[701], names.TokenNormal), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, replaced(700, "x y", 0), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, replaced(700, "x y", 7), 1024, "TOKENIZER_BAD_ARRAY")
		refuses(t, replaced(700, strings.Repeat("x", maxAdded+1), names.TokenControl), 1024, "TOKENIZER_BAD_ARRAY")
	})
	t.Run("R44 merges", func(t *testing.T) {
		for _, line := range []string{"", " ", "a", "a ", " a"} {
			refuses(t, with(names.Merges, []string{line}), 1024, "TOKENIZER_BAD_ARRAY")
		}
		refuses(t, with(names.Merges, nil), 1024, "TOKENIZER_BAD_ARRAY")
	})
	t.Run("R45 special ids out of range", func(t *testing.T) {
		for _, key := range []string{names.BOS, names.EOS, names.EOT, names.EOM, names.Padding, names.MaskToken, names.Unknown, names.CLS, names.Separator} {
			refuses(t, with(key, uint32(1024)), 1024, "TOKENIZER_BAD_SPECIAL")
			refuses(t, with(key, ^uint32(0)), 1024, "TOKENIZER_BAD_SPECIAL")
			refuses(t, with(key, int32(1)), 1024, "MODEL_BAD_PARAM_TYPE")
		}
		refuses(t, with(names.StopTokens, []uint32{3, 1024}), 1024, "TOKENIZER_BAD_SPECIAL")
	})
	t.Run("R45 absent with a default outside", func(t *testing.T) {
		small := with(names.Tokens, tokens[:11], names.TokenType, types[:11], names.Merges, []string{}, names.EOS, nil)
		refuses(t, small, 11, "TOKENIZER_BAD_SPECIAL")
		refuses(t, with(names.BOS, nil, names.AddBOS, true), 1024, "TOKENIZER_BAD_SPECIAL")
	})
	t.Run("R48 byte tokens", func(t *testing.T) {
		for _, text := range []string{"<0x-1>", "<0xG0>", "<0x123>", "<0x>", "<0x1>", "<0xab>", "0x00", "<0x+1>", "<0x00> "} {
			refuses(t, replaced(700, text, names.TokenByte), 1024, "TOKENIZER_BAD_BYTE_TOKEN")
		}
	})
	t.Run("R48 missing one of 256", func(t *testing.T) {
		tokens, types := slices.Clone(tokens), slices.Clone(types)
		for b := range 256 {
			tokens, types = append(tokens, fmt.Sprintf("<0x%02X>", b)), append(types, names.TokenByte)
		}
		refuses(t, with(names.Tokens, tokens[:1279], names.TokenType, types[:1279]), 1279, "TOKENIZER_BAD_BYTE_TOKEN")
		if _, err := New(with(names.Tokens, tokens, names.TokenType, types), 1280, noWarning(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("unsupported", func(t *testing.T) {
		for _, model := range []any{"none", "bert", nil} {
			refuses(t, with(names.TokenizerModel, model), 1024, "TOKENIZER_UNSUPPORTED_MODEL")
		}
		refuses(t, with(names.TokenizerPre, "(a+)+$"), 1024, "TOKENIZER_UNKNOWN_PATTERN")
	})
}

func value[T any](t *testing.T, md *gguf.Metadata, key string) T {
	t.Helper()
	v, ok, err := gguf.Value[T](md, key)
	if err != nil || !ok {
		t.Fatal(key, err)
	}
	return v
}

func TestLongText(t *testing.T) {
	const size = 1 << 20
	random := make([]byte, 2*size)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	smollm, llama := tinyTokenizer(t), tinyTokenizer(t, names.TokenizerPre, "llama-bpe")
	for _, c := range []struct {
		name, text string // 2 MiB
		tok        *Tokenizer
	}{
		{"A", strings.Repeat("A", 2*size), smollm},
		{"spaces", strings.Repeat(" ", 2*size), llama},
		{"^", strings.Repeat("^", 2*size), smollm},
		{"newlines", strings.Repeat("\n", 2*size), llama},
		{"one emoji", strings.Repeat("🙂", 2*size/4), smollm},
		{"combining marks", strings.Repeat("\u0301", 2*size/2), llama},
		{"random bytes", string(random), smollm},
		{"begins of control tokens", strings.Repeat("<|im_s", 2*size/6), llama},
		{"pieces that merge", strings.Repeat("is", 2*size/2), smollm},
	} {
		t.Run("R80 encode 1 MiB of "+c.name, func(t *testing.T) {
			encode := func(text string) time.Duration {
				start := time.Now()
				ids := c.tok.Encode(text, EncodeOptions{})
				took := time.Since(start)
				if c.tok.Decode(ids, true) != text {
					t.Error("decode does not return the input")
				}
				return took
			}
			// The least of some runs: the machine may be busy with something else in any of them.
			one, two := time.Hour, time.Hour
			limit := time.Duration(slowness(t) * float64(time.Second))
			for try := 0; try < 20 && !t.Failed() && (try == 0 || two > one*5/2); try++ {
				one, two = min(one, encode(c.text[:size])), min(two, encode(c.text))
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
