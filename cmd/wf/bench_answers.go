package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// sampleQuestions are asked without --eval.
var sampleQuestions = []question{
	{Question: "What is the capital of France?"}, {Question: "What is 12 plus 10?"}, {Question: "Explain I2_S."}, {Question: "Tell me the opposite of left."},
}

// sweep is --sweep threshold=LOW:HIGH[:STEP].
type sweep struct {
	text       string
	thresholds []float32
}

func (s *sweep) String() string { return s.text }
func (s *sweep) Type() string   { return "range" }

func (s *sweep) Set(text string) error {
	const wanted = "wanted threshold=LOW:HIGH[:STEP], 0 to 1, in at most 1000 steps"
	values, ok := strings.CutPrefix(text, "threshold=")
	parts := strings.Split(values, ":")
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("%s", wanted)
	}
	numbers := [3]float64{2: 0.05}
	for i, part := range parts {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil || !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s", wanted)
		}
		numbers[i] = v
	}
	low, high, step := numbers[0], numbers[1], numbers[2]
	if !(step > 0 && low <= high && (high-low)/step <= 1000) {
		return fmt.Errorf("%s", wanted)
	}
	*s = sweep{text: text}
	for i := range int(math.Floor((high-low)/step+1e-9)) + 1 {
		s.thresholds = append(s.thresholds, float32(math.Round((low+float64(i)*step)*1e6)/1e6)) // 0.15, not 0.15000000000000002
	}
	return nil
}

// questions reads the --eval file.
func (b *bench) questions() ([]question, error) {
	if b.eval == "" {
		return sampleQuestions, nil
	}
	return readQuestions(b.eval)
}

// answerRow is what answering all questions in one way came to.
type answerRow struct {
	subject
	Threshold     *float32 `json:"threshold"` // nil: the file's, else the dialect's
	Answers       int      `json:"answers"`
	Tokens        int      `json:"n_tokens"`
	TokensPerS    float64  `json:"tokens_per_second"` // without prefill
	TokensPerStep float64  `json:"tokens_per_step"`
	StepsPerBlock float64  `json:"steps_per_block"`
	FirstBlockMS  float64  `json:"first_block_ms"` // median
	BlockP50      float64  `json:"block_p50_ms"`
	BlockP95      float64  `json:"block_p95_ms"`
	BlockP99      float64  `json:"block_p99_ms"`
	Exact         *float64 `json:"exact"` // share, 0..1; nil without right answers

	tally       tally
	decoding    [][]float64 // seconds by question and round
	blocks      []float64   // ms
	firstBlocks []float64   // ms
}

// addAnswers asks every question in every way in turn, so that a noisy machine disturbs all ways alike, and all of that as often as a test is
// repeated. An answer's time is the median of its rounds.
func (r *benchReport) addAnswers(ctx context.Context, b *bench, s *session, questions []question, env *environment) error {
	ways := []*float32{b.threshold.value}
	if len(b.sweep.thresholds) > 0 {
		ways = nil
		for i := range b.sweep.thresholds {
			ways = append(ways, &b.sweep.thresholds[i])
		}
	}
	rows := make([]answerRow, len(ways))
	for w := range rows {
		rows[w].subject, rows[w].Threshold, rows[w].decoding = b.subject(s), ways[w], make([][]float64, len(questions))
		rows[w].Test = "answers"
	}
	for round := range b.repetitions {
		for i, q := range questions {
			if i%50 == 0 {
				env.note(fmt.Sprintf("%s, %d threads: round %d of %d, question %d of %d", s.name, b.threadsUsed(), round+1, b.repetitions, i+1, len(questions)))
			}
			prompt, err := s.prompt(q.Question)
			if err != nil {
				return err
			}
			for w := range rows {
				o := diffusion.Options{
					Mode: b.mode, Threshold: ways[w], BlockSize: b.block, SubBlockSize: b.subBlock, SubBlockCache: b.subBlockCache,
					MaxTokens: b.maxTokens, Stop: s.tokenizer.Stop(), Text: s.tokenizer.NewStream(),
				}
				if err := rows[w].ask(ctx, s.model, prompt, i, q, o); err != nil {
					return err
				}
			}
		}
	}
	for w := range rows {
		rows[w].finish(b.eval != "")
		r.Answers = append(r.Answers, rows[w])
	}
	return nil
}

// ask times one answer pass by pass. A block's time is that of its denoise steps and its commit.
func (a *answerRow) ask(ctx context.Context, m *infer.Model, prompt []int32, number int, q question, o diffusion.Options) error {
	block, open := 0, -1 // of the last denoise step; the one whose time is being added up
	o.OnEvent = func(e diffusion.Event) {
		if e.Pass > 0 {
			block = e.Block
		}
	}
	d, err := diffusion.NewDecoder(m, prompt, o)
	if err != nil {
		return err
	}
	began, blocks, first, decoding := time.Now(), 0, 0.0, 0.0
	for seg := d.Next(); seg != nil; seg = d.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		passed := time.Now()
		if err := forward(m, seg); err != nil {
			return err
		}
		if err := d.Accept(); err != nil {
			return err
		}
		took := time.Since(passed).Seconds()
		if d.Kind() == diffusion.Prefill {
			continue
		}
		decoding += took
		if d.Kind() == diffusion.DenoiseBlock || d.Kind() == diffusion.DenoiseSubBlock {
			if block != open {
				a.blocks, open, blocks = append(a.blocks, 0), block, blocks+1
			}
			if blocks == 1 {
				first = 1000 * time.Since(began).Seconds()
			}
		}
		if blocks > 0 {
			a.blocks[len(a.blocks)-1] += 1000 * took
		}
	}
	if blocks > 0 {
		a.firstBlocks = append(a.firstBlocks, first)
	}
	if a.decoding[number] = append(a.decoding[number], decoding); len(a.decoding[number]) > 1 {
		return nil // the same answer as in the first round
	}
	a.tally.add(q, d.Result())
	return nil
}

func (a *answerRow) finish(hasAnswers bool) {
	seconds := 0.0
	for _, rounds := range a.decoding {
		seconds += median(rounds)
	}
	a.Answers, a.Tokens = a.tally.asked, a.tally.tokens
	a.TokensPerS = float64(a.Tokens) / seconds
	if len(a.blocks) > 0 {
		a.TokensPerStep = a.tally.tokensPerStep()
		a.StepsPerBlock = float64(a.tally.steps*len(a.decoding[0])) / float64(len(a.blocks))
		a.FirstBlockMS = median(a.firstBlocks)
	}
	a.BlockP50, a.BlockP95, a.BlockP99 = percentile(a.blocks, 0.50), percentile(a.blocks, 0.95), percentile(a.blocks, 0.99)
	if hasAnswers {
		share := a.tally.exact()
		a.Exact = &share
	}
}
