package diffusion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
)

// A sentence of DECODING.md stands above each test that holds it.

const (
	dialectA = names.DialectFastDLLM
	dialectB = names.DialectWrinkleFree
)

// takes returns the size of every take of one kind of event.
func takes(events []Event, event string) (sizes []int) {
	for _, e := range events {
		if e.Event == event {
			sizes = append(sizes, len(e.Take))
		}
	}
	return sizes
}

// halves gives two tokens of probability exactly one half, whatever the position: 7 and 9, the mask token and all others being impossible.
func halves(row []float32, _ uint64) {
	for i := range row {
		row[i] = float32(math.Inf(-1))
	}
	row[7], row[9], row[stubMask] = 2, 2, 50
}

// "every masked position with confidence > θ (strictly ...); if there is none, the single most confident one (ties to the lower position)";
// "at temperature 0 the arg max, ties to the lower id"; "the mask token is never chosen".
func TestThresholdIsStrict(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB} {
		m := newStub(dialect, 8, 4)
		m.logits = halves
		below, at := float32(0.49), float32(0.5)
		o := Options{Mode: names.ModeIterative, MaxTokens: 7, Threshold: &below}
		r, events := recorded(t, m, []int32{1}, o)
		if want := map[string][]int{dialectA: {3, 4}, dialectB: {8}}[dialect]; !slices.Equal(takes(events, "denoise"), want) {
			t.Errorf("%s: θ = 0.49 takes %v, want %v", dialect, takes(events, "denoise"), want)
		}
		if !slices.Equal(r.IDs, []int32{7, 7, 7, 7, 7, 7, 7}) {
			t.Errorf("%s: ids %v, want the lower of two equal ones", dialect, r.IDs)
		}
		o.Threshold = &at
		_, events = recorded(t, m, []int32{1}, o)
		if got := takes(events, "denoise"); !slices.Equal(got, []int{1, 1, 1, 1, 1, 1, 1}) {
			t.Errorf("%s: θ = 0.5 takes %v, want one a pass", dialect, got)
		}
		for i, e := range events {
			if e.Take[0].Position != i+1 || e.Take[0].Confidence != 0.5 {
				t.Errorf("%s: pass %d takes %+v, want the lowest position", dialect, i, e.Take[0])
			}
		}
	}
}

// "θ = 1 takes one token a pass", even where the confidence is 1.
func TestThresholdOneTakesOneTokenAPass(t *testing.T) {
	m := newStub(dialectA, 8, 4)
	m.logits = always(map[int]float32{11: 1000})
	_, events := recorded(t, m, []int32{1}, Options{Threshold: ptr(float32(1)), MaxTokens: 20})
	for _, e := range events {
		if len(e.Take) != 1 || e.Take[0].Confidence != 1 {
			t.Fatalf("%+v", e)
		}
	}
	if n := len(takes(events, "denoise")); n != 7+7+4 {
		t.Errorf("%d denoise steps; want 7 after the prompt, 7 after the next block's first token, and 4 of the third block up to the limit", n)
	}
}

// "Prefill all whole blocks of the prompt ..., also when n0 = B"; "If n0 % B == 0, the token chosen from logits[n0-1] ... is the new block's
// first"; "It begins with what is already known".
func TestPromptAgainstTheBlock(t *testing.T) {
	for _, c := range []struct {
		n0     int
		passes [][2]int // start and rows of the passes before the first take
		known  int      // positions of the first block that are known when its first denoise step begins
	}{
		{1, nil, 1},
		{7, nil, 7},
		{8, [][2]int{{0, 8}}, 1},
		{9, [][2]int{{0, 8}}, 1},
		{15, [][2]int{{0, 8}}, 7},
		{16, [][2]int{{0, 16}}, 1},
	} {
		m := newStub(dialectA, 8, 4)
		r, events := recorded(t, m, iota32(c.n0), Options{MaxTokens: 10})
		if len(r.IDs) != 10 {
			t.Fatalf("prompt of %d: %d new tokens", c.n0, len(r.IDs))
		}
		if aligned := events[0].Event == "next"; aligned != (c.n0%8 == 0) {
			t.Errorf("prompt of %d: first event %+v", c.n0, events[0])
		}
		for i, want := range c.passes {
			if p := m.passes[i]; p.start != want[0] || p.rows != want[1] {
				t.Errorf("prompt of %d: pass %d runs %d rows from %d, want %v", c.n0, i, p.rows, p.start, want)
			}
		}
		first := m.passes[len(c.passes)]
		if first.start != c.n0/8*8 || first.rows != 8 {
			t.Errorf("prompt of %d: first denoise step runs %d rows from %d", c.n0, first.rows, first.start)
		}
		// Only rows of the sub-block's masked positions are asked for, each the one before its position.
		if first.logits[0] != c.known-1 || len(first.logits) != 4-c.known%4 {
			t.Errorf("prompt of %d: rows %v with logits", c.n0, first.logits)
		}
	}
}

