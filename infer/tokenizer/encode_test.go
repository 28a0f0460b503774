package tokenizer

import (
	"slices"
	"testing"
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
