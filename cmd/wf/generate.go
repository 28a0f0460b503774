package main

import (
	"bufio"
	"context"
	"encoding/json"
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
	var trace string
	var asJSON, force bool
	cmd := &cobra.Command{
		Use:        "generate [PROMPT | -p PROMPT | -f FILE | - | --token-ids IDS]",
		Short:      "Answer a prompt",
		SuggestFor: []string{"run", "complete"},
		Long: `Answer a prompt: text on standard output as it settles, a timing report on standard error.

A diffusion model fills in a block of masked positions over several passes; any other model is decoded token by token. The file says which it is. The
model's chat template is put around the prompt unless --raw.`,
		Example: `  wf generate "What is the capital of France?"
  wf generate -m model-I2_S.gguf -n 200 --temp 0.7 -f prompt.txt
  echo "Count to ten." | wf generate --threshold 0.7 --trace passes.jsonl`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := m.load(env)
			if err != nil {
				return err
			}
			defer s.close()
			ids, err := p.encode(env, s, args)
			if err != nil {
				return err
			}
			o := d.options(env, &m, s)
			text := &answer{stream: !asJSON, out: env.stdout}
			o.OnText = text.add
			finish, err := traceTo(cmd.Context(), trace, &o, disk.CreateOptions{Force: force, Inputs: m.inputs()})
			if err != nil {
				return err
			}
			r, err := diffusion.Generate(cmd.Context(), s.model, ids, o)
			if err := text.end(); err != nil {
				return err
			}
			if err := finish(err); err != nil {
				return err
			}
			if asJSON {
				return env.writeJSON(generation{s.name, ids, r.IDs, text.String(), r.FinishReason, r})
			}
			env.timing(r)
			return nil
		},
	}
	m.bind(cmd)
	p.bind(cmd)
	d.bind(cmd)
	cmd.Flags().StringVar(&p.system, "system", "", "system message before the prompt, where the template has one")
	cmd.Flags().StringVar(&trace, "trace", "", "write every pass as a JSON line to `file`")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing trace file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object instead of text")
	return cmd
}

// generation is what --json prints.
type generation struct {
	Model        string            `json:"model"`
	PromptIDs    []int32           `json:"prompt_ids"`
	NewIDs       []int32           `json:"new_ids"`
	Text         string            `json:"text"`
	FinishReason string            `json:"finish_reason"`
	Report       *diffusion.Result `json:"report"`
}

// answer collects the settled text, and shows it as it comes.
type answer struct {
	strings.Builder
	stream bool
	out    io.Writer
	err    error
}

func (a *answer) add(text string) {
	a.WriteString(text)
	if a.stream && a.err == nil {
		_, a.err = io.WriteString(a.out, text)
	}
}

// end finishes the last line, so that a shell prompt starts on its own.
func (a *answer) end() error {
	if a.stream && a.err == nil && a.Len() > 0 && !strings.HasSuffix(a.String(), "\n") {
		_, a.err = io.WriteString(a.out, "\n")
	}
	return a.err
}

// traceTo makes o write its events to a file. finish completes the file, or removes it if the generation failed.
func traceTo(ctx context.Context, path string, o *diffusion.Options, create disk.CreateOptions) (finish func(error) error, err error) {
	if path == "" {
		return func(err error) error { return err }, nil
	}
	file, err := disk.Create(path, create)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriter(file)
	lines := json.NewEncoder(buffered)
	var failed error
	o.OnEvent = func(e diffusion.Event) {
		if failed == nil {
			failed = lines.Encode(e)
		}
	}
	return func(err error) error {
		defer file.Abort()
		if err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
		return file.Commit(ctx)
	}, nil
}
