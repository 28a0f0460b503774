package convert

import (
	"encoding/json"
	"slices"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Pre-tokenizers that wf knows (tokenizer.ggml.pre). The structure of tokenizer.json chooses one; default only on request.
const (
	llamaBPE = "llama-bpe"
	qwen2Pre = "qwen2"
	smolLM   = "smollm"
	gpt2Pre  = "gpt-2"
	falcon   = "falcon"
	anyPre   = "default"
)

var preTokenizers = []string{llamaBPE, qwen2Pre, smolLM, gpt2Pre, falcon, anyPre}

// The split patterns of Llama 3 and Qwen 2, as tokenizer.json files spell them. They are compared, never compiled.
const (
	contractions  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	contractions2 = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`
	words         = `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}`
	rest          = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// Parts of Falcon's.
const (
	threeDigits = "[0-9][0-9][0-9]"
	digitGroups = "digit groups"
)

var splitPatterns = map[string]string{
	contractions + words + "{1,3}" + rest:  llamaBPE,
	contractions2 + words + "{1,3}" + rest: llamaBPE,
	contractions + words + rest:            qwen2Pre,
	contractions2 + words + rest:           qwen2Pre,
}

// preTokenizer names the structure (FORMATS.md 7.4):
//
//	Sequence[Split(pattern, Isolated), ByteLevel(use_regex false)]         llama-bpe or qwen2, by pattern
//	Sequence[Digits(individual_digits), ByteLevel(use_regex true)]         smollm
//	ByteLevel(use_regex true)                                              gpt-2
//	Sequence[Punctuation(Contiguous), ByteLevel(use_regex true),
//	         Digits(in groups), Split([0-9][0-9][0-9], Isolated)]          falcon
//
// Falcon3, Falcon-H1 and Falcon-E have the first structure, with Llama 3's pattern; llama.cpp calls it falcon3 and falcon-h1 as well.
//
// The normalizer must be absent, for qwen2 it may be NFC. Anything else is TOKENIZER_UNKNOWN_PATTERN.
func preTokenizer(normalizer, pre any) (string, error) {
	steps := []any{pre}
	if sequence, _ := pre.(map[string]any); sequence["type"] == "Sequence" {
		steps, _ = sequence["pretokenizers"].([]any)
	}
	var kinds []string
	split, pattern := "", ""
	for _, s := range steps {
		step, _ := s.(map[string]any)
		kind, _ := step["type"].(string)
		switch kind {
		case "Split":
			inner, _ := step["pattern"].(map[string]any)
			pattern, _ = inner["Regex"].(string)
			if pattern == threeDigits {
				kind = pattern
			} else {
				split = splitPatterns[pattern]
			}
			if split == "" && kind == "Split" || step["behavior"] != "Isolated" || step["invert"] == true {
				return "", unknownPattern("splits by %s", fault.Quote(pattern))
			}
		case "Punctuation":
			if step["behavior"] != "Contiguous" {
				kind = "punctuation marks"
			}
		case "ByteLevel":
			if step["use_regex"] == false {
				kind = "Bytes"
			}
			if step["add_prefix_space"] == true {
				kind = "Bytes with a space before" // readers of GGUF put none
			}
		case "Digits":
			if step["individual_digits"] != true {
				kind = digitGroups
			}
		}
		kinds = append(kinds, kind)
	}
	name := ""
	switch {
	case slices.Equal(kinds, []string{"Split", "Bytes"}):
		name = split
	case slices.Equal(kinds, []string{"Digits", "ByteLevel"}):
		name = smolLM
	case slices.Equal(kinds, []string{"ByteLevel"}):
		name = gpt2Pre
	case slices.Equal(kinds, []string{"Punctuation", "ByteLevel", digitGroups, threeDigits}):
		name = falcon
	default:
		return "", unknownPattern("is %s", summary(pre))
	}
	if n, _ := normalizer.(map[string]any); normalizer != nil && (name != qwen2Pre || n["type"] != "NFC") {
		return "", unknownPattern("stands behind the normalizer %s", summary(normalizer))
	}
	return name, nil
}

func unknownPattern(format string, args ...any) error {
	return fault.New("TOKENIZER_UNKNOWN_PATTERN", "tokenizer.json: its pre-tokenizer "+format+"; if it is equivalent to one that wf knows, pass --pre-tokenizer", args...)
}

// summary prints a part of tokenizer.json for a message.
func summary(v any) string {
	text, _ := json.Marshal(v)
	return fault.Quote(string(text))
}
