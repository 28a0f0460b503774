package tokenizer

import (
	"fmt"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/tokenizer/template"
)

// Message is one turn.
type Message = template.Message

// builtin templates, by the names that SetChatTemplate takes. The first whose control tokens the vocabulary has stands in for a template that
// cannot be used.
var builtin = []struct {
	name   string
	needs  []string
	source string
}{
	{"chatml", []string{"<|im_start|>", "<|im_end|>"},
		"{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
			"{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"},
	{"llama-3", []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
		"{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}" +
			"{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"},
	{"bitnet", []string{"<|eot_id|>"},
		"{{ bos_token }}{% for m in messages %}{{ m.role | capitalize }}: {{ m.content | trim }}<|eot_id|>{% endfor %}" +
			"{% if add_generation_prompt %}Assistant: {% endif %}"},
}

// bitnetStub is in the template of microsoft's own GGUF of BitNet b1.58 2B-4T, which is not the one that the model was trained with.
const bitnetStub = "BITNETAssistant"

// readChatTemplate takes the file's chat template or, if that cannot be used, a builtin one; it says so.
func (t *Tokenizer) readChatTemplate(md *gguf.Metadata, warn func(string)) error {
	source, ok, err := gguf.Value[string](md, names.ChatTemplate)
	if err != nil {
		return err
	}
	t.chatErr = fault.New("TEMPLATE_MISSING", "tokenizer: the file has no chat template; pass --chat-template, or --raw for a prompt without one")
	switch {
	case !ok:
		return nil
	case strings.Contains(source, bitnetStub):
		warn("tokenizer: the file's chat template is a stub; taking the builtin template bitnet")
		return t.SetChatTemplate("bitnet")
	}
	if t.chatErr = t.SetChatTemplate(source); t.chatErr == nil {
		return nil
	}
	problem := fmt.Sprintf("tokenizer: the file's chat template cannot be used: %v [%s]", t.chatErr, fault.Code(t.chatErr))
	for _, b := range builtin {
		if t.hasAll(b.needs) {
			warn(problem + "; taking the builtin template " + b.name)
			return t.SetChatTemplate(b.name)
		}
	}
	warn(problem + "; pass --chat-template to chat")
	return nil
}

func (t *Tokenizer) hasAll(texts []string) bool {
	for _, text := range texts {
		if id, ok := t.ids[text]; !ok || !t.IsControl(id) {
			return false
		}
	}
	return true
}

// SetChatTemplate replaces the chat template by source, or by a builtin one if source is its name: chatml, llama-3, bitnet. On an error
// (template.Parse) the one before stays.
func (t *Tokenizer) SetChatTemplate(source string) error {
	for _, b := range builtin {
		if b.name == source {
			source = b.source
		}
	}
	parsed, err := template.Parse(source)
	if err != nil {
		return err
	}
	t.chat = parsed
	return nil
}

// HasChatTemplate tells whether Chat can be used.
func (t *Tokenizer) HasChatTemplate() bool { return t.chat != nil }

// Chat renders the chat template and encodes it: what the template wrote may be control tokens, what a message says never is. No bos is added;
// the template writes one if the model expects it.
//
// Errors: those of template.Template.Render; TEMPLATE_MISSING, or why the file's template cannot be used.
func (t *Tokenizer) Chat(messages []Message, addGenerationPrompt bool) ([]int32, error) {
	if t.chat == nil {
		return nil, t.chatErr
	}
	variables := map[string]string{}
	for _, special := range []struct {
		name string
		id   int32
	}{{"bos_token", t.bos}, {"eos_token", t.eos}, {"unk_token", t.unknown}, {"pad_token", t.padding}} {
		if special.id != none {
			variables[special.name] = t.texts[special.id]
		}
	}
	text, err := t.chat.Render(template.Input{
		Messages: messages, AddGenerationPrompt: addGenerationPrompt, Variables: variables, Now: t.now(),
	})
	if err != nil {
		return nil, err
	}
	return t.encode(nil, text, true), nil
}
