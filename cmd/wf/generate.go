package main

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/infer/diffusion"
)

func newGenerateCmd(env *environment) *cobra.Command {
	var m modelFlags
	var p promptFlags
	var d decodeFlags
	var traceFile, infill string
	var asJSON, force, showSteps bool
	cmd := &cobra.Command{
		Use:        "generate [PROMPT | -p PROMPT | -f FILE | - | --token-ids IDS]",
		Short:      "Answer a prompt",
		SuggestFor: []string{"run", "complete"},
		Long: `Answer a prompt: text on standard output as it settles, a timing report on standard error.

A diffusion model fills in a block of masked positions over several passes; any other model is decoded token by token. The file says which it is. The
model's chat template is put around the prompt unless --raw.

--infill gives the answer with holes, [[3]] for three tokens and [[ ]] for the rest of a block, and prints it filled in. A block-diffusion model sees what
follows a hole in the same block. The prompt, if there is one, comes before it.`,
		Example: `  wf generate "What is the capital of France?"
  wf generate -m model-I2_S.gguf -n 200 --temp 0.7 -f prompt.txt
  wf generate --show-steps "What is the capital of France?"
  wf generate "What is the capital of France?" --infill "The capital of [[3]] is Paris."
  echo "Count from 1 to 10." | wf generate --threshold 0.7 --trace passes.jsonl`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := m.load(env)
			if err != nil {
				return err
			}
			defer s.close()
			o := d.options(env, &m, s)
			var ids []int32
			if cmd.Flags().Changed("infill") {
				ids, err = p.fill(env, s, args, infill, &o)
			} else {
				ids, err = p.encode(env, s, args)
			}
			if err != nil {
				return err
			}
			header, err := s.recording(ids, o)
			if err != nil {
				return err
			}
			t, err := newTrace(traceFile, header, s.tokenizer.Text, disk.CreateOptions{Force: force, Inputs: m.inputs()})
			if err != nil {
				return err
			}
			defer t.abort()
			text := &answer{out: env.forReading(), mute: asJSON}
			var watched *steps
			if showSteps {
				watched = env.showSteps(cmd.Context(), header, s.tokenizer.Text)
				text.held = watched.holds()
			}
			o.OnText = text.add
			o.OnEvent = func(e diffusion.Event) { t.event(e); watched.event(e) }
			r, err := diffusion.Generate(cmd.Context(), s.model, ids, o)
			watched.stop()
			if err := errors.Join(err, text.end()); err != nil {
				return err
			}
			if err := t.finish(cmd.Context(), r); err != nil {
				return err
			}
			if asJSON {
				return env.writeJSON(generation{s.name, ids, r})
			}
			env.timing(r)
			return nil
		},
	}
	m.bind(cmd)
	p.bind(cmd)
	d.bind(cmd)
	cmd.Flags().StringVar(&p.system, "system", "", "system message before the prompt, where the template has one")
	cmd.Flags().StringVar(&infill, "infill", "", "fill in the holes of `text`, behind the prompt: [[3]] is three tokens, [[ ]] the rest of a block")
	cmd.Flags().BoolVar(&showSteps, "show-steps", false, "show every pass on standard error: in place on a terminal, else a line each")
	cmd.Flags().StringVar(&traceFile, "trace", "", "write every pass as a JSON line to `file`, for wf replay")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing trace file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object instead of text")
	return cmd
}

// generation is what --json prints.
type generation struct {
	Model     string  `json:"model"`
	PromptIDs []int32 `json:"prompt_ids"`
	*diffusion.Result
}

// answer collects the settled text, and shows it as it comes.
type answer struct {
	strings.Builder
	out  io.Writer
	mute bool // shows nothing
	held bool // shows all at its end: until then the passes have the terminal
	err  error
}

func (a *answer) add(text string) {
	a.WriteString(text)
	if !a.held {
		a.show(text)
	}
}

// end finishes the last line, so that a shell prompt starts on its own.
func (a *answer) end() error {
	if a.held {
		a.show(a.String())
	}
	if a.Len() > 0 && !strings.HasSuffix(a.String(), "\n") {
		a.show("\n")
	}
	return a.err
}

func (a *answer) show(text string) {
	if !a.mute && a.err == nil {
		_, a.err = io.WriteString(a.out, text)
	}
}