// "An M in the prompt is an ordinary token and is never filled in."
func TestMaskTokenInThePrompt(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB} {
		m := newStub(dialect, 8, 4)
		prompt := []int32{1, stubMask, 2, stubMask}
		r, events := recorded(t, m, prompt, Options{MaxTokens: 9})
		for _, e := range events {
			for _, take := range e.Take {
				if take.Position < len(prompt) {
					t.Errorf("%s: position %d of the prompt was filled in", dialect, take.Position)
				}
			}
		}
		for _, p := range m.passes {
			for i, id := range p.ids {
				if at := p.start + i; at < len(prompt) && id != prompt[at] {
					t.Errorf("%s: the model saw %d at position %d of the prompt", dialect, id, at)
				}
			}
		}
		if slices.Contains(r.IDs, stubMask) {
			t.Errorf("%s: mask token in %v", dialect, r.IDs)
		}
	}
}

// "If M is among the stop tokens it is removed from them, with a warning."
func TestMaskTokenAmongTheStopTokens(t *testing.T) {
	m := newStub(dialectA, 8, 4)
	stop := []int32{stubMask, 3}
	var warnings []string
	d, err := NewDecoder(m, []int32{1}, Options{Stop: stop, Warn: func(s string) { warnings = append(warnings, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Stop, []int32{3}) || len(warnings) != 1 || !strings.Contains(warnings[0], "mask token 5") {
		t.Errorf("stop tokens %v, warnings %q", d.Stop, warnings)
	}
	if stop[0] != stubMask {
		t.Error("the caller's list was changed")
	}
}

// "Generation ends at the first new stop token with no mask before it": one behind a mask does not count yet, and what lies behind it is not part
// of the answer. "Every pass computes all rows of its block, also past the limit".
func TestStopToken(t *testing.T) {
	m := newStub(dialectA, 8, 8)
	pass := 0
	m.logits = func(row []float32, _ uint64) { clear(row) }
	o := Options{Threshold: ptr(float32(0.9)), Stop: []int32{3}, MaxTokens: 7}
	var events []Event
	o.OnEvent = func(e Event) { events = append(events, e) }
	d, err := NewDecoder(m, []int32{1}, o)
	if err != nil {
		t.Fatal(err)
	}
	sure := []map[int]int32{{4: 3}, {2: 8, 6: 9}, {1: 7}, {3: 6}} // by pass: position and the token it is sure of
	for seg := d.Next(); seg != nil; seg = d.Next() {
		if err := m.Forward([]*infer.Segment{seg}); err != nil {
			t.Fatal(err)
		}
		for i, position := range d.wanted {
			if id, ok := sure[pass][position]; ok {
				seg.Out[i*stubVocab+int(id)] = 50
			}
		}
		if err := d.Accept(); err != nil {
			t.Fatal(err)
		}
		pass++
	}
	if r := d.Result(); !slices.Equal(r.IDs, []int32{7, 8, 6, 3}) || r.FinishReason != "stop" || pass != 4 {
		t.Errorf("%v %q after %d passes; want 7 8 6 3, stop, 4", r.IDs, r.FinishReason, pass)
	}
	for _, p := range m.passes {
		if p.rows != 8 {
			t.Errorf("a pass of %d rows, want the whole block", p.rows)
		}
	}
}

// "New tokens are cut to the limit first; if a stop token is left they end with it ... and finish_reason is stop, else length."
func TestLimits(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB} {
		for _, c := range []struct {
			prompt, max, context int
			want                 int
		}{
			{5, 1, 0, 1}, {5, 3, 0, 3}, {5, 4, 0, 4}, // to the end of A's block
			{5, 8, 0, 8}, // to the end of B's block
			{5, 11, 0, 11}, {5, 12, 0, 12}, {5, 16, 0, 16}, {5, 17, 0, 17},
			{8, 1, 0, 1}, {8, 8, 0, 8}, {8, 9, 0, 9},
			{5, 0, 20, 15}, {5, 100, 20, 15}, {5, 15, 20, 15}, {19, 0, 20, 1}, // to the context's end
		} {
			m := newStub(dialect, 8, 4)
			r, _ := recorded(t, m, iota32(c.prompt), Options{MaxTokens: c.max, Context: c.context})
			if len(r.IDs) != c.want || r.FinishReason != "length" || r.Stats.NewTokens != c.want {
				t.Errorf("%s: %+v: %d new tokens, finish %q", dialect, c, len(r.IDs), r.FinishReason)
			}
			m = newStub(dialect, 8, 4)
			full := r.IDs
			r, _ = recorded(t, m, iota32(c.prompt), Options{MaxTokens: c.max, Context: c.context, Stop: full[c.want-1:]})
			at := slices.Index(full, full[c.want-1])
			if !slices.Equal(r.IDs, full[:at+1]) || r.FinishReason != "stop" {
				t.Errorf("%s: %+v: stop token %d: got %v of %v, finish %q", dialect, c, full[c.want-1], r.IDs, full, r.FinishReason)
			}
		}
	}
}

// "generation also ends after a pass that leaves no mask below the limit", and "if generation has ended, no commit runs".
func TestNoPassAfterTheEnd(t *testing.T) {
	m := newStub(dialectA, 8, 8)
	m.logits = always(map[int]float32{11: 50})
	r, _ := recorded(t, m, iota32(5), Options{MaxTokens: 3})
	if want := [Kinds]int{DenoiseBlock: 1}; r.Stats.Passes != want {
		t.Errorf("passes %v, want one denoise step", r.Stats.Passes)
	}
	m.passes = nil
	r, _ = recorded(t, m, iota32(5), Options{MaxTokens: 4})
	if want := [Kinds]int{DenoiseBlock: 1, Commit: 1}; r.Stats.Passes != want {
		t.Errorf("passes %v; the commit's first token is the fourth", r.Stats.Passes)
	}
}

// "greedy = one denoise step for the whole block, all masks taken".
func TestGreedyTakesAll(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB} {
		r, events := recorded(t, newStub(dialect, 8, 2), iota32(3), Options{Mode: names.ModeGreedy, MaxTokens: 30})
		for i, e := range events {
			if e.Event == "denoise" && (len(e.Take) < 5 || e.Pass != 1 || e.Sub > 0) {
				t.Errorf("%s: event %d: %+v", dialect, i, e)
			}
		}
		if got := r.Stats.TokensPerStep(); got < 6 {
			t.Errorf("%s: %v tokens a step", dialect, got)
		}
	}
}

// "adaptive = θ of the pass within the sub-block: first max(0.5, θ-0.4), second max(0.7, θ-0.2), then θ, in float32".
func TestAdaptiveThresholds(t *testing.T) {
	point4, point2 := float32(0.4), float32(0.2) // variables: constants would be subtracted exactly
	for _, theta := range []float32{0, 0.3, 0.6, 0.9, 0.91, 0.95, 0.99, 1} {
		d := &Decoder{settings: settings{threshold: theta, Options: Options{Mode: names.ModeAdaptive}}}
		want := []float32{max(0.5, theta-point4), max(0.7, theta-point2), theta, theta}
		for i := range want {
			if got := d.theta(i + 1); got != want[i] {
				t.Errorf("θ %v, pass %d: %v, want %v", theta, i+1, got, want[i])
			}
		}
	}
}

// "fill what is left with the most confident guess seen for each position (the earliest of equals). The fill is not a pass: one event fill with
// position, id and that guess's confidence; the last pass's guesses count; the end of generation is checked again after it."
func TestFill(t *testing.T) {
	m := newStub(dialectB, 4, 4)
	// By pass, the logit of a token at positions 2, 3, 4; position 1 is sure at once. Each pass takes one position.
	says := [][]map[int]float32{
		{{8: 60}, {9: 3}, {10: 4}, {11: 2}},
		{nil, {12: 3}, {13: 1}, {14: 5}},
	}
	o := Options{Mode: names.ModeIterative, Threshold: ptr(float32(1)), MaxIterations: 2, MaxTokens: 4, Stop: []int32{9}}
	var events []Event
	o.OnEvent = func(e Event) { e.Take = slices.Clone(e.Take); events = append(events, e) }
	d, err := NewDecoder(m, []int32{1}, o)
	if err != nil {
		t.Fatal(err)
	}
	m.logits = func(row []float32, _ uint64) { clear(row) }
	for pass := 0; d.Next() != nil; pass++ {
		if err := m.Forward([]*infer.Segment{d.Next()}); err != nil {
			t.Fatal(err)
		}
		for i, position := range d.wanted {
			for id, logit := range says[pass][position-1] {
				d.seg.Out[i*stubVocab+id] = logit
			}
		}
		if err := d.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 3 || events[2].Event != "fill" || events[2].Block != 1 {
		t.Fatalf("events %+v", events)
	}
	// The second pass took position 4 (14). Position 2 keeps the earlier of two equal guesses, position 3 the better one of the first pass.
	fill := events[2].Take
	if len(fill) != 2 || fill[0].Position != 2 || fill[0].ID != 9 || fill[1].Position != 3 || fill[1].ID != 10 || !(fill[1].Confidence > fill[0].Confidence) {
		t.Errorf("fill takes %+v", fill)
	}
	if r := d.Result(); !slices.Equal(r.IDs, []int32{8, 9}) || r.FinishReason != "stop" || r.Stats.DenoiseSteps() != 2 {
		t.Errorf("result %+v; the fill brought a stop token", r)
	}
}

// "max_iterations (10)".
func TestMaxIterationsByDefault(t *testing.T) {
	m := newStub(dialectB, 32, 8)
	m.logits = halves
	_, events := recorded(t, m, []int32{1}, Options{Mode: names.ModeIterative, Threshold: ptr(float32(0.9)), MaxTokens: 32})
	if n := takes(events, "denoise"); len(n) != 10 {
		t.Errorf("%d passes, want 10", len(n))
	}
	if n := takes(events, "fill"); !slices.Equal(n, []int{22}) {
		t.Errorf("fills of %v positions, want 22", n)
	}
}

// "A pass needs the rows up to start+B-2 ... With shift_logits = false it needs them up to start+B-1", and "logits[i]" predicts position i then.
func TestShiftLogits(t *testing.T) {
	for _, shift := range []bool{true, false} {
		m := newStub(dialectB, 8, 8)
		m.config.Diffusion.ShiftLogits = shift
		recorded(t, m, iota32(5), Options{Mode: names.ModeGreedy, MaxTokens: 8})
		p := m.passes[1] // after the prefill of four
		want := pass{start: 4, rows: 8, extent: 12, logits: []int{0, 1, 2, 3, 4, 5, 6, 7}}
		if !shift {
			want = pass{start: 4, rows: 9, extent: 13, logits: []int{1, 2, 3, 4, 5, 6, 7, 8}}
		}
		if p.start != want.start || p.rows != want.rows || !slices.Equal(p.logits, want.logits) {
			t.Errorf("shift %v: pass %+v, want %+v", shift, p, want)
		}
	}
}

// "No commit pass: f carries over, so the next block's first pass also reruns the previous block from f on (after greedy: all of it)."
func TestGreedyRerunsThePreviousBlock(t *testing.T) {
	m := newStub(dialectB, 8, 8)
	recorded(t, m, iota32(5), Options{Mode: names.ModeGreedy, MaxTokens: 24})
	for i, want := range [][2]int{{0, 4}, {4, 8}, {5, 15}, {13, 15}} {
		if p := m.passes[i]; p.start != want[0] || p.rows != want[1] {
			t.Errorf("pass %d runs %d rows from %d, want %v", i, p.rows, p.start, want)
		}
	}
}

// "Default where the file states none: dialect A iterative, θ 0.9; dialect B greedy, θ 0.7", and the file's, and the request's over the file's.
func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		dialect, fileMode string
		fileTheta         *float32
		o                 Options
		mode              string
		theta             float32
	}{
		{dialectA, "", nil, Options{}, "iterative", 0.9},
		{dialectB, "", nil, Options{}, "greedy", 0.7},
		{dialectB, "adaptive", ptr(float32(0.8)), Options{Mode: "auto"}, "adaptive", 0.8},
		{dialectA, "adaptive", ptr(float32(0.8)), Options{Mode: "greedy", Threshold: ptr(float32(0))}, "greedy", 0},
	} {
		m := newStub(c.dialect, 8, 4)
		m.config.Diffusion.Mode, m.config.Diffusion.Threshold = c.fileMode, c.fileTheta
		s, err := c.o.resolve(&m.config)
		if err != nil || s.Mode != c.mode || s.threshold != c.theta || s.Context != 512 {
			t.Errorf("%+v: got %+v, %v", c, s, err)
		}
	}
}

