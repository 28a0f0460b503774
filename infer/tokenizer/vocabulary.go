package tokenizer

import (
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// readVocabulary fills texts, kinds, bytes and ids.
func (t *Tokenizer) readVocabulary(md *gguf.Metadata, rows int) error {
	var err error
	if t.texts, err = array[string](md, names.Tokens); err != nil {
		return err
	}
	types, err := array[int32](md, names.TokenType)
	if err != nil {
		return err
	}
	if len(t.texts) < 2 {
		return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s has %d tokens; a vocabulary needs 2 or more; convert the model again",
			names.Tokens, len(t.texts))
	}
	if len(t.texts) != rows {
		return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s has %d tokens but the embedding has %d rows; they must be equal; convert the model again",
			names.Tokens, len(t.texts), rows)
	}
	if err := sameLength(names.TokenType, len(types), len(t.texts)); err != nil {
		return err
	}
	if md.Has(names.Scores) { // only SentencePiece has a use for them, but an array that does not fit is a damaged file
		scores, err := array[float32](md, names.Scores)
		if err != nil {
			return err
		}
		if err := sameLength(names.Scores, len(scores), len(t.texts)); err != nil {
			return err
		}
	}
	t.kinds = make([]uint8, len(types))
	t.ids = make(map[string]int32, len(types))
	for id, text := range t.texts {
		kind := types[id]
		if kind < names.TokenNormal || kind > names.TokenByte {
			return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s of token %d is %d; known are 1 to 6", names.TokenType, id, kind)
		}
		if twin, ok := t.ids[text]; ok || text == "" {
			if text == "" {
				return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: token %d is empty; every token needs a text of its own", id)
			}
			return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: tokens %d and %d are both %s; every token needs a text of its own",
				twin, id, fault.Quote(text))
		}
		t.kinds[id], t.ids[text] = uint8(kind), int32(id)
		t.longest = max(t.longest, len(text))
	}
	return t.readBytes()
}

// maxAdded is the longest control or user-defined token in bytes. Every text is searched for them, so their length bounds that search.
const maxAdded = 1024

// readAdded makes the control and user-defined tokens known to Encode, all but the mask token.
func (t *Tokenizer) readAdded() error {
	for id, kind := range t.kinds {
		if int32(id) == t.mask || kind != names.TokenControl && kind != names.TokenUserDefined {
			continue
		}
		text := t.texts[id]
		if len(text) > maxAdded {
			return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: token %d is a special text of %d bytes; the limit is %d", id, len(text), maxAdded)
		}
		if t.spm != nil && kind == names.TokenUserDefined {
			t.spm.user.insert(strings.ReplaceAll(text, " ", blank), int32(id))
			continue
		}
		t.added.insert(text, int32(id))
	}
	return nil
}

// array reads a metadata array of exactly element type T.
func array[T any](md *gguf.Metadata, key string) ([]T, error) {
	value, ok := md.Get(key)
	if !ok {
		return nil, fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s is missing; convert the model again", key)
	}
	elements, ok := value.([]T)
	if !ok {
		return nil, fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s is a %T, wanted %T; convert the model again", key, value, elements)
	}
	return elements, nil
}

func sameLength(key string, found, tokens int) error {
	if found != tokens {
		return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s has %d entries for %d tokens; convert the model again", key, found, tokens)
	}
	return nil
}

// readBytes finds the token of each byte: its letter of the byte-level alphabet or, where the vocabulary lacks that, a byte token <0xHH>. A
// vocabulary has all 256 byte tokens or none.
func (t *Tokenizer) readBytes() error {
	var byteTokens [256]int32
	found := 0
	for id, kind := range t.kinds {
		if kind != names.TokenByte {
			continue
		}
		b, ok := parseByteToken(t.texts[id])
		if !ok {
			return fault.New("TOKENIZER_BAD_BYTE_TOKEN", "tokenizer: byte token %d is %s, wanted <0x00> to <0xFF>", id, fault.Quote(t.texts[id]))
		}
		byteTokens[b] = int32(id) // texts differ, but <0xab> and <0xAB> are one byte
		found++
	}
	if found != 0 && found != len(byteTokens) {
		return fault.New("TOKENIZER_BAD_BYTE_TOKEN", "tokenizer: the vocabulary has %d byte tokens; it needs each of <0x00> to <0xFF> once, or none", found)
	}
	for b := range t.byteIDs {
		if id, ok := t.ids[string(letterOf[b])]; ok && t.isPiece(id) && t.model == names.ModelBPE {
			t.byteIDs[b] = id
		} else if found != 0 {
			t.byteIDs[b] = byteTokens[b]
		} else {
			t.byteIDs[b] = absent(byte(b))
		}
	}
	return nil
}

// parseByteToken reads <0xHH>, as llama.cpp writes it: two upper-case digits, so that no two texts are one byte.
func parseByteToken(text string) (byte, bool) {
	digits, ok := strings.CutPrefix(text, "<0x")
	if !ok || len(digits) != 3 || digits[2] != '>' || digits != strings.ToUpper(digits) {
		return 0, false
	}
	b, err := strconv.ParseUint(digits[:2], 16, 8)
	return byte(b), err == nil
}

// readMerges fills the merge table. Only ordinary pieces are ever the result of a merge: text must not become a control token by
// way of a merge, and what Encode makes of a text Decode must turn back into it.
func (t *Tokenizer) readMerges(md *gguf.Metadata, warn func(string)) error {
	lines, err := array[string](md, names.Merges)
	if err != nil {
		return err
	}
	var text []byte
	unknown, example := 0, ""
	t.merges = make(map[pair]merge, len(lines))
	for rank, line := range lines {
		at := strings.IndexByte(line[min(1, len(line)):], ' ') + 1 // the left part is not empty
		if at == 0 || at+1 == len(line) {
			return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: merge %d is %s, wanted two pieces and a space between them", rank, fault.Quote(line))
		}
		left, okLeft := t.ids[line[:at]]
		right, okRight := t.ids[line[at+1:]]
		text = append(append(text[:0], line[:at]...), line[at+1:]...)
		joined, ok := t.ids[string(text)]
		if !ok || !okLeft || !okRight {
			if unknown++; unknown == 1 {
				example = line
			}
			continue
		}
		key := pairOf(left, right)
		if _, twice := t.merges[key]; !twice && t.mergeable(joined) {
			t.merges[key] = merge{rank: int32(rank), id: joined}
		}
	}
	if unknown > 0 {
		warn("tokenizer: " + strconv.Itoa(unknown) + " merges name pieces that are not in the vocabulary and are left out, the first is " +
			fault.Quote(example))
	}
	return nil
}

// mergeable tells whether a token may come out of ordinary text. The mask token never does.
func (t *Tokenizer) mergeable(id int32) bool { return id != t.mask && t.isPiece(id) }

// isPiece tells whether a token is a piece of text: a normal one, or a user-defined one that reads the same in the byte-level alphabet.
func (t *Tokenizer) isPiece(id int32) bool {
	text := t.texts[id]
	return t.kinds[id] == names.TokenNormal || t.kinds[id] == names.TokenUserDefined && string(appendBytes(nil, text)) == text
}
