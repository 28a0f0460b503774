package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/tokenizer/template"
)

// EncodeOptions: the zero value is plain text without bos.
type EncodeOptions struct {
	Special bool // texts of control tokens become those tokens (raw prompts); the mask token never does
	AddBOS  bool // add bos and eos where the file's add_bos_token and add_eos_token say so
}

// Encode returns the ids of text, which may be any bytes. It takes time linear in the text but for a factor log n in one unbroken piece.
func (t *Tokenizer) Encode(text string, o EncodeOptions) []int32 {
	return t.EncodeParts([]string{text}, o)[0]
}

// EncodeParts returns the ids of the parts of one text, in which something lies between each two: bos comes before the first alone, as the space
// before a SentencePiece text does, and eos after the last.
func (t *Tokenizer) EncodeParts(parts []string, o EncodeOptions) [][]int32 {
	all := make([][]int32, len(parts))
	for i, text := range parts {
		whole := template.Text{String: text}
		if !o.Special {
			whole.Tainted = []template.Span{{Start: 0, End: len(text)}}
		}
		var ids []int32
		if i == 0 && o.AddBOS && t.addBOS {
			ids = append(ids, t.bos)
		}
		ids = t.encode(ids, whole, i == 0)
		if i == len(parts)-1 && o.AddBOS && t.addEOS {
			ids = append(ids, t.eos)
		}
		all[i] = ids
	}
	return all
}

// encode appends the ids of a text in which control tokens are recognised only outside of the tainted spans. What lies between two added
// tokens is one text whatever its taint, as it is to a program that does not know of taint. begins says that the text goes on from no other.
func (t *Tokenizer) encode(ids []int32, text template.Text, begins bool) []int32 {
	plain := t.plainEncoder(begins)
	s, tainted := text.String, text.Tainted
	start := 0
	for at := 0; at < len(s); {
		for len(tainted) > 0 && tainted[0].End <= at {
			tainted = tainted[1:]
		}
		trusted := len(s) // how far control tokens may reach
		if len(tainted) > 0 {
			trusted = max(tainted[0].Start, at)
		}
		id, size := t.added.longest(s[at:], func(id int32, size int) bool {
			return t.kinds[id] == names.TokenUserDefined || at+size <= trusted
		})
		if size == 0 {
			at++
			continue
		}
		ids = plain(ids, s[start:at])
		ids = append(ids, id)
		at += size
		start = at
	}
	return plain(ids, s[start:])
}

// plainEncoder returns what appends the ids of one text without added tokens after another.
func (t *Tokenizer) plainEncoder(begins bool) func(ids []int32, text string) []int32 {
	if t.spm != nil {
		var j joiner
		return func(ids []int32, text string) []int32 {
			space := t.spm.spacePrefix && begins
			begins = true // behind an added token
			return t.encodePieces(ids, &j, text, space)
		}
	}
	m := merger{merges: t.merges, places: map[int32][]int32{}}
	return func(ids []int32, text string) []int32 { return t.encodePlain(ids, &m, text) }
}

// encodePlain appends the ids of a text without added tokens, by byte-level BPE.
func (t *Tokenizer) encodePlain(ids []int32, m *merger, text string) []int32 {
	var letters []byte
	split(t.cuts, text, func(piece string) {
		if t.ignoreMerges && len(piece) <= t.longest {
			letters = appendLetters(letters[:0], piece)
			if id, ok := t.ids[string(letters)]; ok && t.mergeable(id) {
				ids = append(ids, id)
				return
			}
		}
		m.ids = slices.Grow(m.ids[:0], len(piece))
		for i := range len(piece) {
			m.ids = append(m.ids, t.byteIDs[piece[i]])
		}
		m.run(func(id int32) {
			if id < 0 {
				id = t.unknown
			}
			if id != none {
				ids = append(ids, id)
			}
		})
	})
	return ids
}

// Decode returns the text of ids. Control tokens and whatever else is not text are left out unless special; so are ids outside the
// vocabulary, and the space that Encode puts before a SentencePiece text. The text is the bytes that the ids stand for: it is valid UTF-8 only
// if they are.
func (t *Tokenizer) Decode(ids []int32, special bool) string {
	var text []byte
	begins := true
	for _, id := range ids {
		at := len(text)
		text = t.appendText(text, id, special)
		if begins && t.spm != nil && t.spm.spacePrefix && len(text) > at && text[at] == ' ' {
			text = slices.Delete(text, at, at+1)
		}
		begins = t.IsControl(id)
	}
	return string(text)
}

// Text returns the bytes that an id stands for, "" for an id outside the vocabulary. A control token's is its name.
func (t *Tokenizer) Text(id int32) string { return string(t.appendText(nil, id, true)) }

func (t *Tokenizer) appendText(text []byte, id int32, special bool) []byte {
	if !t.valid(id) {
		return text
	}
	switch t.kinds[id] {
	case names.TokenNormal:
		if t.spm == nil {
			return appendBytes(text, t.texts[id])
		}
		return append(text, strings.ReplaceAll(t.texts[id], blank, " ")...)
	case names.TokenUserDefined:
		if t.spm == nil {
			return append(text, t.texts[id]...)
		}
		return append(text, strings.ReplaceAll(t.texts[id], blank, " ")...)
	case names.TokenByte:
		b, _ := parseByteToken(t.texts[id]) // checked when the vocabulary was read
		return append(text, b)
	}
	if special {
		text = append(text, t.texts[id]...)
	}
	return text
}

// Stream decodes the continuation of a text id by id. What Push and Flush return, joined, is what Decode returns, with the space before a
// SentencePiece text, and no character is ever cut in two: bytes that may be the beginning of one wait for the rest.
type Stream struct {
	t       *Tokenizer
	pending []byte
}

// NewStream begins a text.
func (t *Tokenizer) NewStream() *Stream { return &Stream{t: t} }

// Push returns the text that id completes.
func (s *Stream) Push(id int32) string {
	s.pending = s.t.appendText(s.pending, id, false)
	return s.take(complete(s.pending))
}

// Flush returns the bytes of a character that never was completed.
func (s *Stream) Flush() string { return s.take(len(s.pending)) }

func (s *Stream) take(n int) string {
	text := string(s.pending[:n])
	s.pending = slices.Delete(s.pending, 0, n)
	return text
}

// complete returns the length of text without a character at its end that has begun and could go on.
func complete(text []byte) int {
	for i := len(text) - 1; i >= 0 && i > len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return i
			}
			break
		}
	}
	return len(text)
}