// "Asking for autoregressive decoding of a diffusion model, or for diffusion of a model without a mask token, is an error that says why, and which
// flag overrides it."
func TestWrongPairing(t *testing.T) {
	_, err := NewDecoder(newStub(dialectA, 8, 4), []int32{1}, Options{Mode: "autoregressive"})
	if fault.Code(err) != "MODE_MISMATCH" || !strings.Contains(err.Error(), "--mask-token-id none") || !strings.Contains(err.Error(), "diffusion model") {
		t.Errorf("autoregressive on a diffusion model: %v", err)
	}
	for _, mode := range []string{"iterative", "greedy", "adaptive"} {
		_, err = NewDecoder(newStub("", 0, 0), []int32{1}, Options{Mode: mode})
		if fault.Code(err) != "MODE_MISMATCH" || !strings.Contains(err.Error(), "--decode-mode autoregressive") || !strings.Contains(err.Error(), "no mask token") {
			t.Errorf("%s without a mask token: %v", mode, err)
		}
	}
	if err != nil && len(err.Error()) > 300 {
		t.Errorf("%d characters", len(err.Error()))
	}
}

// "A GGUF without a mask token is an ordinary causal model: it is decoded token by token".
func TestAutoregressive(t *testing.T) {
	m := newStub("", 0, 0)
	prompt := iota32(7)
	r, events := recorded(t, m, prompt, Options{MaxTokens: 12, PrefillRows: 3})
	ref := &referee{stub: newStub("", 0, 0)}
	ids := slices.Clone(prompt)
	for range 12 {
		row := ref.rows(ids, 0, len(ids)-1, len(ids))
		top := 0
		for i, v := range row {
			if v > row[top] {
				top = i
			}
		}
		ids = append(ids, int32(top))
	}
	if !slices.Equal(r.IDs, ids[7:]) || r.FinishReason != "length" {
		t.Errorf("got %v, want %v", r.IDs, ids[7:])
	}
	if want := [Kinds]int{Prefill: 3, Decode: 11}; r.Stats.Passes != want || len(events) != 12 || events[0].Event != "next" {
		t.Errorf("passes %v, %d events", r.Stats.Passes, len(events))
	}
}

