package main

import (
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// fill makes o fill in the holes of a text, and returns the ids before the first: those of the prompt, if there is one, in the model's chat
// template, and of the text up to there. Text that stands in a template is an answer, and control tokens in it are text; alone, or with --raw,
// they are recognised.
func (p *promptFlags) fill(env *environment, s *session, args []string, text string, o *diffusion.Options) ([]int32, error) {
	var before []int32
	e := tokenizer.EncodeOptions{Special: true, AddBOS: true}
	if p.text != "" || p.file != "" || len(p.ids) > 0 || len(args) > 0 {
		var err error
		if before, err = p.encode(env, s, args); err != nil {
			return nil, err
		}
		e = tokenizer.EncodeOptions{Special: p.raw || !s.tokenizer.HasChatTemplate()}
	}
	return o.ReadInfill(s.model.Config(), before, text, func(parts []string) [][]int32 { return s.tokenizer.EncodeParts(parts, e) })
}
