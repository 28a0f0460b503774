package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// serveBenchmark is dlm_server's --benchmark: one request after the other, and what each took.
type serveBenchmark struct {
	enabled    bool
	iterations int
	maxTokens  int
	prompt     string
	json       bool
}

// serveFigures is what --benchmark --json prints. Times are milliseconds, percentiles by nearest rank.
type serveFigures struct {
	Requests   int     `json:"requests"`
	Tokens     int     `json:"tokens"`
	TokensPerS float64 `json:"tokens_per_second"`
	P50        float64 `json:"latency_p50_ms"`
	P95        float64 `json:"latency_p95_ms"`
	P99        float64 `json:"latency_p99_ms"`
}

func (b *serveBenchmark) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&b.enabled, "benchmark", false, "measure latency and tokens a second instead of serving")
	f.IntVar(&b.iterations, "benchmark-iterations", 10, "requests that are measured")
	f.IntVar(&b.maxTokens, "benchmark-max-tokens", 64, "new tokens of each at most")
	f.StringVar(&b.prompt, "benchmark-prompt", "What is the capital of France?", "what is asked")
	f.BoolVar(&b.json, "json", false, "print the figures of --benchmark as JSON")
}

func (v *service) benchmark(ctx context.Context, env *environment) error {
	b := v.bench
	if b.iterations < 1 || b.maxTokens < 1 {
		return usagef("--benchmark-iterations %d --benchmark-max-tokens %d: wanted at least 1", b.iterations, b.maxTokens)
	}
	v.engine.prefix = false // each request is to do the same work
	m, err := v.load(ctx, env, nil)
	if err != nil {
		return err
	}
	defer m.close()
	prompt := m.tokenizer.Encode(b.prompt, tokenizer.EncodeOptions{Special: true, AddBOS: true})
	if m.tokenizer.HasChatTemplate() {
		if prompt, err = m.tokenizer.Chat([]tokenizer.Message{{Role: "user", Content: b.prompt}}, true); err != nil {
			return err
		}
	}
	o := m.served.Defaults
	o.MaxTokens = b.maxTokens
	var took []time.Duration
	var total time.Duration
	tokens := 0
	for i := -1; i < b.iterations; i++ { // the first warms up
		began := time.Now()
		stream, err := m.served.Engine.Submit(ctx, engine.Request{
			Prompt: prompt, Options: o, Text: func() diffusion.TextStream { return m.tokenizer.NewStream() },
		})
		if err != nil {
			return err
		}
		results, err := stream.Collect()
		if err != nil {
			return err
		}
		if i >= 0 {
			took = append(took, time.Since(began))
			total += took[i]
			tokens += results[0].Stats.NewTokens
		}
	}
	slices.Sort(took)
	if b.json {
		ms := func(percent int) float64 { return float64(quantile(took, percent)) / float64(time.Millisecond) }
		return env.writeJSON(serveFigures{len(took), tokens, float64(tokens) / total.Seconds(), ms(50), ms(95), ms(99)})
	}
	_, err = fmt.Fprintf(env.stdout, "requests    %d\ntokens      %d\ntokens/s    %.1f\nlatency p50 %v\nlatency p95 %v\nlatency p99 %v\n",
		len(took), tokens, float64(tokens)/total.Seconds(), quantile(took, 50), quantile(took, 95), quantile(took, 99))
	return err
}

// quantile is the smallest of the sorted durations that at least percent of them do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1].Round(10 * time.Microsecond)
}
