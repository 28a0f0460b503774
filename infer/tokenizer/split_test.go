package tokenizer

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func pieces(pre, text string) []string {
	all := []string{}
	split(splitters[pre].cuts, text, func(piece string) { all = append(all, piece) })
	return all
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ pre, text, want string }{ // FORMATS.md 7.4; pieces between bars
		{"llama-bpe", "I'M  here 2024!\n\n x", "I|'M| | here| |202|4|!\n\n| x"},
		{"qwen2", "I'M  here 2024!\n\n x", "I|'M| | here| |2|0|2|4|!\n\n| x"},
		{"gpt-2", "I'M  here 2024!\n\n x", "I|'|M| | here| 2024|!|\n\n| x"},
		{"smollm", "I'M  here 2024!\n\n x", "I|'|M| | here| |2|0|2|4|!|\n\n| x"},
		{"llama-bpe", "a \n\n  b\t", "a| \n\n| | b|\t"},
		{"gpt-2", "a \n\n  b\t", "a| \n\n | b|\t"},
		{"default", "a1234567 $x", "a|123|456|7| |$|x"},
		{"gpt-2", "\xff\xfea\xc3", "\xff\xfe|a|\xc3"},
	} {
		if got := strings.Join(pieces(c.pre, c.text), "|"); got != c.want {
			t.Errorf("%s of %q: got %q, want %q", c.pre, c.text, got, c.want)
		}
	}
}

// testdata/split.json is what huggingface/tokenizers makes of the same patterns.
func TestSplitGolden(t *testing.T) {
	var cases []struct {
		Text   string
		Pieces map[string][]string
	}
	readJSON(t, "testdata/split.json", &cases)
	for _, c := range cases {
		for _, pre := range slices.Sorted(maps.Keys(c.Pieces)) {
			if got := pieces(pre, c.Text); !slices.Equal(got, c.Pieces[pre]) {
				t.Errorf("%s of %q:\n got %q\nwant %q", pre, c.Text, got, c.Pieces[pre])
			}
		}
	}
}
