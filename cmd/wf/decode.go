package main

import (
	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// decodeFlags are how an answer is decoded and sampled.
type decodeFlags struct {
	mode      string
	threshold optional[float32]
	cache     bool
	iters     int
	maxTokens int
	context   int
	temp      float32
	topK      int
	topP      optional[float32]
	minP      float32
	seed      optional[uint64]
	stop      []string
}

func (d *decodeFlags) bind(cmd *cobra.Command) {
	d.threshold, d.topP, d.seed = optionalFloat(), optionalFloat(), optionalSeed()
	f := cmd.Flags()
	f.Var(oneOf(&d.mode, decodeModes...), "decode-mode", "iterative, greedy, adaptive, autoregressive or auto, which chooses sub-blocks as it goes (the file's, else the dialect's)")
	f.Var(&d.threshold, "threshold", "take a masked token whose confidence exceeds this, 0 to 1 (the file's, else the dialect's)")
	f.BoolVar(&d.cache, "sub-block-cache", false, "rerun a sub-block alone where that is possible: faster, results change slightly")
	f.IntVar(&d.iters, "max-iterations", 0, "passes over a block before the best guesses fill it, dialect wrinklefree (10)")
	f.IntVarP(&d.maxTokens, "max-tokens", "n", 0, "new tokens at most (0: to the context's end)")
	f.IntVarP(&d.context, "ctx-size", "c", 0, "positions of prompt and answer together (0: the model's, at most 4096)")
	f.Float32Var(&d.temp, "temp", 0, "temperature; 0: always the most likely token")
	f.IntVar(&d.topK, "top-k", 0, "sample from the k most likely tokens (0: all)")
	f.Var(&d.topP, "top-p", "sample from the fewest tokens whose probability reaches p (1: all)")
	f.Float32Var(&d.minP, "min-p", 0, "sample from tokens at least p times as likely as the most likely (0: all)")
	f.VarP(&d.seed, "seed", "s", "seed of the sampler (random; the report names it)")
	f.StringArrayVar(&d.stop, "stop", nil, "`text` that ends the answer and is not shown; may be repeated")
}

// options returns the request's options without its callbacks.
func (d *decodeFlags) options(env *environment, m *modelFlags, s *session) diffusion.Options {
	return diffusion.Options{
		Mode: d.mode, Threshold: d.threshold.value, BlockSize: m.block, SubBlockSize: m.subBlock, SubBlockCache: d.cache, MaxIterations: d.iters,
		MaxTokens: d.maxTokens, Context: d.context, Temperature: d.temp, TopK: d.topK, TopP: d.topP.value, MinP: d.minP, Seed: d.seed.value,
		Stop: s.tokenizer.Stop(), StopStrings: d.stop, Text: s.tokenizer.NewStream(), Warn: env.warn,
	}
}
