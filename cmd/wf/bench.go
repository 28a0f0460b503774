package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/infer/synthetic"
)

func newBenchCmd(env *environment) *cobra.Command {
	var b bench
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast models run here",
		Long: `Measure how fast models run here. Flags and the tests pp and tg are those of llama-bench, so that rows can stand side by side:

  load      from the file to a model that is ready, once: checks, weights laid out for the kernel, tokenizer
  ppN       N prompt tokens, logits of the last one
  tgN       N passes of one token each, with logits: the autoregressive step
  stepB     a denoise step: a block of B rows that see each other, logits of all
  stepS     a denoise step over a sub-block of S rows, with the sub-block cache; S doubles, as --decode-mode auto may choose
  headB     the part of stepB that computes the logits: stepB less the same pass without logits, taken in pairs
  commitB   a finished block into the cache, logits of its last row
  greedyB   a block of new tokens by mode greedy: stepB, the choice of a token for every row, commitB

The rows of blocks are there for diffusion models and synthetic ones. Each repetition runs every test once, in turn, so that a noisy
machine disturbs all alike; one round before them does not count. Rows give the median time of a sample and tokens/s as median and as mean ±
standard deviation. @ dN stands behind a test with N positions in the cache before it. The cost of a pass is its time beside that of 32 rows without
logits, in thousandths and by rounds; --decode-mode auto counts with the other, a table in the source, so that its choice does not depend on a clock.

A model that is not synthetic answers questions as well: those of --eval, whose lines have question and answer, or a few of its own. That row has
tokens/s without prefill, tokens a denoise step, steps a block, the median time to the first block's last token, percentiles (nearest rank) of the
time a block takes with its commit, and with --eval the share of exact answers. Each question is asked in every round, and the median of its times
counts. --sweep does it for every threshold.

--peak measures the machine after each sample, with the kernels' own instructions, and adds two columns: the share of a sample's time that its
matrix products would take at the multiply-add peak, and the share that reading each weight once a pass would take at the read bandwidth. Both are
medians over the samples. The weights of a small model stay in the cache, which is faster than memory.

--synthetic runs a model of a published shape with random weights: ` + either(shapeNames()) + `.`,
		Example: `  wf bench                                              # the model that wf carries
  wf bench -m model-I2_S.gguf -p 32,128,512 -n 32
  wf bench --sweep threshold=0.5:0.95 --eval eval.jsonl # speed and accuracy by threshold
  wf bench --synthetic bitnet-2b --peak -o csv          # takes minutes
  wf bench --synthetic bitnet-2b --save 2b-I2_S.gguf    # takes minutes
  wf bench --synthetic bitnet-2b --as-checkpoint ./2b   # takes minutes`,
		Args: positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.validate(); err != nil {
				return err
			}
			if asJSON {
				b.output = "json"
			}
			switch {
			case b.save != "":
				return b.saveModel(cmd.Context(), env)
			case b.checkpoint != "":
				return b.saveCheckpoint(cmd.Context(), env)
			}
			r, err := b.run(cmd.Context(), env)
			if err != nil {
				return err
			}
			return r.print(env.stdout, b.output)
		},
	}
	b.bind(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as -o json")
	return cmd
}

// bench is what to measure. Its modelFlags hold the model and threads of the moment.
type bench struct {
	modelFlags
	models, synthetic     []string
	projection, embedding tensorType
	save, checkpoint      string
	force                 bool
	threadCounts          []int
	prompts, gens, depths []int
	repetitions           int
	output                string
	peak                  bool
	mode                  string
	threshold             optional[float32]
	subBlockCache         bool
	maxTokens             int
	eval                  string
	sweep                 sweep
}

func (b *bench) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&b.models, "model", "m", nil, "GGUF `file`; may be repeated (without it: the small model that wf carries)")
	f.StringArrayVar(&b.synthetic, "synthetic", nil, "a random model of this `shape`; may be repeated")
	b.projection = tensorType{allow: []gguf.Type{gguf.I2_S, gguf.TQ2_0, gguf.TQ1_0, gguf.Q8_0, gguf.F16, gguf.BF16, gguf.F32}}
	f.Var(&b.projection, "type", "type of a synthetic model's projections (as its shape is usually run)")
	f.Var(&b.embedding, "token-embedding-type", "type of a synthetic model's embedding and head (q8_0)")
	f.StringVar(&b.save, "save", "", "write the synthetic model to `file`, and measure nothing")
	f.StringVar(&b.checkpoint, "as-checkpoint", "", "write the synthetic model to `folder` as training leaves it (bf16 safetensors), and measure nothing")
	f.BoolVar(&b.force, "force", false, "replace existing outputs")
	f.IntSliceVarP(&b.threadCounts, "threads", "t", []int{0}, "threads to compute with, one or more (0: as many as the processor quota allows)")
	f.IntSliceVarP(&b.prompts, "n-prompt", "p", []int{8, 32, 128, 512}, "prompt tokens of the pp tests (0: none)")
	f.IntSliceVarP(&b.gens, "n-gen", "n", []int{32}, "passes of the tg tests (0: none)")
	f.IntSliceVarP(&b.depths, "n-depth", "d", []int{0}, "positions in the cache before a test")
	f.IntVarP(&b.repetitions, "repetitions", "r", 5, "samples of each test")
	b.output = "md"
	f.VarP(oneOf(&b.output, "md", "csv", "json", "jsonl"), "output", "o", "md, csv, json or jsonl")
	f.BoolVar(&b.peak, "peak", false, "measure the machine's limits, and print each row's share of them")
	b.threshold = optionalFloat()
	f.Var(oneOf(&b.mode, decodeModes...), "decode-mode", "of the answers: iterative, greedy, adaptive or autoregressive (the file's, else the dialect's)")
	f.Var(&b.threshold, "threshold", "of the answers: take a masked token whose confidence exceeds this, 0 to 1 (the file's, else the dialect's)")
	f.BoolVar(&b.subBlockCache, "sub-block-cache", false, "of the answers: rerun a sub-block alone where that is possible")
	f.IntVar(&b.maxTokens, "max-tokens", 96, "tokens of an answer at most (0: no answers)")
	f.StringVar(&b.eval, "eval", "", "ask the questions in `file`: JSON lines, as of wf eval")
	f.Var(&b.sweep, "sweep", "answer at each threshold: threshold=LOW:HIGH[:STEP]")
	b.bindLoading(cmd)
	cmd.RegisterFlagCompletionFunc("synthetic", cobra.FixedCompletions(shapeNames(), cobra.ShellCompDirectiveNoFileComp))
}

