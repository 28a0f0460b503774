package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

func newChatCmd(env *environment) *cobra.Command {
	var template, load string
	var noHistory bool
	c := &chat{env: env}
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Talk to a model",
		Long: `Talk to a model: each line is a message, and the model sees all of the conversation.

A message of several lines begins and ends with """, or has a backslash at the end of each line but the last; pasted lines stay one message. /help
lists the commands. ctrl-C stops an answer; at an empty prompt twice, or ctrl-D once, it ends the chat. Lines can be recalled with the arrow keys, in
later chats too.

If standard input is no terminal, its lines are the messages and the answers are all that standard output gets. See docs/chat.md.`,
		Example: `  wf chat
  wf chat -m model-I2_S.gguf --system "Answer in one sentence." --show-steps
  echo "What is the capital of France?" | wf chat`,
		Args: positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.s, err = c.model.load(env); err != nil {
				return err
			}
			defer c.s.close()
			if template != "" {
				if err := c.s.tokenizer.SetChatTemplate(template); err != nil {
					return fmt.Errorf("--chat-template: %w", err)
				}
			}
			if _, err := c.prompt("?"); err != nil { // no template, or one without a place for the system message
				return err
			}
			c.flags = cmd.Flags()
			if load != "" {
				if err := c.load(load, c.flags.Changed); err != nil {
					return err
				}
			}
			finish := c.open(noHistory)
			defer finish()
			return c.run(cmd.Context())
		},
	}
	c.model.bind(cmd)
	c.decode.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&c.System, "system", "", "system message before the conversation, where the template has one")
	f.StringVar(&template, "chat-template", "", "chat template instead of the file's: chatml, llama-3, bitnet, or Jinja `source`")
	f.StringVar(&load, "load", "", "go on with the conversation in `file`, which /save wrote")
	f.BoolVar(&c.showSteps, "show-steps", false, "show every pass on standard error: in place on a terminal, else a line each")
	f.BoolVar(&noHistory, "no-history", false, "neither read nor keep what is typed")
	return cmd
}

// chat is a conversation with a model.
type chat struct {
	conversation
	env       *environment
	model     modelFlags
	decode    decodeFlags
	flags     *pflag.FlagSet // that /set changes
	s         *session
	file      string // that /save writes without being told
	showSteps bool
	lines     lineSource
	typed     bool // by a person: problems are reported, and the chat goes on

	last      *diffusion.Result // of the last answer; nil before the first
	positions int               // of the conversation up to the end of it
	kept      kept
}

// open chooses where lines come from.
func (c *chat) open(noHistory bool) (finish func()) {
	in, out := keyboard(c.env.stdin), drawable(c.env.stderr)
	if out == nil {
		out = drawable(c.env.stdout)
	}
	c.typed = terminal(c.env.stdin)
	if in == nil || out == nil {
		p := pipe{Reader: bufio.NewReader(strings.NewReader(""))}
		if c.env.stdin != nil {
			p.Reader.Reset(c.env.stdin)
		}
		if c.typed {
			p.prompts = c.env.stderr
		}
		c.lines = p
		return func() {}
	}
	h := &history{}
	if !noHistory {
		kept, err := openHistory()
		if err == nil {
			h = kept
		} else {
			c.env.note("what you type is not kept: " + err.Error())
		}
	}
	c.lines = newEditor(in, out, h)
	c.env.note("chat with " + c.s.name + "; /help lists commands, ctrl-D ends")
	return h.close
}

// run answers messages until there are no more.
func (c *chat) run(ctx context.Context) error {
	again := false // ctrl-C was typed at the prompt before this one
	for {
		text, err := c.read(ctx)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errInterrupt) && again:
			return nil
		case errors.Is(err, errInterrupt):
			again = true
			c.env.note("ctrl-C again, or ctrl-D, ends the chat")
			continue
		case errors.Is(err, errCleared):
			again = false
			continue
		case fault.Code(err) == "IO_ERROR": // the terminal has gone
			return err
		case err == nil && strings.TrimSpace(text) == "":
			continue
		}
		again = false
		if err == nil {
			if command, ok := strings.CutPrefix(text, "/"); ok {
				err = c.command(ctx, command)
			} else {
				err = c.say(ctx, text)
			}
		}
		switch {
		case errors.Is(err, errQuit):
			return nil
		case err == nil:
		case !c.typed || ctx.Err() != nil || errors.Is(err, errOutput):
			return err
		default:
			for _, problem := range problems(err) {
				fmt.Fprintln(c.env.stderr, errorLine(problem))
			}
		}
	}
}

