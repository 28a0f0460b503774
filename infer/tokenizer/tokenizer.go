// Package tokenizer turns text into ids and back, from a GGUF file's vocabulary, and renders its chat template.
//
// The vocabulary is the file's: tokenizer.ggml.tokens holds the text of each id, token_type what it is:
//
//	1  normal        a piece of text in the byte-level alphabet (a letter stands for each byte), made by merging
//	2  unknown       what stands for a byte that no other token has
//	3  control       structure: the end of a turn, the begin of a role. Plain text
//	4  user-defined  a text that is one token wherever it stands. Plain text
//	5  unused        a row that only pads the embedding
//	6  byte          <0xHH>, for a byte that has no piece
//
// That is tokenizer.ggml.model "gpt2". In a "llama" vocabulary, SentencePiece's, a normal token is plain text with U+2581 for each space, and
// scores take the place of merges (spm.go).
//
// Encoding: user-defined tokens, and control tokens where they are allowed, are split out, the longest first; what lies between is split by the
// file's pre-tokenizer (tokenizer.ggml.pre, see split.go); in each piece the neighbours of lowest rank in tokenizer.ggml.merges are
// joined until none is left (merge.go).
//
// Text is bytes. Nothing is normalised, an invalid UTF-8 byte is a character of its own that goes through the alphabet as itself, and
// so Decode(Encode(text)) is text for every text, if the vocabulary has all 256 bytes. A byte that it lacks becomes the unknown
// token, or nothing. (In a SentencePiece vocabulary U+2581 is a space, and comes back as one.)
//
// What a person says never becomes structure: a control token is recognised in text only where the caller, or the chat template, wrote it;
// the mask token is recognised nowhere.
//
// Sources: llama.cpp's llama-vocab.cpp for the keys and their defaults, openai/gpt-2's encoder.py for the encoding.
package tokenizer

import (
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/tokenizer/template"
)

// Tokenizer is read-only and safe for concurrent use, once SetChatTemplate is not called any more.
type Tokenizer struct {
	model   string   // names.ModelBPE or names.ModelSPM
	texts   []string // as stored
	kinds   []uint8  // names.TokenNormal ...; special ids of other types count as control
	ids     map[string]int32
	longest int // bytes of the longest text

	byteIDs      [256]int32 // negative: see absent
	merges       map[pair]merge
	ignoreMerges bool // a piece that is a token needs no merging
	cuts         []cut
	spm          *spm // nil: byte-level BPE
	added        trie

	bos, eos, unknown, padding, mask int32 // -1: none
	addBOS, addEOS                   bool
	stop                             []int32

	chat    *template.Template // nil: none
	chatErr error              // why there is none
	now     func() time.Time   // what strftime_now in a template sees
}

// none is the value of a special id that the file does not have.
const none = -1

// New checks the vocabulary and builds a tokenizer. rows is the number of rows of the embedding, which the vocabulary must have as
// well. warn gets sentences for a person.
//
// Errors: TOKENIZER_UNSUPPORTED_MODEL, TOKENIZER_UNKNOWN_PATTERN (a pre-tokenizer that is not known), TOKENIZER_BAD_ARRAY,
// TOKENIZER_BAD_SPECIAL, TOKENIZER_BAD_BYTE_TOKEN, and MODEL_BAD_PARAM_TYPE for a key of another type. A chat template that cannot be used
// is a warning.
func New(md *gguf.Metadata, rows int, warn func(string)) (*Tokenizer, error) {
	model, _, err := gguf.Value[string](md, names.TokenizerModel)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{model: model, now: time.Now}
	var readPieces []func() error
	switch model {
	case names.ModelBPE:
		readPieces = []func() error{func() error { return t.readSplitter(md, warn) }, func() error { return t.readMerges(md, warn) }}
	case names.ModelSPM:
		readPieces = []func() error{func() error { return t.readPieces(md) }}
	default:
		return nil, fault.New("TOKENIZER_UNSUPPORTED_MODEL",
			"tokenizer: %s is %s; this build reads gpt2 (byte-level BPE) and llama (SentencePiece); pass --token-ids to run without a tokenizer",
			names.TokenizerModel, fault.Quote(model))
	}
	steps := append([]func() error{
		func() error { return t.readVocabulary(md, rows) },
		func() error { return t.readSpecials(md, warn) },
	}, readPieces...)
	for _, step := range append(steps,
		func() error { return t.readFlags(md) },
		t.readAdded,
		func() error { return t.readChatTemplate(md, warn) },
	) {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// readSplitter reads tokenizer.ggml.pre and what depends on it.
func (t *Tokenizer) readSplitter(md *gguf.Metadata, warn func(string)) error {
	pre, ok, err := gguf.Value[string](md, names.TokenizerPre)
	if err != nil {
		return err
	}
	if !ok {
		// microsoft's own GGUF of BitNet b1.58 2B-4T names none; its vocabulary is Llama 3's.
		arch, _, _ := gguf.Value[string](md, names.Architecture)
		if n := len(t.texts); arch == names.BitNetB158 || arch == names.BitNet25 || n == 128256 || n == 128257 {
			pre = "llama-bpe"
		} else {
			pre = "default"
		}
		warn("tokenizer: " + names.TokenizerPre + " is missing; taking " + pre)
	}
	splitter, ok := splitters[pre]
	if !ok {
		return fault.New("TOKENIZER_UNKNOWN_PATTERN",
			"tokenizer: %s is %s; this build knows default, gpt-2, smollm, qwen2, falcon, and llama-bpe with its other names", names.TokenizerPre, fault.Quote(pre))
	}
	t.cuts = splitter.cuts
	t.ignoreMerges = splitter.llamaFamily
	t.addBOS = splitter.llamaFamily && t.bos != none
	return nil
}

// readFlags reads whether bos and eos go around a text.
func (t *Tokenizer) readFlags(md *gguf.Metadata) error {
	if t.model == names.ModelSPM {
		t.addBOS = true
	}
	for _, flag := range []struct {
		key, needs string
		id         int32
		set        *bool
	}{{names.AddBOS, names.BOS, t.bos, &t.addBOS}, {names.AddEOS, names.EOS, t.eos, &t.addEOS}} {
		value, ok, err := gguf.Value[bool](md, flag.key)
		if err != nil {
			return err
		}
		if value && flag.id == none {
			return fault.New("TOKENIZER_BAD_SPECIAL", "tokenizer: %s is true but the file has no %s; convert the model again", flag.key, flag.needs)
		}
		if ok {
			*flag.set = value
		}
	}
	return nil
}

// Vocab returns the number of ids.
func (t *Tokenizer) Vocab() int { return len(t.texts) }

// IsControl tells whether an id is structure and not text: a control token, or one with a special role in the file.
func (t *Tokenizer) IsControl(id int32) bool {
	return t.valid(id) && t.kinds[id] == names.TokenControl
}

func (t *Tokenizer) valid(id int32) bool { return id >= 0 && int(id) < len(t.texts) }

// Stop returns the ids that end a generation, ascending. The mask token is never among them. Do not modify it.
func (t *Tokenizer) Stop() []int32 { return t.stop }
