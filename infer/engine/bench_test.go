package engine

import (
	"fmt"
	"sync"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tiny"
)

// BenchmarkClients measures what company brings: tokens a second of 1, 4 and 16 clients together, each with one request at a time.
func BenchmarkClients(b *testing.B) {
	file, err := gguf.Parse(tiny.Model)
	if err != nil {
		b.Fatal(err)
	}
	for _, dialect := range []string{names.DialectFastDLLM, ""} {
		m, err := infer.LoadFile(file, infer.Options{Dialect: dialect, NoMask: dialect == ""})
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close()
		e, err := New(m, Options{NoPrefixCache: true})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		how := dialect
		if how == "" {
			how = "autoregressive"
		}
		for _, clients := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", how, clients), func(b *testing.B) {
				before := e.Metrics().NewTokens
				for b.Loop() {
					var group sync.WaitGroup
					for client := range clients {
						group.Go(func() {
							r := Request{Prompt: prompt(3, 20, uint64(client)), Options: diffusion.Options{MaxTokens: 32}}
							s, err := e.Submit(b.Context(), r)
							if err == nil {
								_, err = s.Collect()
							}
							if err != nil {
								b.Error(err)
							}
						})
					}
					group.Wait()
				}
				b.ReportMetric(float64(e.Metrics().NewTokens-before)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