// "A setting that a dialect does not use is reported as unused" (DESIGN.md).
func TestUnusedSettings(t *testing.T) {
	all := Options{Threshold: ptr(float32(0.5)), BlockSize: 8, SubBlockSize: 4, SubBlockCache: true, MaxIterations: 3}
	for dialect, want := range map[string][]string{
		dialectA: {"max_iterations"},
		dialectB: {"sub_block_size", "sub_block_cache"},
		"":       {"threshold", "block_size", "sub_block_size", "sub_block_cache", "max_iterations"},
	} {
		var got []string
		all.Warn = func(s string) { got = append(got, strings.Fields(s)[0]) }
		if _, err := NewDecoder(newStub(dialect, 8, 4), []int32{1}, all); err != nil || !slices.Equal(got, want) {
			t.Errorf("dialect %q: unused %v, want %v (%v)", dialect, got, want, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	nan := float32(math.NaN())
	o := Options{
		Threshold: &nan, BlockSize: 3, SubBlockSize: 2, MaxIterations: 1_000_000_000, MaxTokens: -1, Context: 513, PrefillRows: -1,
		Temperature: 99, TopK: -1, TopP: ptr(float32(1.1)), MinP: -0.5, Choice: -1, StopStrings: []string{""},
	}
	err := o.Validate(newStub(dialectA, 8, 4).Config())
	for _, option := range []string{"threshold", "block_size", "max_iterations", "max_tokens", "ctx_size", "prefill_rows", "temperature", "top_k", "top_p",
		"min_p", "choice", "stop"} {
		if !strings.Contains(err.Error(), option+" ") {
			t.Errorf("%s is not among the problems:\n%v", option, err)
		}
	}
	var one *OptionError
	if fault.Code(err) != "BAD_OPTION" || !errors.As(err, &one) {
		t.Errorf("code %q", fault.Code(err))
	}

	diffusion := newStub(dialectA, 8, 4).Config()
	for name, bad := range map[string]Options{
		"R91 threshold NaN":              {Threshold: &nan},
		"R91 threshold -1":               {Threshold: ptr(float32(-1))},
		"R91 threshold 2":                {Threshold: ptr(float32(2))},
		"R91 steps -1":                   {MaxIterations: -1},
		"R91 steps 10^9":                 {MaxIterations: 1e9},
		"R91 block length 3":             {BlockSize: 3},
		"R91 block length above context": {BlockSize: 1024},
		"R91 block length -8":            {BlockSize: -8},
		"R90 temperature NaN":            {Temperature: nan},
		"R90 temperature -1":             {Temperature: -1},
		"R90 top_p 1.1":                  {TopP: ptr(float32(1.1))},
		"R90 top_p -0.1":                 {TopP: ptr(float32(-0.1))},
		"R90 stop: 1000 strings":         {StopStrings: slices.Repeat([]string{"a"}, 1000), Text: pieces{}},
		"R90 stop: 1 MiB":                {StopStrings: []string{strings.Repeat("a", 1<<20)}, Text: pieces{}},
		"R90 stop: empty":                {StopStrings: []string{""}, Text: pieces{}},
		"stop strings without text":      {StopStrings: []string{"a"}},
		"unknown mode":                   {Mode: "gready\x1b"},
	} {
		t.Run(name, func(t *testing.T) {
			err := bad.Validate(diffusion)
			if fault.Code(err) != "BAD_OPTION" || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%v [%s]", err, fault.Code(err))
			}
		})
	}
	t.Run("R90 top_p 0 is legal", func(t *testing.T) {
		if err := (Options{TopP: ptr(float32(0)), Temperature: 1}).Validate(diffusion); err != nil {
			t.Error(err)
		}
	})
}

// "A prompt has at least one token; an empty one is an error."
func TestBadPrompts(t *testing.T) {
	m := newStub(dialectA, 8, 4)
	for _, c := range []struct {
		prompt []int32
		code   string
	}{{nil, "BAD_PROMPT"}, {[]int32{1, -1}, "BAD_PROMPT"}, {[]int32{stubVocab}, "BAD_PROMPT"}, {iota32(512), "CONTEXT_LENGTH_EXCEEDED"}, {iota32(513), "CONTEXT_LENGTH_EXCEEDED"}} {
		if _, err := NewDecoder(m, c.prompt, Options{}); fault.Code(err) != c.code {
			t.Errorf("%d tokens: %v, want %s", len(c.prompt), err, c.code)
		}
	}
}

func TestHostileModels(t *testing.T) {
	stubs := map[string]func([]float32, uint64){
		"always prefers the mask": always(map[int]float32{stubMask: 100}),
		"all logits equal":        always(nil),
	}
	for name, logits := range stubs {
		t.Run("R97 "+name, func(t *testing.T) {
			for _, dialect := range []string{dialectA, dialectB} {
				for _, mode := range []string{names.ModeIterative, names.ModeGreedy, names.ModeAdaptive} {
					for _, temperature := range []float32{0, 0.001, 1, 2} {
						m := newStub(dialect, 8, 4)
						m.logits = logits
						r, events := recorded(t, m, iota32(8), Options{Mode: mode, MaxTokens: 40, Temperature: temperature, Seed: ptr(uint64(1))})
						if len(r.IDs) != 40 || slices.Contains(r.IDs, stubMask) {
							t.Fatalf("%s %s T=%v: %v", dialect, mode, temperature, r.IDs)
						}
						for _, e := range events {
							for _, take := range e.Take {
								if take.ID == stubMask {
									t.Fatalf("%s %s T=%v: %+v", dialect, mode, temperature, e)
								}
							}
						}
					}
				}
			}
		})
	}
	t.Run("R91 generation always ends", func(t *testing.T) {
		for _, dialect := range []string{dialectA, dialectB} {
			m := newStub(dialect, 16, 8)
			m.logits = always(nil) // every confidence is below every threshold
			_, events := recorded(t, m, iota32(16), Options{Mode: names.ModeIterative, Threshold: ptr(float32(1)), MaxTokens: 100, MaxIterations: 500})
			steps := map[int]int{}
			for _, e := range events {
				if e.Event == "denoise" {
					steps[e.Block]++
				}
			}
			for block, n := range steps {
				if n > 16 {
					t.Errorf("%s: block %d took %d steps", dialect, block, n)
				}
			}
		}
	})
	inf := float32(math.Inf(1))
	nothing := map[int]float32{}
	for i := range stubVocab {
		nothing[i] = -inf
	}
	maskOnly := map[int]float32{}
	for i := range stubVocab {
		maskOnly[i] = -inf
	}
	maskOnly[stubMask] = 0
	for name, logits := range map[string]map[int]float32{"NaN": {4: float32(math.NaN())}, "+inf": {4: inf}, "all -inf": nothing, "nothing but the mask": maskOnly} {
		t.Run("R98 "+name, func(t *testing.T) {
			for _, temperature := range []float32{0, 1} {
				alone, _ := recorded(t, newStub(dialectA, 8, 4), iota32(5), Options{MaxTokens: 20})
				m := newStub(dialectA, 8, 4)
				well, err := NewDecoder(m, iota32(5), Options{MaxTokens: 20})
				if err != nil {
					t.Fatal(err)
				}
				sick, err := NewDecoder(m, iota32(9), Options{Temperature: temperature})
				if err != nil {
					t.Fatal(err)
				}
				m.sick = map[*infer.Cache]func([]float32, uint64){sick.cache: always(logits)}
				failed := error(nil)
				for well.Next() != nil {
					pass := []*infer.Segment{well.Next()}
					if sick.Next() != nil {
						pass = append(pass, sick.Next())
					}
					if err := errors.Join(m.Forward(pass), well.Accept()); err != nil {
						t.Fatal(err)
					}
					if len(pass) == 2 {
						failed = sick.Accept()
					}
				}
				if fault.Code(failed) != "NUMERIC_ERROR" || sick.Next() != nil || len(sick.Result().IDs) != 0 {
					t.Errorf("T=%v: %v, %+v", temperature, failed, sick.Result())
				}
				if !slices.Equal(well.Result().IDs, alone.IDs) || len(alone.IDs) == 0 {
					t.Errorf("the other request gave %v, alone %v", well.Result().IDs, alone.IDs)
				}
			}
		})
	}
	t.Run("R98 the network reports it", func(t *testing.T) {
		m := newStub(dialectA, 8, 4)
		m.errs = fault.New("NUMERIC_ERROR", "layer 3")
		d, err := NewDecoder(m, iota32(5), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Forward([]*infer.Segment{d.Next()}); err != nil {
			t.Fatal(err)
		}
		if err := d.Accept(); fault.Code(err) != "NUMERIC_ERROR" || d.Next() != nil {
			t.Errorf("%v, and the decoder goes on", err)
		}
	})
}

func TestCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := newStub(dialectA, 8, 4)
	seen := 0
	r, err := Generate(ctx, m, iota32(8), Options{OnTokens: func(ids []int32) { seen += len(ids); cancel() }})
	if !errors.Is(err, context.Canceled) || len(r.IDs) != seen || seen == 0 || r.FinishReason != "" {
		t.Errorf("%v, %+v, %d tokens seen", err, r, seen)
	}
}

// "Streaming text is emitted as soon as a prefix of the block has no mask": the pieces are the answer, in order, never revised.
func TestStreaming(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB, ""} {
		var ids []int32
		var text strings.Builder
		words := pieces{}
		for i := range stubVocab {
			words = append(words, string(rune('a'+i)))
		}
		o := Options{MaxTokens: 40, Stop: []int32{3}, Text: words, OnTokens: func(n []int32) { ids = append(ids, n...) }, OnText: func(s string) { text.WriteString(s) }}
		r, _ := recorded(t, newStub(dialect, 8, 4), iota32(9), o)
		want := ""
		for _, id := range r.IDs {
			if id != 3 {
				want += words[id]
			}
		}
		if !slices.Equal(ids, r.IDs) || text.String() != want || r.Text != want {
			t.Errorf("%s: streamed %v %q, result %v %q, want %q", dialect, ids, text.String(), r.IDs, r.Text, want)
		}
	}
}

func TestStopStrings(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []string
		stops  []string
		shown  []string // with each token
		rest   string   // at the end
		stop   bool     // whether the last token completes a stop string
	}{
		{"none", []string{"ab", "cd"}, nil, []string{"ab", "cd"}, "", false},
		{"inside a token", []string{"x", "a##b"}, []string{"##"}, []string{"x", "a"}, "", true},
		{"across tokens", []string{"a#", "#b"}, []string{"##"}, []string{"a", ""}, "", true},
		{"a beginning that comes to nothing", []string{"a#", "b#"}, []string{"##"}, []string{"a", "#b"}, "#", false},
		{"the earliest of two", []string{"a", "b!c?"}, []string{"?", "!c"}, []string{"a", "b"}, "", true},
		{"the longer beginning is held", []string{"x-=", "y"}, []string{"=z", "-=-"}, []string{"x", "-=y"}, "", false},
		{"a token without text between", []string{"#", "", "#"}, []string{"##"}, []string{"", "", ""}, "", true},
		{"a beginning inside a beginning", []string{"aab", "aa", "c"}, []string{"aabaac"}, []string{"", "", ""}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fresh string
			r := reading{stream: pieces(c.pieces), stops: c.stops, show: func(s string) { fresh += s }}
			for i := range c.pieces {
				fresh = ""
				last := i == len(c.pieces)-1
				if _, stopped := r.push(int32(i)); stopped != (last && c.stop) {
					t.Errorf("token %d: stopped %v", i, stopped)
				}
				r.flush(false)
				if fresh != c.shown[i] {
					t.Errorf("token %d: shown %q, want %q", i, fresh, c.shown[i])
				}
			}
			fresh = ""
			r.flush(true)
			if fresh != c.rest || r.shown.String() != strings.Join(c.shown, "")+c.rest {
				t.Errorf("at the end: %q of %q, want %q", fresh, r.shown.String(), c.rest)
			}
		})
	}
	t.Run("in an answer", func(t *testing.T) {
		words := pieces{}
		for i := range stubVocab {
			words = append(words, string(rune('a'+i)))
		}
		whole, _ := recorded(t, newStub(dialectA, 8, 4), iota32(9), Options{MaxTokens: 40, Text: words})
		stop := whole.Text[17:19]
		at := strings.Index(whole.Text, stop)
		r, _ := recorded(t, newStub(dialectA, 8, 4), iota32(9), Options{MaxTokens: 40, Text: words, StopStrings: []string{stop}})
		if r.Text != whole.Text[:at] || len(r.IDs) != at+2 || r.FinishReason != "stop" {
			t.Errorf("%q cut at %q: %q, %d ids, finish %q", whole.Text, stop, r.Text, len(r.IDs), r.FinishReason)
		}
	})
}

