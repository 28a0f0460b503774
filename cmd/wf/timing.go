package main

import (
	"fmt"
	"strings"

	"github.com/wrinklefree/wf/infer/diffusion"
)

// timing reports on standard error what an answer cost.
func (env *environment) timing(r *diffusion.Result) {
	s := r.Stats
	parts := []string{fmt.Sprintf("%d prompt tokens", s.PromptTokens)}
	if seconds := s.Seconds[diffusion.Prefill]; seconds > 0 {
		parts[0] += fmt.Sprintf(" in %.3f s", seconds)
	}
	parts = append(parts, fmt.Sprintf("%d new tokens, %.1f tokens/s", s.NewTokens, s.TokensPerSecond()))
	for kind := diffusion.DenoiseBlock; kind < diffusion.Kinds; kind++ {
		if n := s.Passes[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v passes in %.3f s", n, kind, s.Seconds[kind]))
		}
	}
	if s.DenoiseSteps() > 0 {
		parts = append(parts, fmt.Sprintf("%.1f tokens a denoise step", s.TokensPerStep()))
	}
	if s.Auto != nil {
		parts = append(parts, "auto chose "+s.Auto.String())
	}
	parts = append(parts, fmt.Sprintf("finish %s, seed %d", r.FinishReason, r.Seed))
	env.note(strings.Join(parts, "; "))
}