func shapeNames() (all []string) {
	for _, s := range synthetic.Shapes {
		all = append(all, s.Name)
	}
	return all
}

func (b *bench) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, usagef(format, args...))
		}
	}
	for _, list := range [][]int{b.prompts, b.gens, b.depths, b.threadCounts, {b.maxTokens}} {
		check(!slices.ContainsFunc(list, func(n int) bool { return n < 0 || n > maxPositions }), "%v: wanted 0 to %d", list, maxPositions)
	}
	check(b.repetitions > 0, "--repetitions %d: wanted at least 1", b.repetitions)
	check(len(b.sweep.thresholds) == 0 || b.eval != "", "--sweep needs --eval: without right answers, speed means nothing")
	check(b.save == "" && b.checkpoint == "" || len(b.synthetic) == 1, "--save and --as-checkpoint write one model: give one --synthetic")
	check(b.save == "" || b.checkpoint == "", "--save and --as-checkpoint: give one of them")
	for _, name := range b.synthetic {
		_, ok := synthetic.Find(name)
		check(ok, "--synthetic %q: wanted %s%s", name, either(shapeNames()), didYouMean("", name, shapeNames()))
	}
	return errors.Join(errs...)
}

// maxPositions bounds sizes, so that a slip of the finger does not ask for terabytes.
const maxPositions = 1 << 20

// run measures every model with every number of threads.
func (b *bench) run(ctx context.Context, env *environment) (*benchReport, error) {
	if len(b.models)+len(b.synthetic) == 0 {
		b.models = []string{""}
	}
	questions, err := b.questions()
	if err != nil {
		return nil, err
	}
	r := &benchReport{}
	for _, b.threads = range b.threadCounts {
		if err := b.runThreads(ctx, env, r, questions); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// runThreads measures every model with one number of threads.
func (b *bench) runThreads(ctx context.Context, env *environment, r *benchReport, questions []question) (err error) {
	var machine *yardstick
	if b.peak {
		if machine, err = newYardstick(b.threadsUsed()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, machine.close()) }()
	}
	for _, name := range b.synthetic {
		file, err := b.makeSynthetic(env, name)
		if err != nil {
			return err
		}
		began := time.Now()
		s, err := b.loadFile(env, name+"-"+b.syntheticTypes(name).Type.String(), file)
		if err != nil {
			return err
		}
		r.addLoad(b, s, time.Since(began))
		err = r.addPasses(ctx, env, b, s, true, machine)
		if err := errors.Join(err, s.close()); err != nil {
			return err
		}
	}
	for _, b.path = range b.models {
		began := time.Now()
		s, err := b.load(env)
		if err != nil {
			return err
		}
		r.addLoad(b, s, time.Since(began))
		err = r.addPasses(ctx, env, b, s, s.model.Config().Diffusion != nil, machine)
		if err == nil && b.maxTokens > 0 {
			err = r.addAnswers(ctx, b, s, questions, env)
		}
		if err := errors.Join(err, s.close()); err != nil {
			return b.named(err)
		}
	}
	return nil
}

// threadsUsed is how many threads the model of the moment has.
func (b *bench) threadsUsed() int { return cmp.Or(b.threads, runtime.GOMAXPROCS(0)) }

// subject says what a row was measured on.
type subject struct {
	Model   string `json:"model"`
	Size    uint64 `json:"model_size"`     // bytes of all tensors
	Params  uint64 `json:"model_n_params"` // weights
	Kernel  string `json:"kernel"`
	Threads int    `json:"n_threads"`
	Test    string `json:"test"`
}

func (b *bench) subject(s *session) subject {
	on := subject{Model: s.name, Kernel: kernel.Name(), Threads: b.threadsUsed()}
	for _, t := range s.file.Tensors {
		on.Size += t.Size
		on.Params += t.Dims[0] * t.Rows()
	}
	return on
}

func (s subject) fields() []string {
	return []string{s.Model, fmt.Sprint(s.Size), fmt.Sprint(s.Params), s.Kernel, fmt.Sprint(s.Threads), s.Test}
}
