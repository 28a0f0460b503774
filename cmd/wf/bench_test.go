package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/infer/synthetic"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64((i*37)%100 + 1) // 1 to 100, shuffled
	}
	for _, test := range []struct {
		x    []float64
		p    float64
		want float64
	}{
		{hundred, 0.50, 50}, {hundred, 0.95, 95}, {hundred, 0.99, 99}, {hundred, 1, 100},
		{[]float64{3, 1, 2}, 0.50, 2}, {[]float64{3, 1, 2}, 0.95, 3}, {[]float64{2, 1}, 0.50, 1}, {[]float64{7}, 0.01, 7}, {nil, 0.5, 0},
	} {
		if got := percentile(test.x, test.p); got != test.want {
			t.Errorf("percentile(%v, %v) = %v, want %v", test.x, test.p, got, test.want)
		}
	}
	if hundred[0] != 1 || hundred[1] != 38 {
		t.Error("percentile sorted its argument")
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of four is %v", got)
	}
	if mean, deviation := meanAndDeviation([]float64{2, 4, 4, 4, 5, 5, 7, 9}); mean != 5 || math.Abs(deviation-math.Sqrt(32.0/7)) > 1e-12 {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
}

func TestSweepFlag(t *testing.T) {
	for text, want := range map[string][]float32{
		"threshold=0.5:0.95":    {0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95},
		"threshold=0.1:0.3:0.1": {0.1, 0.2, 0.3},
		"threshold=0:1:0.4":     {0, 0.4, 0.8},
		"threshold=0.7:0.7":     {0.7},
	} {
		var s sweep
		if err := s.Set(text); err != nil || !slices.Equal(s.thresholds, want) {
			t.Errorf("%s: %v (%v), want %v", text, s.thresholds, err, want)
		}
	}
	for _, text := range []string{"", "0.5:0.9", "threshold=0.5", "threshold=0.9:0.5", "threshold=0:1:0", "threshold=0:2", "threshold=0:1:-1", "threshold=0:1:1e-9",
		"threshold=NaN:1", "threshold=0:1:0.1:0.1", "top_k=1:2"} {
		if err := new(sweep).Set(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// runBench runs wf bench on the demonstration model and returns standard output.
func runBench(t *testing.T, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(append([]string{"-q", "bench"}, args...), nil, &out, &errs); status != 0 {
		t.Fatalf("status %d: %s", status, &errs)
	}
	return out.Bytes()
}

// TestBenchRows: every row is there, says what it ran on, and its figures follow from its samples.
func TestBenchRows(t *testing.T) {
	text := runBench(t, "-p", "4,16", "-n", "2", "-d", "0,64", "-r", "2", "-t", "1,2", "-o", "jsonl")
	var tests []string
	answers, cost := 0, diffusion.PassCost
	costOf := map[string]float64{"pp4": cost(4, 1), "pp16": cost(16, 1), "tg2": cost(1, 1), "step32": cost(32, 32), "step8": cost(8, 8), "step16": cost(16, 16),
		"commit32": cost(32, 1)}
	for line := range bytes.Lines(text) {
		var r struct {
			passRow
			TokensPerStep float64 `json:"tokens_per_step"`
			P50           float64 `json:"block_p50_ms"`
			P99           float64 `json:"block_p99_ms"`
			Answers       int
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Model != "wf-tiny" || r.Kernel == "" || r.Threads < 1 || r.Threads > 2 || r.Size == 0 || r.Params < 3e6 {
			t.Errorf("the row does not say what it ran on: %s", line)
		}
		if r.Test == "answers" {
			if answers++; r.TokensPerStep < 1 || r.P50 <= 0 || r.P99 < r.P50 || r.Answers != len(sampleQuestions) {
				t.Errorf("answers: %s", line)
			}
			continue
		}
		if tests = append(tests, r.Test); r.Test == "load" {
			if len(r.Samples) != 1 || r.MedianMS <= 0 {
				t.Errorf("load: %s", line)
			}
			continue
		}
		if len(r.Samples) != 2 || r.Tokens == 0 {
			t.Fatalf("samples: %s", line)
		}
		if want := float64(r.Samples[0]+r.Samples[1]) / 2e6; math.Abs(r.MedianMS-want) > 1e-6*math.Abs(want) || math.Abs(r.MedianTS*r.MedianMS-1000*float64(r.Tokens)) > 1e-3 {
			t.Errorf("median of %v is not %v ms, %v tokens/s", r.Samples, r.MedianMS, r.MedianTS)
		}
		want, isPass := costOf[strings.TrimSuffix(r.Test, " @ d64")]
		if r.AutoCost != want || r.Cost > 0 != isPass {
			t.Errorf("the cost to mode auto is %v, want %v: %s", r.AutoCost, want, line)
		}
	}
	var want []string
	for range 2 {
		shallow := []string{"pp4", "pp16", "tg2", "step32", "head32", "step8", "step16", "commit32", "greedy32"}
		want = append(append(want, "load"), shallow...)
		for _, name := range shallow {
			want = append(want, name+" @ d64")
		}
	}
	if !slices.Equal(tests, want) || answers != 2 {
		t.Errorf("rows %v and %d of answers, want %v and 2", tests, answers, want)
	}
}

// TestBenchPeak: a row's shares and its cost follow from what it does, what the machine can do and how long it took. The demonstration model has 3,145,728 ternary
// weights and a BF16 head of 1024 x 256, which is float work.
func TestBenchPeak(t *testing.T) {
	machine := &limits{ReadGBs: 2, Peaks: []kernel.Peak{{Kernel: kernel.Name(), Integer: true, GMACs: 4}, {Kernel: kernel.Name(), GMACs: 1}, {Kernel: "other", GMACs: 9}}}
	s, err := new(modelFlags).load(&environment{quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	layers, head := weightWork(s)
	if want := (work{integer: 3145728, bytes: 3145728 / 4}); layers != want {
		t.Errorf("layers cost %+v, want %+v", layers, want)
	}
	if want := (work{float: 1024 * 256, bytes: 1024 * 256 * 2}); head != want {
		t.Errorf("the head costs %+v, want %+v", head, want)
	}
	test := passTest{tokens: 20, calls: 2, rows: 10, logits: 1, samples: []time.Duration{time.Second, 2 * time.Second}, machine: []*limits{machine, machine}}
	r := test.row(subject{}, 0, work{integer: 1e8, bytes: 1e9}, work{float: 5e7, bytes: 1e8})
	// At the peak: 2 * (1e9/4e9 + 5e7/1e9) = 0.6 s. Reading: 2 * 1.1e9/2e9 = 1.1 s. Of 1 s and of 2 s, in the middle 3/4.
	if math.Abs(r.OfPeak-0.45) > 1e-12 || math.Abs(r.OfRead-0.825) > 1e-12 || r.PeakGMACs != 4 || r.ReadGBs != 2 || r.MedianTS != 20/1.5 {
		t.Errorf("%+v", r)
	}
	// Two passes a sample that take 1/2 and 1/4 of the unit's time, round by round, which costs 1000.
	test.unit, test.auto = &passTest{auto: 1000, samples: []time.Duration{time.Second, 4 * time.Second}}, 300
	if r := test.row(subject{}, 0, work{}, work{}); r.Cost != 375 || r.AutoCost != 300 {
		t.Errorf("a pass costs %v and %v, want 375 and 300", r.Cost, r.AutoCost)
	}
	if out := string(runBench(t, "-p", "4", "-n", "0", "-r", "1", "--max-tokens", "0", "--peak")); !strings.Contains(out, "| of read |") {
		t.Errorf("no shares in\n%s", out)
	}
}

// TestBenchSweep: a row for each threshold, with accuracy; a lower threshold never takes more steps a block.
func TestBenchSweep(t *testing.T) {
	eval := filepath.Join(t.TempDir(), "eval.jsonl")
	lines, err := os.ReadFile(tinydlm + "eval.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(eval, bytes.Join(bytes.SplitAfterN(lines, []byte("\n"), 13)[:12], nil), 0o644); err != nil {
		t.Fatal(err)
	}
	text := runBench(t, "-p", "0", "-n", "0", "-r", "1", "--eval", eval, "--sweep", "threshold=0.1:0.9:0.8", "-o", "csv")
	_, table, _ := strings.Cut(string(text), "\n\n")
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil || len(rows) != 3 || !slices.Equal(rows[0], answerColumns) {
		t.Fatalf("%v: %v", err, rows)
	}
	column := func(row int, name string) string { return rows[row][slices.Index(answerColumns, name)] }
	if column(1, "threshold") != "0.1" || column(2, "threshold") != "0.9" || column(1, "answers") != "12" {
		t.Errorf("rows %v", rows)
	}
	if column(2, "exact") == "" || column(2, "exact") == "0" {
		t.Errorf("a share of %q of the questions is answered right at threshold 0.9", column(2, "exact"))
	}
	if column(1, "steps_per_block") > column(2, "steps_per_block") {
		t.Errorf("%s steps a block at threshold 0.1, %s at 0.9", column(1, "steps_per_block"), column(2, "steps_per_block"))
	}
}

// TestBenchFormats: all four, and the tables of csv and md have the same rows.
func TestBenchFormats(t *testing.T) {
	v := 0.5
	r := &benchReport{
		Passes:  []passRow{{subject: subject{Model: "m", Kernel: "k", Threads: 2, Test: "pp8"}, Tokens: 8, MedianMS: 2, MedianTS: 4000, ReadGBs: 10, Cost: 250, AutoCost: 256}},
		Answers: []answerRow{{subject: subject{Model: "m", Kernel: "k", Threads: 2, Test: "answers"}, Answers: 3, Exact: &v}},
	}
	for format, want := range map[string][]string{
		"md":    {"| m | 0 B | 0.00 M | k | 2 | pp8 | 2.00 | 4000.00 |", "| the model's | 3 | 0 |", "50.0 %", "| of read | cost | auto's cost |", "| 250 | 256 |"},
		"csv":   {"m,0,0,k,2,pp8,0,8,2,4000,", ",10,250,256\n", "m,0,0,k,2,answers,,3,0,", ",0.5\n"},
		"json":  {`"test": "pp8"`, `"exact": 0.5`},
		"jsonl": {`"test":"pp8"`, `"exact":0.5`},
	} {
		var b bytes.Buffer
		if err := r.print(&b, format); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%s lacks %q:\n%s", format, text, &b)
			}
		}
		if err := r.print(failing{}, format); err == nil {
			t.Errorf("%s: a write that fails is no error", format)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestSyntheticCheckpointConverts: each shape, made small, goes the whole way from checkpoint to logits; the ternary ones as I2_S.
func TestSyntheticCheckpointConverts(t *testing.T) {
	for _, s := range synthetic.Shapes {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			s.Layers, s.Hidden, s.FeedForward, s.Heads, s.KVHeads, s.HeadDim, s.Vocab, s.Context = 1, 128, 256, 2, 1, 64, 10000, 64
			dir := t.TempDir()
			if _, err := writeCheckpoint(t.Context(), dir, s, false); err != nil {
				t.Fatal(err)
			}
			if _, err := writeCheckpoint(t.Context(), dir, s, false); exitStatus(err) != exitBusy {
				t.Errorf("writing it again: %v", err)
			}
			m := loadModel(t, convertTo(t, dir, convert.Options{Type: s.Type.String()}), infer.Options{Threads: 1, Warn: func(text string) { t.Error(text) }})
			if c := m.Config(); c.Hidden != s.Hidden || c.Activation != s.Activation {
				t.Errorf("the model became %+v", c)
			}
			logitsOf(t, m, []int32{1, 2, 3}, infer.Mask{})
		})
	}
}
