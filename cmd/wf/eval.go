package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

func newEvalCmd(env *environment) *cobra.Command {
	var m modelFlags
	var d decodeFlags
	var modes []string
	var junit string
	var limit int
	var asJSON, force bool
	r := evalReport{Modes: []*evaluation{}}
	least := optionalFloat()
	cmd := &cobra.Command{
		Use:        "eval FILE",
		Short:      "Count exact answers to the questions of a file",
		SuggestFor: []string{"evaluate", "score", "accuracy"},
		Long: `Count exact answers to the questions of a file: of all, of each split and of each group, in each mode.

FILE has JSON lines: {"question": "...", "answer": "...", "group": "...", "split": "..."}, the last two if there are any; other members mean nothing. The
question is asked in the model's chat template, if it has one, and the answer is right if its text is the file's, byte for byte.

--min makes it a check: below it in any mode, wf ends with status 3 and EVAL_BELOW_MIN. --junit writes what CI systems show.`,
		Example: `  wf eval eval.jsonl
  wf eval -m model-I2_S.gguf eval.jsonl --min 0.9 --junit eval.xml
  wf eval -m model-I2_S.gguf eval.jsonl --modes iterative,greedy --limit 100 --json`,
		Args:              positional(cobra.ExactArgs(1)),
		ValidArgsFunction: filesEnding("jsonl"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.File, r.Min = args[0], least.value; r.Min != nil && !(*r.Min >= 0 && *r.Min <= 1) {
				return usagef("--min %v; wanted 0 to 1", *r.Min)
			}
			if len(modes) > 0 && d.mode != "" {
				return usagef("--modes and --decode-mode: give one of them")
			}
			if limit < 0 {
				return usagef("--limit %d; wanted 0 or more", limit)
			}
			questions, err := readQuestions(r.File)
			if err != nil {
				return err
			}
			if limit > 0 {
				questions = questions[:min(limit, len(questions))]
			}
			var out *disk.Output
			if junit != "" {
				if out, err = disk.Create(junit, disk.CreateOptions{Force: force, Inputs: append(m.inputs(), r.File)}); err != nil {
					return err
				}
				defer out.Abort()
			}
			s, err := m.load(env)
			if err != nil {
				return err
			}
			defer s.close()
			r.Model = s.name
			if len(modes) == 0 {
				modes = []string{d.mode}
			}
			for _, d.mode = range modes {
				e, err := s.evaluate(cmd.Context(), questions, d.options(env, &m, s), env.note)
				if err != nil {
					return fmt.Errorf("%s: %w", r.File, err)
				}
				r.Modes = append(r.Modes, e)
			}
			if out != nil {
				if err := r.writeJUnit(out); err != nil {
					return err
				}
				if err := out.Commit(cmd.Context()); err != nil {
					return err
				}
			}
			show := r.print
			if asJSON {
				show = func(io.Writer) error { return env.writeJSON(&r) }
			}
			if err := show(env.stdout); err != nil {
				return err
			}
			return r.check()
		},
	}
	m.bind(cmd)
	d.bind(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&modes, "modes", nil, "evaluate in each of these decode modes, instead of in --decode-mode")
	f.Var(&least, "min", "share of exact answers, 0 to 1, below which wf fails in any mode")
	f.IntVar(&limit, "limit", 0, "ask the first so many questions (0: all)")
	f.StringVar(&junit, "junit", "", "write JUnit XML to `file`")
	f.BoolVar(&force, "force", false, "replace an existing JUnit file")
	f.BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	cmd.RegisterFlagCompletionFunc("modes", cobra.FixedCompletions(decodeModes, cobra.ShellCompDirectiveNoFileComp))
	f.Lookup("max-tokens").Usage = "new tokens of an answer at most (0: twice those of the right answer, at least 96)"
	return cmd
}

// evalReport is what --json prints.
type evalReport struct {
	Model string        `json:"model"`
	File  string        `json:"file"`
	Min   *float32      `json:"min"` // nil: none was asked for
	Modes []*evaluation `json:"modes"`
}

// evaluation is what came of the questions in one mode.
type evaluation struct {
	tally
	mode           string // as it was decoded, such as "adaptive 0.9 +cache"
	seconds        float64
	splits, groups map[string]*tally
	wrong          []wrongAnswer
}

type wrongAnswer struct {
	Line     int    `json:"line"` // of the file
	Question string `json:"question"`
	Wanted   string `json:"wanted"`
	Got      string `json:"got"`
}

