package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/show"
	"golang.org/x/term"
)

// replayPace is how long a pass stands at speed 1.
const replayPace = 250 * time.Millisecond

func newReplayCmd(env *environment) *cobra.Command {
	var m modelFlags
	var html string
	var force bool
	r := replay{env: env}
	cmd := &cobra.Command{
		Use:   "replay TRACE | -",
		Short: "Watch a recorded answer",
		Long: `Watch an answer that wf generate --trace recorded: in place on a terminal, else a line for each pass.

With --step each key shows the next pass, b or the left arrow the one before, q ends. A trace has all that it takes but for those of an older wf and of
other programs, which have no texts: -m MODEL supplies them, else ids are shown. See docs/chat.md.`,
		Example: `  wf generate "What is the capital of France?" --trace passes.jsonl && wf replay passes.jsonl
  wf replay trace.jsonl --speed 0.5
  wf replay trace.jsonl --html trace.html   # one file that any browser plays, without wf and without the network`,
		Args:              positional(cobra.ExactArgs(1)),
		ValidArgsFunction: filesEnding("jsonl"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(r.speed >= 0.01 && r.speed <= 100) {
				return usagef("--speed %v; wanted 0.01 to 100", r.speed)
			}
			trace, err := env.readTrace(args[0])
			if err != nil {
				return err
			}
			var other func(id int32) string
			if trace.Header.Version == 0 && m.path != "" {
				s, err := m.load(env)
				if err != nil {
					return err
				}
				defer s.close()
				other = s.tokenizer.Text
			}
			env.note(about(trace))
			if html != "" {
				return writeReplay(cmd.Context(), html, disk.CreateOptions{Force: force, Inputs: args}, filepath.Base(args[0]), trace, trace.Text(other))
			}
			return r.play(cmd.Context(), trace, other)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&m.path, "model", "m", "", "GGUF `file` whose texts a trace without texts is shown in")
	f.Float64Var(&r.speed, "speed", 1, "how fast: 1 is four passes a second, 2 twice as many")
	f.BoolVar(&r.step, "step", false, "wait for a key behind each pass")
	f.StringVar(&html, "html", "", "write one HTML `file` that plays the trace, instead")
	f.BoolVar(&force, "force", false, "replace an existing HTML file")
	return cmd
}

// readTrace reads a trace from a file, or from standard input.
func (env *environment) readTrace(path string) (*show.Trace, error) {
	if path == "-" {
		if env.stdin == nil {
			return nil, usagef("standard input is closed; wanted a trace there")
		}
		trace, err := show.ReadTrace(env.stdin)
		if err != nil && fault.Code(err) == "" {
			err = fault.New("IO_ERROR", "%w", err)
		}
		return trace, inFile("standard input", err)
	}
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	trace, err := show.ReadTrace(io.NewSectionReader(f, 0, f.Size()))
	return trace, inFile(path, err)
}

// about says in one line what a trace is of.
func about(t *show.Trace) string {
	text := fmt.Sprintf("%d events", len(t.Events))
	if h := t.Header; h.Version > 0 {
		text = fmt.Sprintf("%s, mode %s", fault.Quote(h.Model), fault.Quote(h.Mode))
		if h.Threshold != nil {
			text += fmt.Sprintf(", threshold %v", *h.Threshold)
		}
		text += fmt.Sprintf("; %d prompt tokens, %d events", len(h.Prompt), len(t.Events))
	}
	if t.End != nil {
		text += fmt.Sprintf(", %d new tokens, finish %s", t.End.NewTokens, fault.Quote(t.End.Reason))
	}
	return text
}

// replay is how a trace is played.
type replay struct {
	env   *environment
	speed float64
	step  bool
}

func (r *replay) play(ctx context.Context, t *show.Trace, other func(id int32) string) error {
	p := newPicture(r.env.stdout)
	keys := keyboard(r.env.stdin)
	switch {
	case r.step && (p == nil || keys == nil):
		return usagef("--step needs a terminal, to draw on and to type at")
	case p == nil:
		text := t.Text(other)
		for _, e := range t.Events {
			if _, err := fmt.Fprintln(r.env.stdout, show.Line(e, text)); err != nil {
				return fault.New("IO_ERROR", "standard output: %w", err)
			}
		}
		return ctx.Err()
	}
	defer p.screen.Leave()
	changes, stop := resized()
	defer stop()
	if r.step {
		return stepThrough(ctx, t, other, p, keys, changes)
	}
	v := t.View(other)
	for i, e := range t.Events {
		v.Apply(e)
		p.draw(v)
		if i < len(t.Events)-1 && !p.stand(ctx, v, time.Duration(float64(replayPace)/r.speed), changes) {
			return ctx.Err()
		}
	}
	return nil
}

// stepThrough goes from pass to pass as keys say. The terminal is raw meanwhile: a key need not be followed by Enter.
func stepThrough(ctx context.Context, t *show.Trace, other func(id int32) string, p *picture, keys *os.File, changes <-chan os.Signal) error {
	cooked, err := term.MakeRaw(int(keys.Fd()))
	if err != nil {
		return fault.New("IO_ERROR", "terminal: %w", err)
	}
	defer term.Restore(int(keys.Fd()), cooked)
	moves := make(chan int)
	go func() {
		defer func() {
			if recover() != nil {
				moves <- 0
			}
		}()
		readMoves(keys, moves)
	}()
	v, shown := t.View(other), 0
	for to := 1; ; {
		if to < shown { // a view knows no way back: the one before is made anew
			v, shown = t.View(other), 0
		}
		for ; shown < to; shown++ {
			v.Apply(t.Events[shown])
		}
		p.draw(v)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changes:
			time.Sleep(settleTime)
		case move := <-moves:
			if to = max(1, to+move); move == 0 || to > len(t.Events) {
				return nil
			}
		}
	}
}

// readMoves turns keys into moves: 1, -1 to go back, 0 to end. It is left behind in a read when the replay ends.
func readMoves(from io.Reader, moves chan<- int) {
	buffer := make([]byte, 64)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			n = copy(buffer, "q")
		}
		for keys := string(buffer[:n]); keys != ""; {
			size, move := 1, 1
			switch {
			case len(keys) >= 3 && keys[:2] == "\x1b[": // an arrow
				size = 3
				if keys[2] == 'D' {
					move = -1
				}
			case keys[0] == 'b':
				move = -1
			case keys[0] == 'q' || keys[0] == 3 || keys[0] == 4: // ctrl-C and ctrl-D are no signals here
				move = 0
			}
			moves <- move
			keys = keys[size:]
		}
	}
}
