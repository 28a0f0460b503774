package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// maxPromptBytes bounds what is read as a prompt; more would not fit any context.
const maxPromptBytes = 64 << 20

// promptFlags say what the model is given.
type promptFlags struct {
	text   string
	file   string
	ids    idList
	system string
	chat   string
	raw    bool
}

func (p *promptFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&p.text, "prompt", "p", "", "the prompt `text`")
	f.StringVarP(&p.file, "file", "f", "", "read the prompt from `file`")
	f.Var(&p.ids, "token-ids", "the prompt as token ids, 1,2,3: no template, no tokenizer")
	f.StringVar(&p.chat, "chat-template", "", "chat template instead of the file's: chatml, llama-3, bitnet, or Jinja `source`")
	f.BoolVar(&p.raw, "raw", false, "no chat template: the model continues the text; control tokens in it are recognised")
}

// read returns the prompt's text: from -p, -f, the argument, or standard input ("-", or nothing else given and input piped in).
func (p *promptFlags) read(env *environment, args []string) (string, error) {
	given := 0
	for _, is := range []bool{p.text != "", p.file != "", len(p.ids) > 0, len(args) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return "", usagef("more than one prompt given; wanted one of an argument, -p, -f and --token-ids")
	case p.text != "":
		return p.text, nil
	case p.file != "":
		return readPromptFile(p.file)
	case len(args) > 0 && args[0] != "-":
		return args[0], nil
	case len(args) == 0 && (env.stdin == nil || terminal(env.stdin)):
		return "", usagef("no prompt; give it as an argument, with -p or -f, or on standard input")
	}
	text, err := io.ReadAll(io.LimitReader(env.stdin, maxPromptBytes+1))
	if err != nil {
		return "", fault.New("IO_ERROR", "standard input: %w", err)
	}
	return checkPrompt(string(text), "standard input")
}

func readPromptFile(path string) (string, error) {
	f, err := disk.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if f.Size() > maxPromptBytes {
		return "", fault.New("PROMPT_TOO_LONG", "%s: prompt of %d bytes; the limit is %d", path, f.Size(), maxPromptBytes)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return "", err
	}
	return checkPrompt(string(text), path)
}

// checkPrompt takes off the newline that a shell or an editor put at the end.
func checkPrompt(text, from string) (string, error) {
	if len(text) > maxPromptBytes {
		return "", fault.New("PROMPT_TOO_LONG", "%s: prompt of more than %d bytes", from, maxPromptBytes)
	}
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), nil
}

// encode returns the ids of the prompt: the ids given, the raw text, or the chat template around it.
func (p *promptFlags) encode(env *environment, s *session, args []string) ([]int32, error) {
	if len(p.ids) > 0 {
		if len(args) > 0 || p.text != "" || p.file != "" {
			return nil, usagef("--token-ids is a prompt; give no other")
		}
		for _, id := range p.ids {
			if int(id) >= s.tokenizer.Vocab() {
				return nil, fault.New("TOKEN_OUT_OF_RANGE", "--token-ids: id %d; the vocabulary of %s has ids 0 to %d", id, s.name, s.tokenizer.Vocab()-1)
			}
		}
		return p.ids, nil
	}
	text, err := p.read(env, args)
	if err != nil {
		return nil, err
	}
	if p.chat != "" {
		if err := s.tokenizer.SetChatTemplate(p.chat); err != nil {
			return nil, fmt.Errorf("--chat-template: %w", err)
		}
	}
	ids := s.tokenizer.Encode(text, tokenizer.EncodeOptions{Special: true, AddBOS: true})
	if !p.raw && s.tokenizer.HasChatTemplate() {
		messages := []tokenizer.Message{{Role: "user", Content: text}}
		if p.system != "" {
			messages = append([]tokenizer.Message{{Role: "system", Content: p.system}}, messages...)
		}
		if ids, err = s.tokenizer.Chat(messages, true); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, fault.New("BAD_PROMPT", "the prompt is empty; wanted at least one token")
	}
	return ids, nil
}