const (
	prompt       = ">>> "
	promptGoesOn = "... "
	block        = `"""`
)

// read reads a message: a line, lines that end in a backslash and the one after them, or what stands between two block marks.
func (c *chat) read(ctx context.Context) (string, error) {
	line, err := readLine(ctx, c.lines, prompt)
	if err != nil {
		return "", err
	}
	mark := `\`
	line, inBlock := strings.CutPrefix(line, block)
	if inBlock {
		mark = block
	}
	var text strings.Builder
	for {
		part, marked := strings.CutSuffix(line, mark)
		text.WriteString(part)
		if marked == inBlock { // a mark ends a block, and its absence lines that go on
			break
		}
		if text.WriteByte('\n'); text.Len() > maxPromptBytes {
			return "", fault.New("PROMPT_TOO_LONG", "a message of more than %d bytes", maxPromptBytes)
		}
		if line, err = readLine(ctx, c.lines, promptGoesOn); err != nil {
			return "", unfinished(err)
		}
	}
	if inBlock {
		return strings.Trim(text.String(), "\n"), nil
	}
	return text.String(), nil
}

// unfinished is what the end of the lines, or ctrl-C, means in the middle of a message.
func unfinished(err error) error {
	switch {
	case errors.Is(err, errInterrupt):
		return errCleared
	case err == io.EOF:
		return usagef(`standard input ends in a message; wanted %s, or a line without a backslash at its end`, block)
	}
	return err
}

// prompt returns the ids of the conversation with one more message.
func (c *chat) prompt(text string) ([]int32, error) {
	turns := append(c.turns(), tokenizer.Message{Role: "user", Content: text})
	if c.System != "" {
		turns = append([]tokenizer.Message{{Role: "system", Content: c.System}}, turns...)
	}
	return c.s.tokenizer.Chat(turns, true)
}

// errOutput says that nobody can see the answers any more.
var errOutput = errors.New("standard output")

// say answers a message. What has come of an answer that is stopped stays in the conversation.
func (c *chat) say(parent context.Context, text string) error {
	ids, err := c.prompt(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	if c.typed {
		defer c.env.onInterrupt(cancel)()
	}
	o := c.decode.options(c.env, &c.model, c.s)
	answer := &answer{out: c.env.forReading()}
	var watched *steps
	if c.showSteps {
		header, err := c.s.recording(ids, o)
		if err != nil {
			return err
		}
		watched = c.env.showSteps(ctx, header, c.s.tokenizer.Text)
		answer.held = watched.holds()
	}
	o.OnText, o.OnEvent = answer.add, watched.event
	mask := o.Mask(c.s.model.Config())
	o.Prefix = c.kept.shared(mask, ids)
	r, err := c.decoded(ctx, ids, o)
	watched.stop()
	if err := answer.end(); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	if r != nil {
		c.last, c.positions = r, len(ids)+len(r.IDs)
		if answer.Len() > 0 {
			c.Messages = append(c.Messages, message{"user", text}, message{"assistant", answer.String()})
		}
	}
	if err != nil && ctx.Err() != nil && parent.Err() == nil {
		c.env.note("stopped")
		return nil
	}
	return err
}

// decoded runs the decoder and keeps of it what the next answer can begin with.
func (c *chat) decoded(ctx context.Context, ids []int32, o diffusion.Options) (*diffusion.Result, error) {
	d, err := diffusion.NewDecoder(c.s.model, ids, o)
	if err != nil {
		return nil, err
	}
	r, err := d.Run(ctx, c.s.model)
	c.kept.mask = o.Mask(c.s.model.Config())
	c.kept.ids, c.kept.pages = d.Prefix()
	return r, err
}

// kept is the beginning of the conversation as the model computed it, so that the next answer need not.
type kept struct {
	mask  infer.Mask
	ids   []int32
	pages []*infer.Page
}

// shared returns the pages of what ids begin with, in whole units.
func (k *kept) shared(mask infer.Mask, ids []int32) []*infer.Page {
	if mask != k.mask {
		return nil
	}
	n := 0
	for n < min(len(ids), len(k.ids)) && ids[n] == k.ids[n] {
		n++
	}
	unit := diffusion.PrefixUnit(mask)
	return slices.Clone(k.pages[:n/unit*unit/infer.PagePositions])
}