// evaluate asks every question.
func (s *session) evaluate(ctx context.Context, questions []question, o diffusion.Options, note func(string)) (*evaluation, error) {
	e := &evaluation{splits: map[string]*tally{}, groups: map[string]*tally{}, wrong: []wrongAnswer{}}
	var err error
	if e.mode, err = modeName(s.model.Config(), o); err != nil {
		return nil, err
	}
	began, told := time.Now(), time.Now()
	for i, q := range questions {
		if now := time.Now(); now.Sub(told) > 5*time.Second {
			told = now
			note(fmt.Sprintf("%s: %d of %d questions, %.1f %% exact", e.mode, i, len(questions), 100*e.exact()))
		}
		r, err := s.ask(ctx, q, o)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", q.line, err)
		}
		if !e.add(q, r) {
			e.wrong = append(e.wrong, wrongAnswer{q.line, q.Question, q.Answer, r.Text})
		}
		count(e.splits, q.Split, q, r)
		count(e.groups, q.Group, q, r)
		o.Warn = nil // once is enough
	}
	e.seconds = time.Since(began).Seconds()
	return e, nil
}

func count(parts map[string]*tally, name string, q question, r *diffusion.Result) {
	if name == "" {
		return
	}
	if parts[name] == nil {
		parts[name] = &tally{}
	}
	parts[name].add(q, r)
}

// modeName is the mode with the threshold and cache that it has: the names of testdata/tinydlm/golden/scores.json.
func modeName(c *infer.Config, o diffusion.Options) (string, error) {
	r, err := o.Resolved(c)
	if err != nil {
		return "", err
	}
	name := r.Mode
	if r.Threshold != nil && r.Mode != names.ModeGreedy {
		name += fmt.Sprintf(" %v", *r.Threshold)
	}
	if r.SubBlockCache {
		name += " +cache"
	}
	return name, nil
}

// check returns EVAL_BELOW_MIN for the mode with the fewest exact answers, if those are too few.
func (r *evalReport) check() error {
	if r.Min == nil {
		return nil
	}
	worst := slices.MinFunc(r.Modes, func(a, b *evaluation) int { return a.right - b.right })
	if !r.below(worst) {
		return nil
	}
	return fault.New("EVAL_BELOW_MIN", "%s: %s: mode %s gives %d of %d answers exactly, a share of %.4f; --min wants %v", r.Model, r.File, worst.mode,
		worst.right, worst.asked, worst.exact(), *r.Min)
}

// below reports whether a mode has too few exact answers. The shares are compared as they are written, so that 0.9 of 10 questions is 9.
func (r *evalReport) below(e *evaluation) bool { return r.Min != nil && float32(e.exact()) < *r.Min }

// scored is a tally as JSON.
type scored struct {
	Questions int     `json:"questions"`
	Right     int     `json:"right"`
	Exact     float64 `json:"exact"` // share, 0 to 1
}

func (t *tally) scored() scored { return scored{t.asked, t.right, t.exact()} }

// MarshalJSON writes the shares beside the counts.
func (e *evaluation) MarshalJSON() ([]byte, error) {
	parts := func(of map[string]*tally) map[string]scored {
		all := map[string]scored{}
		for name, t := range of {
			all[name] = t.scored()
		}
		return all
	}
	return json.Marshal(struct {
		Mode string `json:"mode"`
		scored
		TokensPerStep float64           `json:"tokens_per_step"`
		Seconds       float64           `json:"seconds"`
		Splits        map[string]scored `json:"splits"`
		Groups        map[string]scored `json:"groups"`
		Wrong         []wrongAnswer     `json:"wrong"`
	}{e.mode, e.scored(), e.tokensPerStep(), e.seconds, parts(e.splits), parts(e.groups), e.wrong})
}

// parts lists splits, then groups, by name.
func (e *evaluation) parts(each func(kind, name string, t *tally)) {
	for _, kind := range []struct {
		name string
		of   map[string]*tally
	}{{"split", e.splits}, {"group", e.groups}} {
		for _, name := range slices.Sorted(maps.Keys(kind.of)) {
			each(kind.name, name, kind.of[name])
		}
	}
}

func (r *evalReport) print(w io.Writer) error {
	for _, e := range r.Modes {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		line := func(what string, t *tally) {
			fmt.Fprintf(table, "%s\t%d\t%d\t%.1f %%\n", what, t.asked, t.right, 100*t.exact())
		}
		fmt.Fprintf(table, "%s\tquestions\tright\texact\n", e.mode)
		e.parts(func(kind, name string, t *tally) { line(kind+" "+oneLine(name), t) })
		line("all", &e.tally)
		if err := table.Flush(); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%.2f tokens a step, %.1f s\n", e.tokensPerStep(), e.seconds); err != nil {
			return err
		}
	}
	return nil
}
