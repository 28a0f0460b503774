package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// words are what TestInfilling hides: one at a time, with the space before it.
var words = regexp.MustCompile(` ?[A-Za-z0-9]+`)

// TestInfilling hides each word of the answers of eval.jsonl in turn and counts how often the demonstration model puts back the same, with what
// follows it in view and without. The normal run takes one question in thirty; with WF_EVAL=all (make eval) all, and the table that it prints must be the one
// in docs/infilling.md.
func TestInfilling(t *testing.T) {
	s, err := (&modelFlags{}).load(&environment{stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	questions, all := questionsOfTiny(t), os.Getenv("WF_EVAL") == "all"
	type row struct{ words, without, with int }
	rows := map[string]*row{"train": {}, "held_out": {}, "": {}}
	seen := map[string]bool{}
	for i, q := range questions {
		if !all && i%30 > 0 {
			continue
		}
		for split, before := range map[string][]tokenizer.Message{q.Split: {{Role: "user", Content: q.Question}}, "": nil} {
			if split == "" && seen[q.Answer] {
				continue
			}
			r := rows[split]
			for _, at := range words.FindAllStringIndex(q.Answer, -1) {
				before, err := s.tokenizer.Chat(before, true)
				if err != nil {
					t.Fatal(err)
				}
				left, word, right := q.Answer[:at[0]], q.Answer[at[0]:at[1]], q.Answer[at[1]:]
				hole := fmt.Sprintf("[[%d]]", len(s.tokenizer.Encode(word, tokenizer.EncodeOptions{})))
				r.words++
				if putBack(t, s, before, left+hole).Text == word {
					r.without++
				}
				if putBack(t, s, before, left+hole+right).Text == word {
					r.with++
				}
			}
		}
		seen[q.Answer] = true
	}
	table := "| before the answer stands | words | put back without what follows | with it |\n| --- | --- | --- | --- |\n"
	for _, c := range []struct{ split, what string }{
		{"train", "the question, in a phrasing it was trained on"}, {"held_out", "the question, in a phrasing it never saw"}, {"", "no question"},
	} {
		r := rows[c.split]
		percent := func(n int) float64 { return 100 * float64(n) / float64(r.words) }
		table += fmt.Sprintf("| %s | %d | %.1f %% | %.1f %% |\n", c.what, r.words, percent(r.without), percent(r.with))
		if low := map[bool]float64{true: 0, false: 80}[c.split == ""]; !(percent(r.with) > low) || c.split == "" && r.with <= r.without {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
	t.Log(table)
	if all {
		requireTable(t, "infilling.md", table)
	}
}

// putBack fills in the only hole of a text.
func putBack(t *testing.T, s *session, before []int32, text string) diffusion.Hole {
	t.Helper()
	o := diffusion.Options{Stop: s.tokenizer.Stop(), Text: s.tokenizer.NewStream()}
	prompt, err := o.ReadInfill(s.model.Config(), before, text, func(parts []string) [][]int32 {
		return s.tokenizer.EncodeParts(parts, tokenizer.EncodeOptions{})
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := diffusion.Generate(t.Context(), s.model, prompt, o)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(text, "[[") != len(r.Holes) {
		t.Fatalf("%q: holes %+v", text, r.Holes)
	}
	return r.Holes[0]
}
