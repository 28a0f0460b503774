// Package tokenizer turns text into ids and back, from a GGUF file's vocabulary, and renders its chat template.
package tokenizer

import "github.com/wrinklefree/wf/gguf"

// Tokenizer is read-only and safe for concurrent use.
type Tokenizer struct{}

// New checks the vocabulary (ACCEPTANCE R44, R45, R48) and builds a tokenizer. warn gets sentences for a person. vocab is the number of embedding rows.
func New(md *gguf.Metadata, vocab int, warn func(string)) (*Tokenizer, error) { panic("contract") }

// EncodeOptions: the zero value is plain text without bos.
type EncodeOptions struct {
	Special bool // texts of control tokens become those tokens (raw prompts); the mask token never does
	AddBOS  bool // add bos/eos where the file's add_bos_token/add_eos_token say so
}

func (t *Tokenizer) Encode(text string, o EncodeOptions) []int32 { panic("contract") }

// Decode returns the text of ids; control tokens are left out unless special.
func (t *Tokenizer) Decode(ids []int32, special bool) string { panic("contract") }

// Stream decodes id by id and holds back an unfinished UTF-8 sequence.
type Stream struct{}

func (t *Tokenizer) NewStream() *Stream { panic("contract") }
func (s *Stream) Push(id int32) string  { panic("contract") }
func (s *Stream) Flush() string         { panic("contract") }

// Message is one turn.
type Message struct{ Role, Content string }

// Chat renders the chat template and encodes it: what the template wrote may be control tokens, what a message says never is.
func (t *Tokenizer) Chat(messages []Message, addGenerationPrompt bool) ([]int32, error) {
	panic("contract")
}
func (t *Tokenizer) HasChatTemplate() bool               { panic("contract") }
func (t *Tokenizer) SetChatTemplate(source string) error { panic("contract") }

func (t *Tokenizer) Vocab() int              { panic("contract") }
func (t *Tokenizer) Text(id int32) string    { panic("contract") } // the piece's text, decoded from the byte alphabet
func (t *Tokenizer) Stop() []int32           { panic("contract") } // the stop set of FORMATS.md 7.1, without the mask
func (t *Tokenizer) IsControl(id int32) bool { panic("contract") }
