package diffusion

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/names"
)

func TestPassCost(t *testing.T) {
	for _, table := range [][]cost{rowCosts, logitCosts} {
		for _, c := range table {
			if got := lookUp(table, c.rows); got != float64(c.cost) {
				t.Errorf("%d rows cost %g, want %d", c.rows, got, c.cost)
			}
		}
		for rows := range 100 {
			if lookUp(table, rows) >= lookUp(table, rows+1) {
				t.Errorf("%d rows cost %g, one more %g", rows, lookUp(table, rows), lookUp(table, rows+1))
			}
		}
	}
	if a, b := PassCost(64, 0), PassCost(32, 0); a != b+(b-PassCost(16, 0))*2 {
		t.Errorf("64 rows cost %g, not on the line through 16 and 32", a)
	}
}

// TestAutoChooses decodes with a model that is sure of everything, so that the choice is a matter of cost alone, and with one that is sure of
// nothing.
func TestAutoChooses(t *testing.T) {
	for _, c := range []struct {
		name   string
		logits map[int]float32
		want   Choice
	}{
		{"sure: a whole block in one pass", map[int]float32{3: 30}, Choice{SubBlockSize: 32}},
		{"unsure: the narrowest passes", map[int]float32{}, Choice{SubBlockSize: 8, SubBlockCache: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newStub(names.DialectFastDLLM, 32, 8)
			m.logits = always(c.logits)
			r, _ := recorded(t, m, iota32(7), Options{Mode: "auto", Context: 512})
			auto := r.Stats.Auto
			if len(auto.Choices) != 5 || slices.ContainsFunc(auto.Choices, func(c Choice) bool { return c.Blocks == 0 }) {
				t.Errorf("not every choice was tried: %+v", auto.Choices)
			}
			got := auto.Choices[auto.Chosen]
			if got.SubBlockSize != c.want.SubBlockSize || got.SubBlockCache != c.want.SubBlockCache || got.Blocks < 8 {
				t.Errorf("chose %+v of %+v", got, auto.Choices)
			}
			if text := auto.String(); !strings.HasPrefix(text, got.String()+": ") || strings.Count(text, ";") != 4 {
				t.Errorf("the report is %q", text)
			}
		})
	}
}

// TestAutoPays: by the table, an answer costs at most a tenth more than by the best of the choices, apart from the one block that each other choice
// was tried with.
func TestAutoPays(t *testing.T) {
	for name, logits := range map[string]func([]float32, uint64){
		"sure": always(map[int]float32{3: 30}), "unsure": always(map[int]float32{}), "of every kind": nil,
	} {
		t.Run(name, func(t *testing.T) {
			costs := func(o Options) (total float64, blocks int) {
				m := newStub(names.DialectFastDLLM, 32, 8)
				m.logits, o.Context = logits, 512
				recorded(t, m, iota32(7), o)
				for _, p := range m.passes {
					total += PassCost(p.rows, len(p.logits))
				}
				return total, (512 - 7) / 32
			}
			auto, blocks := costs(Options{Mode: "auto"})
			best, trials := math.Inf(1), 0.0
			for _, c := range newAuto(32, 8, false).Choices {
				cost, _ := costs(Options{SubBlockSize: c.SubBlockSize, SubBlockCache: c.SubBlockCache})
				best, trials = min(best, cost), trials+cost/float64(blocks)
			}
			if bound := 1.1*best + trials; auto > bound {
				t.Errorf("auto costs %.0f, the best choice %.0f, a block of each %.0f", auto, best, trials)
			}
			t.Logf("auto costs %.0f, the best choice %.0f, a block of each %.0f", auto, best, trials)
		})
	}
}

// TestAutoIsReproducible: the same request gives the same ids, whatever else the model decodes.
func TestAutoIsReproducible(t *testing.T) {
	run := func(m Model) *Result {
		r, _ := recorded(t, m, iota32(40), Options{Mode: "auto", Context: 400, Seed: ptr(uint64(1))})
		return r
	}
	m := newStub(names.DialectFastDLLM, 32, 8)
	first := run(m)
	if second := run(m); !slices.Equal(first.IDs, second.IDs) || first.Stats.Auto.String() != second.Stats.Auto.String() {
		t.Error("two runs of one request differ")
	}
	tokens := 0
	for _, c := range first.Stats.Auto.Choices {
		tokens += c.Tokens
	}
	if tokens < first.Stats.NewTokens {
		t.Errorf("%d tokens are accounted for, %d were made", tokens, first.Stats.NewTokens)
	}
}

// TestAutoBegins with what an ordinary mode does, so that a short answer is the same.
func TestAutoBegins(t *testing.T) {
	m := newStub(names.DialectFastDLLM, 32, 8)
	for _, cache := range []bool{false, true} {
		o := Options{Context: 64, MaxTokens: 20, SubBlockCache: cache}
		plain, _ := recorded(t, m, iota32(7), o)
		o.Mode = "auto"
		auto, _ := recorded(t, m, iota32(7), o)
		if !slices.Equal(plain.IDs, auto.IDs) || plain.Stats.Auto != nil {
			t.Errorf("cache %v: the first block differs from the file's mode", cache)
		}
	}
}

func TestAutoWithoutAChoice(t *testing.T) {
	for _, dialect := range []string{"", names.DialectWrinkleFree} {
		m := newStub(dialect, 8, 8)
		var warnings []string
		r, _ := recorded(t, m, iota32(7), Options{Mode: "auto", MaxTokens: 9, Warn: func(w string) { warnings = append(warnings, w) }})
		plain, _ := recorded(t, m, iota32(7), Options{MaxTokens: 9})
		if !slices.Equal(r.IDs, plain.IDs) || r.Stats.Auto != nil {
			t.Errorf("dialect %q: auto changes the answer", dialect)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], "nothing to choose") {
			t.Errorf("dialect %q: warnings %q", dialect, warnings)
		}
	}
}