// TestTraceFields holds the JSON of events to the golden traces: every event reads and writes back to the same bytes.
func TestTraceFields(t *testing.T) {
	text, err := os.ReadFile("../../testdata/tinydlm/golden/traces.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens []struct{ Trace []json.RawMessage }
	if err := json.Unmarshal(text, &goldens); err != nil {
		t.Fatal(err)
	}
	events := 0
	for _, golden := range goldens {
		for _, line := range golden.Trace {
			var e Event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			again, err := json.Marshal(e)
			line = bytes.ReplaceAll(line, []byte("1.0]"), []byte("1]")) // Python's way to write 1
			if err != nil || !bytes.Equal(again, line) {
				t.Fatalf("read  %s\nwrote %s (%v)", line, again, err)
			}
			events++
		}
	}
	if events != 709 {
		t.Errorf("%d events", events)
	}
	for _, bad := range []string{`{}`, `{"event":"next","pos":1}`, `{"event":"denoise","block":0,"take":[]}`, `{"event":"denoise","block":0,"take":[[1,2]]}`,
		`{"event":"denoise","block":0,"take":[[1,2,3,4]]}`, `{"event":"denoise","block":0,"take":[[1e99,2,0.5]]}`, `{"event":"undo","block":0,"take":[[1,2,0.5]]}`,
		`{"event":"next","pos":-1,"token":3}`, `{"event":"denoise","block":-1,"take":[[1,2,0.5]]}`, `{"event":"fill","block":0,"take":[[1,-2,0.5]]}`,
		`{"event":"denoise","block":8,"take":[[1,2,0.5]]}`, `null`, `[]`} {
		if err := json.Unmarshal([]byte(bad), new(Event)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// FuzzEvent: no line makes the reader panic, and what it accepts it writes in a form that reads back the same.
func FuzzEvent(f *testing.F) {
	for _, line := range []string{`{"event":"denoise","block":32,"sub":8,"take":[[41,304,0.999989],[42,314,1]]}`, `{"event":"next","pos":32,"token":304}`,
		`{"event":"fill","block":45,"take":[[47,304,0.41]]}`, `{"event":"denoise","block":0,"take":[[1e99,2,0.5]]}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var e, again Event
		if json.Unmarshal(line, &e) != nil {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if once, err := json.Marshal(again); err != nil || !bytes.Equal(once, text) {
			t.Fatalf("%s, then %s (%v)", text, once, err)
		}
	})
}
