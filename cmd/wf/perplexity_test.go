package main

import (
	"math"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// TestPerplexity holds both numbers against the definition, computed from the logits of whole sequences in one pass each, without a cache that is
// kept. Both dialects, with and without shifted logits.
func TestPerplexity(t *testing.T) {
	var text strings.Builder
	for _, q := range questionsOfTiny(t)[:40] {
		text.WriteString(q.Question + " " + q.Answer + "\n")
	}
	const context, chunks, block = 128, 2, 32
	for _, test := range []struct {
		name, mask, dialect string
	}{{"causal", "causal", ""}, {"fast-dllm-v2", "block", ""}, {"wrinklefree", "block", "wrinklefree"}} {
		t.Run(test.name, func(t *testing.T) {
			s, err := (&modelFlags{dialect: test.dialect, threads: 2}).load(&environment{quiet: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			p := perplexity{Model: "wf-tiny", Mask: test.mask, Context: context, Chunks: chunks}
			if err := p.measure(t.Context(), s, text.String(), func(string) {}); err != nil {
				t.Fatal(err)
			}
			ids := s.tokenizer.Encode(text.String(), tokenizer.EncodeOptions{AddBOS: true})
			sum, n := 0.0, 0
			add := func(rows []float32, row int, id int32) {
				const vocab = 1024
				total := 0.0
				for _, l := range rows[row*vocab:][:vocab] {
					total += math.Exp(float64(l))
				}
				sum -= math.Log(math.Exp(float64(rows[row*vocab+int(id)])) / total)
				n++
			}
			for c := range chunks {
				chunk := ids[c*context:][:context]
				if test.mask == "causal" {
					rows := logitsOf(t, s.model, chunk, infer.Mask{})
					for i := context / 2; i < context-1; i++ {
						add(rows, i, chunk[i+1])
					}
					continue
				}
				mask, known := infer.Mask{Block: block}, 1
				if test.dialect == "wrinklefree" {
					mask, known = infer.Mask{}, 0
				}
				for from := context / 2; from < context; from += block {
					add(logitsOf(t, s.model, chunk[:from], mask), from-1, chunk[from])
					blind := append([]int32{}, chunk[:from+block]...)
					for i := from + known; i < len(blind); i++ {
						blind[i] = s.model.Config().Diffusion.MaskToken
					}
					rows := logitsOf(t, s.model, blind, mask)
					for i := from; i < from+block-1; i++ {
						add(rows, i, chunk[i+1])
					}
				}
			}
			want := math.Exp(sum / float64(n))
			if p.Scored != n || !(math.Abs(p.Perplexity-want) <= 1e-9*want) || !(p.Error > 0) {
				t.Errorf("%.9f +/- %.4f of %d tokens, want %.9f of %d", p.Perplexity, p.Error, p.Scored, want, n)
			}
		})
	}
}

// TestPerplexityOfKnownLogits: a uniform guess over 4 tokens has perplexity 4 and no error; two tokens at 1/2 and 1/8 have 4, with one.
func TestPerplexityOfKnownLogits(t *testing.T) {
	var p perplexity
	p.add([]float32{7, 7, 7, 7}, 1)
	p.add([]float32{-1e30, -1e30, -1e30, -1e30}, 2)
	if math.Abs(p.Perplexity-4) > 1e-12 || p.Error > 1e-6 {
		t.Errorf("%v +/- %v, want 4 +/- 0", p.Perplexity, p.Error)
	}
	p = perplexity{}
	half, eighth := float32(math.Log(0.5)), float32(math.Log(0.125))
	p.add([]float32{half, eighth, eighth, eighth, eighth}, 0)
	p.add([]float32{half, eighth, eighth, eighth, eighth}, 1)
	if want := 4 * math.Ln2; math.Abs(p.Perplexity-4) > 1e-6 || math.Abs(p.Error-want) > 1e-6 {
		t.Errorf("%v +/- %v, want 4 +/- %v", p.Perplexity, p.Error, want)
	}
}
