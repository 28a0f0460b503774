package synthetic

import (
	"encoding/json"
	"fmt"
)

// Control tokens stand at the end of the vocabulary.
var controls = []string{"<|mask|>", "<|begin|>", "<|end|>"}

// letters are the printable ASCII characters, space and newline, as byte-level vocabularies spell them.
func letters() (all []string) {
	for c := byte('!'); c <= '~'; c++ {
		all = append(all, string(c))
	}
	return append(all, "Ġ", "Ċ")
}

// vocabulary returns the texts of n tokens and the merges: letters, pairs of letters as far as there is room, then padding and controls.
func vocabulary(n int) (texts, merges []string) {
	texts = letters()
	for _, a := range letters() {
		for _, b := range letters() {
			if len(texts) < n-len(controls) {
				texts, merges = append(texts, a+b), append(merges, a+" "+b)
			}
		}
	}
	for len(texts) < n-len(controls) {
		texts = append(texts, fmt.Sprintf("<|unused-%d|>", len(texts)))
	}
	return append(texts, controls...), merges
}

// MaskToken is the id of a control token that no text contains, for --mask-token-id: the files state none, so they decode token by token.
func (s Shape) MaskToken() int32 { return int32(s.Vocab - len(controls)) }

func (s Shape) bos() uint32 { return uint32(s.Vocab - 2) }
func (s Shape) eos() uint32 { return uint32(s.Vocab - 1) }

// tokenizerJSON is the vocabulary as Hugging Face's tokenizers write it, padding left out.
func (s Shape) tokenizerJSON() ([]byte, error) {
	texts, merges := vocabulary(s.Vocab)
	ids := map[string]int{}
	for id := range len(letters()) + len(merges) {
		ids[texts[id]] = id
	}
	var added []map[string]any
	for i, text := range controls {
		added = append(added, map[string]any{"id": s.Vocab - len(controls) + i, "content": text, "special": true,
			"normalized": false, "single_word": false, "lstrip": false, "rstrip": false}) // readers other than wf insist on all of them
	}
	bytes := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	return json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": added, "normalizer": nil, "pre_tokenizer": bytes, "decoder": bytes,
		"model": map[string]any{"type": "BPE", "vocab": ids, "merges": merges},
	})
}
