package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

func newTokenizeCmd(env *environment) *cobra.Command {
	var m modelFlags
	var p promptFlags
	var chat, special, asJSON bool
	cmd := &cobra.Command{
		Use:   "tokenize [TEXT | - | -f FILE | --token-ids IDS]",
		Short: "Show the token ids of a text, or the text of token ids",
		Example: `  wf tokenize "Hello, world"
  wf tokenize --chat "Hello"        # with the model's chat template around it
  wf tokenize --token-ids 2,270,202 # back to text`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := m.load(env)
			if err != nil {
				return err
			}
			defer s.close()
			ids := []int32(p.ids)
			switch {
			case len(ids) > 0 || chat:
				ids, err = p.encode(env, s, args)
			default:
				var text string
				text, err = p.read(env, args)
				ids = s.tokenizer.Encode(text, tokenizer.EncodeOptions{Special: special})
			}
			if err != nil {
				return err
			}
			return env.printTokens(s, ids, asJSON)
		},
	}
	cmd.Flags().StringVarP(&m.path, "model", "m", "", "GGUF `file` (without it: the small model that wf carries)")
	p.bind(cmd)
	cmd.Flags().BoolVar(&chat, "chat", false, "put the chat template around the text")
	cmd.Flags().BoolVar(&special, "special", false, "recognise control tokens in the text (never the mask token)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().MarkHidden("raw")
	return cmd
}

// printTokens prints one token a line: id and text.
func (env *environment) printTokens(s *session, ids []int32, asJSON bool) error {
	type token struct {
		ID   int32  `json:"id"`
		Text string `json:"text"`
	}
	tokens := make([]token, len(ids))
	for i, id := range ids {
		tokens[i] = token{id, s.tokenizer.Text(id)}
	}
	if asJSON {
		return env.writeJSON(map[string]any{"tokens": tokens, "ids": ids, "text": s.tokenizer.Decode(ids, true)})
	}
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	for _, t := range tokens {
		fmt.Fprintf(w, "%d\t%s\n", t.ID, fault.Quote(t.Text))
	}
	return w.Flush()
}
