package convert

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// tokenizer.model is a protobuf message (FORMATS.md 7.6, sentencepiece_model.proto): fields, each a varint number<<3 | wire and a value.
//
//	wire 0  a varint: seven bits a byte, lowest first, the high bit says that another follows
//	wire 1  8 bytes      wire 5  4 bytes, a float here
//	wire 2  a varint n, then n bytes: a string, or a message again
//
//	1      piece: 1 text, 2 score, 3 type (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte: those of token_type)
//	2      trainer: 3 model_type (1 unigram, the default, 2 BPE), 40 to 43 the ids of unk, bos, eos, pad
//	3      normalizer: 1 name, 2 compiled map of characters, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces
//
// The reader takes what is in the file and allocates nothing that the file does not hold.

// Scores of tokens that no tokenizer.model has, as llama.cpp's converter gives them.
const (
	addedScore   = -1000
	paddingScore = -10000
)

// blank is what stands for a space in a piece, U+2581.
const blank = "▁"

// Wire types.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// protoField is one field of a message.
type protoField struct {
	number uint64
	wire   uint64
	varint uint64 // of wireVarint
	bytes  []byte // of the others
}

// eachField calls f for each field of a message.
func eachField(message []byte, f func(protoField) error) error {
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		if n <= 0 || key>>3 == 0 {
			return badModel("a field's number is not readable")
		}
		message = message[n:]
		p := protoField{number: key >> 3, wire: key & 7}
		size := uint64(0)
		switch p.wire {
		case wireVarint:
			if p.varint, n = binary.Uvarint(message); n <= 0 {
				return badModel("field %d ends early", p.number)
			}
			message = message[n:]
		case wire64:
			size = 8
		case wire32:
			size = 4
		case wireBytes:
			if size, n = binary.Uvarint(message); n <= 0 {
				return badModel("field %d ends early", p.number)
			}
			message = message[n:]
		default:
			return badModel("field %d has wire type %d, which protobuf gave up", p.number, p.wire)
		}
		if size > uint64(len(message)) {
			return badModel("field %d has %d bytes, but %d are left", p.number, size, len(message))
		}
		p.bytes, message = message[:size], message[size:]
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

// expect refuses a field that has another wire type than the format gives it.
func (p protoField) expect(wire uint64) error {
	if p.wire != wire {
		return badModel("field %d has wire type %d, wanted %d", p.number, p.wire, wire)
	}
	return nil
}

func badModel(format string, args ...any) error {
	return fault.New("TOKENIZER_BAD_MODEL", "tokenizer.model: "+format+"; fetch it again", args...)
}

// spmModel collects a tokenizer.model.
type spmModel struct {
	t          *Tokenizer
	kind       uint64
	special    map[uint64]int32 // field of the trainer: id, or -1
	charsmap   bool
	squeezes   bool
	escapes    bool
	normalizer string
}

// Trainer fields that hold special ids, and the names of the tokens.
var spmSpecials = []struct {
	field uint64
	name  string
	id    int32 // if absent
}{{40, "unk", 0}, {41, "bos", 1}, {42, "eos", 2}, {43, "pad", -1}}

// ParseSentencePiece reads a tokenizer.model. Only models of type BPE have a place in GGUF that runs them as they were trained.
func ParseSentencePiece(data []byte) (*Tokenizer, error) {
	if !strings.HasPrefix(string(data[:min(len(data), 1)]), "\n") { // field 1, wire type 2
		line, _, _ := strings.Cut(string(data[:min(len(data), 512)]), "\n")
		if _, rank, _ := strings.Cut(line, " "); rank == "0" {
			return nil, fault.New("TOKENIZER_UNSUPPORTED", "tokenizer.model is a list of pieces and ranks, as tiktoken has, and lacks the pattern that splits text; "+
				"put the model's tokenizer.json beside it")
		}
		return nil, badModel("it is no SentencePiece model: it begins with %s", fault.Quote(string(data[:min(len(data), 8)])))
	}
	m := spmModel{t: &Tokenizer{Model: names.ModelSPM, Pre: anyPre}, kind: 1, special: map[uint64]int32{}, squeezes: true, escapes: true}
	yes := true
	m.t.AddSpace = &yes
	for _, s := range spmSpecials {
		m.special[s.field] = s.id
	}
	err := eachField(data, func(p protoField) error {
		switch p.number {
		case 1:
			return m.piece(p)
		case 2:
			return m.trainer(p)
		case 3:
			return m.normalize(p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m.tokenizer()
}

func (m *spmModel) piece(p protoField) error {
	if err := p.expect(wireBytes); err != nil {
		return err
	}
	id := len(m.t.Tokens)
	if id == maxTokens {
		return fault.New("TOKENIZER_LIMIT", "tokenizer.model has more than %d pieces", maxTokens)
	}
	k := Token{Kind: names.TokenNormal}
	err := eachField(p.bytes, func(p protoField) error {
		switch p.number {
		case 1:
			k.Text = string(p.bytes)
			return p.expect(wireBytes)
		case 2:
			if err := p.expect(wire32); err != nil {
				return err
			}
			k.Score = math.Float32frombits(binary.LittleEndian.Uint32(p.bytes))
		case 3:
			if p.varint < names.TokenNormal || p.varint > names.TokenByte {
				return badModel("piece %d has type %d, wanted 1 to 6", id, p.varint)
			}
			k.Kind = int32(p.varint)
			return p.expect(wireVarint)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case k.Text == "":
		return fault.New("TOKENIZER_EMPTY_TOKEN", "tokenizer.model: piece %d has no text", id)
	case k.Score != k.Score:
		return badModel("piece %d has a score that is not a number", id)
	}
	m.t.Tokens = append(m.t.Tokens, k)
	return nil
}

func (m *spmModel) trainer(p protoField) error {
	if err := p.expect(wireBytes); err != nil {
		return err
	}
	return eachField(p.bytes, func(p protoField) error {
		_, special := m.special[p.number]
		if p.number != 3 && !special {
			return nil
		}
		if p.number == 3 {
			m.kind = p.varint
		} else {
			m.special[p.number] = int32(uint32(p.varint)) // a negative id is a varint of 64 bits
		}
		return p.expect(wireVarint)
	})
}

func (m *spmModel) normalize(p protoField) error {
	if err := p.expect(wireBytes); err != nil {
		return err
	}
	return eachField(p.bytes, func(p protoField) error {
		on := p.varint != 0
		switch p.number {
		case 1:
			m.normalizer = string(p.bytes)
			return p.expect(wireBytes)
		case 2:
			m.charsmap = len(p.bytes) > 0
			return p.expect(wireBytes)
		case 3:
			m.t.AddSpace = &on
		case 4:
			m.squeezes = on
		case 5:
			m.escapes = on
		default:
			return nil
		}
		return p.expect(wireVarint)
	})
}

func (m *spmModel) tokenizer() (*Tokenizer, error) {
	t := m.t
	if m.kind != 2 {
		return nil, fault.New("TOKENIZER_UNSUPPORTED", "tokenizer.model has model_type %d; wf reads 2, BPE: readers of GGUF would join the pieces of another in the wrong order", m.kind)
	}
	if !m.escapes {
		return nil, fault.New("TOKENIZER_UNSUPPORTED", "tokenizer.model has escape_whitespaces off; readers of GGUF write spaces as U+2581")
	}
	seen := make(map[string]int, len(t.Tokens))
	for id, k := range t.Tokens {
		if first, ok := seen[k.Text]; ok {
			return nil, fault.New("TOKENIZER_DUPLICATE_ID", "tokenizer.model: pieces %d and %d are both %s", first, id, fault.Quote(k.Text))
		}
		seen[k.Text] = id
	}
	t.Special = map[string]string{}
	for _, s := range spmSpecials {
		switch id := m.special[s.field]; {
		case id >= int32(len(t.Tokens)):
			return nil, fault.New("TOKENIZER_BAD_SPECIAL", "tokenizer.model: the id of %s is %d, but there are %d pieces", s.name, id, len(t.Tokens))
		case id >= 0:
			t.Special[s.name] = t.Tokens[id].Text
		}
	}
	t.First = t.Special["bos"]
	if m.charsmap {
		t.note("tokenizer.model normalises text (%s), which GGUF does not store: unusual characters may get other ids", fault.Quote(m.normalizer))
	}
	if m.squeezes {
		t.note("tokenizer.model squeezes runs of spaces, which GGUF does not store: they will get ids of their own")
	}
	return t, nil
}

// addTokens adds the tokens of added_tokens.json, {"text": id}, and of the object added_tokens_decoder of tokenizer_config.json, {"id": {"content": text,
// "special": true}}, which stand behind the pieces or say of a piece that it is special.
func (t *Tokenizer) addTokens(f fields) error {
	for _, text := range slices.Sorted(maps.Keys(f.members)) {
		id, ok := f.integer(text, 0, maxTokens-1)
		if !ok || text == "" {
			continue
		}
		if err := t.add(addedToken{id: int32(id), content: text}); err != nil {
			return err
		}
	}
	return f.err()
}

// addDecoder adds the tokens of added_tokens_decoder.
func (t *Tokenizer) addDecoder(f fields) error {
	decoder, ok := f.object("added_tokens_decoder")
	if !ok {
		return f.err()
	}
	for _, key := range slices.Sorted(maps.Keys(decoder.members)) {
		id, err := strconv.ParseUint(key, 10, 31)
		entry, ok := decoder.object(key)
		content, named := entry.text("content")
		if err != nil || id >= maxTokens || !ok || !named || content == "" {
			f.wrong("added_tokens_decoder", "ids, each with its content")
			break
		}
		special, _ := entry.boolean("special")
		if err := t.add(addedToken{id: int32(id), content: content, special: special}); err != nil {
			return err
		}
	}
	return f.err()
}

// add places an added token of a SentencePiece vocabulary. Of a piece of the same text it decides the kind only, and only of one that is no structure.
func (t *Tokenizer) add(a addedToken) error {
	for len(t.Tokens) <= int(a.id) {
		t.Tokens = append(t.Tokens, Token{})
	}
	k := &t.Tokens[a.id]
	switch old := *k; {
	case old.Text == "":
		*k = a.token()
		k.Score = addedScore
	case old.Text != a.content && (!old.Added || old.Text != a.token().Text):
		return fault.New("TOKENIZER_DUPLICATE_ID", "id %d is both %s and %s", a.id, fault.Quote(min(old.Text, a.content)), fault.Quote(max(old.Text, a.content)))
	case a.special && old.Kind != names.TokenUnknown:
		k.Kind = names.TokenControl
	}
	return nil
}

// becomeSentencePiece turns a tokenizer.json with byte_fallback, which huggingface/transformers makes of a tokenizer.model, back into one. Its merges
// are in the order of the scores of what they make, so the first merge that makes a piece gives its score: their numbers downward from 0, as
// SentencePiece's trainer gives them.
func (t *Tokenizer) becomeSentencePiece(normalizer, pre any) {
	t.Model, t.Pre = names.ModelSPM, anyPre
	spaces, ok := spacePrefix(normalizer, pre)
	if !ok {
		t.Pre, t.PreErr = "", unknownPattern("is %s behind the normalizer %s, which is not how SentencePiece is written down", summary(pre), summary(normalizer))
	}
	t.AddSpace = &spaces
	scores := make(map[string]float32, len(t.Merges))
	for i, merge := range t.Merges {
		left, right, _ := strings.Cut(merge, " ")
		if _, ok := scores[left+right]; !ok {
			scores[left+right] = float32(-i)
		}
	}
	for id := range t.Tokens {
		k := &t.Tokens[id]
		score, made := scores[k.Text]
		if k.Score = score; !made {
			k.Score = float32(-len(t.Merges)) // a single character, which nothing is joined to
		}
		switch {
		case k.Added:
			k.Score = addedScore
		case len(k.Text) == len("<0x00>") && strings.HasPrefix(k.Text, "<0x") && strings.HasSuffix(k.Text, ">"):
			k.Kind = names.TokenByte
		}
	}
}

// spacePrefix finds whether a space goes before a text: in the normalizer Sequence[Prepend, Replace], or in the pre-tokenizer Metaspace. Neither ok:
// this is not how SentencePiece is written down.
func spacePrefix(normalizer, pre any) (prefix, ok bool) {
	if m, _ := pre.(map[string]any); m["type"] == "Metaspace" {
		return m["prepend_scheme"] != "never", normalizer == nil && m["replacement"] == blank && m["split"] == false
	}
	n, _ := normalizer.(map[string]any)
	steps := []any{normalizer}
	if n["type"] == "Sequence" {
		steps, _ = n["normalizers"].([]any)
	}
	for _, s := range steps {
		step, _ := s.(map[string]any)
		pattern, _ := step["pattern"].(map[string]any)
		switch {
		case step["type"] == "Prepend" && step["prepend"] == blank:
			prefix = true
		case step["type"] == "Replace" && pattern["String"] == " " && step["content"] == blank:
			ok = true
		default:
			return false, false
		}
	}
	return prefix, ok && pre == nil
}
