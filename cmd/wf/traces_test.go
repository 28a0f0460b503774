package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// goldenTrace is one decode of the demonstration model by the reference program (testdata/tinydlm/README.md).
type goldenTrace struct {
	Name          string            `json:"name"`
	Dialect       string            `json:"dialect"`
	Mode          string            `json:"mode"`
	Threshold     float32           `json:"threshold"`
	SubBlockCache bool              `json:"sub_block_cache"`
	MaxIterations int               `json:"max_iterations"`
	MaxNew        int               `json:"max_new"`
	Messages      [][2]string       `json:"messages"`
	PromptIDs     []int32           `json:"prompt_ids"`
	NewIDs        []int32           `json:"new_ids"`
	Text          string            `json:"text"`
	Passes        int               `json:"passes"`
	Trace         []diffusion.Event `json:"trace"`
}

func (g *goldenTrace) String() string {
	return fmt.Sprintf("%s/%s/%s θ=%v cache=%v iterations=%d max=%d", g.Name, g.Dialect, g.Mode, g.Threshold, g.SubBlockCache, g.MaxIterations, g.MaxNew)
}

// settled keeps of a trace what the comparison is about: the takes up to the last new token. A pass that took nothing there is left out.
func (g *goldenTrace) settled(trace []diffusion.Event) []diffusion.Event {
	var kept []diffusion.Event
	for _, e := range trace {
		e.Take = slices.DeleteFunc(slices.Clone(e.Take), func(t diffusion.Take) bool { return t.Position >= len(g.PromptIDs)+len(g.NewIDs) })
		if len(e.Take) > 0 {
			kept = append(kept, e)
		}
	}
	return kept
}

// TestGoldenTraces reproduces every golden trace, from both checkpoints: the new ids, the number of passes, and position and id of every take up to
// the last new token. Confidences are for orientation (an int8 rounding edge can move one): they stay within 0.02.
func TestGoldenTraces(t *testing.T) {
	goldens := readTraces(t)
	for _, dir := range []string{"hf", "pt"} {
		path := convertTo(t, tinydlm+dir, convert.Options{Type: "f32"})
		for _, dialect := range []string{names.DialectFastDLLM, names.DialectWrinkleFree} {
			t.Run(dir+"/"+dialect, func(t *testing.T) {
				m := loadModel(t, path, infer.Options{Dialect: dialect})
				tok := loadTokenizer(t, m)
				seen, worst := 0, 0.0
				for i := range goldens {
					if g := &goldens[i]; g.Dialect == dialect {
						seen++
						worst = max(worst, reproduce(t, m, tok, g))
					}
				}
				t.Logf("%d traces; confidences differ by at most %.3g", seen, worst)
				if !(worst <= 0.02) {
					t.Errorf("a confidence is off by %v, bound 0.02", worst)
				}
			})
		}
	}
}

// reproduce decodes as the golden did, and returns the largest difference of a confidence.
func reproduce(t *testing.T, m *infer.Model, tok *tokenizer.Tokenizer, g *goldenTrace) (worst float64) {
	t.Helper()
	var messages []tokenizer.Message
	for _, message := range g.Messages {
		messages = append(messages, tokenizer.Message{Role: message[0], Content: message[1]})
	}
	if len(messages) > 0 { // else the prompt was cut to a length
		if prompt, err := tok.Chat(messages, true); err != nil || !slices.Equal(prompt, g.PromptIDs) {
			t.Errorf("%v: prompt %v, want %v (%v)", g, prompt, g.PromptIDs, err)
		}
	}
	var trace []diffusion.Event
	o := diffusion.Options{
		Mode: g.Mode, Threshold: &g.Threshold, SubBlockCache: g.SubBlockCache, MaxIterations: g.MaxIterations, MaxTokens: g.MaxNew,
		Stop: tok.Stop(), Text: tok.NewStream(),
		OnEvent: func(e diffusion.Event) {
			e.Take = slices.Clone(e.Take)
			trace = append(trace, e)
		},
	}
	r, err := diffusion.Generate(t.Context(), m, g.PromptIDs, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.IDs, g.NewIDs) || r.Text != g.Text || r.Stats.DenoiseSteps() != g.Passes {
		t.Errorf("%v:\ngot  %v %q in %d passes\nwant %v %q in %d", g, r.IDs, r.Text, r.Stats.DenoiseSteps(), g.NewIDs, g.Text, g.Passes)
		return 0
	}
	got, want := g.settled(trace), g.settled(g.Trace)
	if len(got) != len(want) {
		t.Errorf("%v: %d events, want %d", g, len(got), len(want))
		return 0
	}
	for i := range got {
		same := func(a, b diffusion.Take) bool { return a.Position == b.Position && a.ID == b.ID }
		if a, b := got[i], want[i]; a.Event != b.Event || a.Block != b.Block || a.Sub != b.Sub || !slices.EqualFunc(a.Take, b.Take, same) {
			t.Errorf("%v: event %d:\ngot  %+v\nwant %+v", g, i, a, b)
			return 0
		}
		if got[i].Event != "next" { // the golden has no confidence there
			for k := range got[i].Take {
				worst = max(worst, math.Abs(float64(got[i].Take[k].Confidence-want[i].Take[k].Confidence)))
			}
		}
	}
	return worst
}

func readTraces(t *testing.T) (goldens []goldenTrace) {
	t.Helper()
	readJSON(t, tinydlm+"golden/traces.json", &goldens)
	if len(goldens) != 135 {
		t.Fatalf("%d golden traces, want 135", len(goldens))
	}
	return goldens
}

func readJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func loadTokenizer(t *testing.T, m *infer.Model) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.New(m.Metadata(), m.Config().Vocab, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
