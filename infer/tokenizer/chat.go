package tokenizer

import "github.com/wrinklefree/wf/gguf"

// Message is one turn.
type Message struct{ Role, Content string }

// Chat renders the chat template and encodes it: what the template wrote may be control tokens, what a message says never is.
func (t *Tokenizer) Chat(messages []Message, addGenerationPrompt bool) ([]int32, error) {
	panic("contract")
}
func (t *Tokenizer) HasChatTemplate() bool                                       { panic("contract") }
func (t *Tokenizer) SetChatTemplate(source string) error                         { panic("contract") }
func (t *Tokenizer) readChatTemplate(md *gguf.Metadata, warn func(string)) error { return nil }
