package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/quant"
)

// typeChoices are the rows of docs/types.md: every type that the demonstration model can have, as a person would ask for it.
var typeChoices = []struct {
	name      string
	types     quant.Types
	low, high float64 // exact answers of all must lie in this range
}{
	{"F32", quant.Types{Type: gguf.F32}, 0.8, 1},
	{"F16", quant.Types{Type: gguf.F16}, 0.8, 1},
	{"BF16", quant.Types{Type: gguf.BF16}, 0.8, 1},
	{"Q8_0", quant.Types{Type: gguf.Q8_0}, 0.8, 1},
	{"Q6_K", quant.Types{Type: gguf.Q6_K}, 0.8, 1},
	{"Q4_0", quant.Types{Type: gguf.Q4_0}, 0, 1},
	{"TQ1_0", quant.Types{Type: gguf.TQ1_0}, 0.8, 1},
	{"I2_S", quant.Types{Type: gguf.I2_S}, 0.8, 1},
	{"I2_S, embedding Q8_0", quant.Types{Type: gguf.I2_S, TokenEmbedding: gguf.Q8_0, HasTokenEmbedding: true}, 0.8, 1},
	{"I2_S, embedding Q6_K", quant.Types{Type: gguf.I2_S, TokenEmbedding: gguf.Q6_K, HasTokenEmbedding: true}, 0.8, 1},
	{"I2_S, embedding Q4_0", quant.Types{Type: gguf.I2_S, TokenEmbedding: gguf.Q4_0, HasTokenEmbedding: true}, 0, 1},
}

// TestTypesPage measures size and accuracy of the demonstration model in every type. The normal run asks one question in thirty; with WF_EVAL=all (make
// eval) all 300, and the table that it prints must be the one in docs/types.md.
func TestTypesPage(t *testing.T) {
	source := convertTo(t, tinydlm+"hf", convert.Options{Type: "f32"})
	questions, all := questionsOfTiny(t), os.Getenv("WF_EVAL") == "all"
	if !all {
		for i := range len(questions) / 30 {
			questions[i] = questions[30*i]
		}
		questions = questions[:len(questions)/30]
	}
	table := "| type | file | bits a weight | trained phrasings | unseen phrasings |\n| --- | --- | --- | --- | --- |\n"
	for _, c := range typeChoices {
		out := filepath.Join(t.TempDir(), "m.gguf")
		r, err := quant.Run(context.Background(), quant.Options{In: source, Out: out, Types: c.types, Version: version})
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, loadModel(t, out, infer.Options{}), questions, diffusion.Options{})
		row := fmt.Sprintf("| %s | %.2f MB | %.2f | %.1f %% | %.1f %% |", c.name, float64(r.Size)/1e6, r.BitsPerWeight, 100*a.share("train"), 100*a.share("held_out"))
		t.Log(row)
		table += row + "\n"
		if exact := (a.share("train") + a.share("held_out")) / 2; all && !(exact >= c.low && exact <= c.high) {
			t.Errorf("%s: %.3f of the answers are exact; expected %v to %v", c.name, exact, c.low, c.high)
		}
	}
	page, err := os.ReadFile(docs + "types.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(table) { // sizes are held in every run
		cells := strings.Split(line, "|")
		if want := strings.Join(cells[:4], "|"); !all && !strings.Contains(string(page), want) {
			t.Errorf("docs/types.md does not hold %s", want)
		}
	}
	if all && !strings.Contains(string(page), table) {
		t.Errorf("docs/types.md does not hold this table:\n%s", table)
	}
}
