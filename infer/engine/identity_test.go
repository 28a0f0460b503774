package engine

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/wrinklefree/wf/infer/diffusion"
)

// requests are n different ones: other lengths, modes, temperatures and, among each four, a common beginning. One in four fills in holes.
func requests(dialect string, n int) []Request {
	var all []Request
	for i := range n {
		ids := append(prompt(int32(3+i/4), 33+10*(i/4), uint64(i/4)), prompt(int32(3+i), 1+7*i%40, uint64(100+i))...)
		r := Request{Prompt: ids, Steps: true, Text: spell, Options: diffusion.Options{MaxTokens: 4 + i%3*5, Seed: ptr(uint64(i))}}
		if testing.Short() {
			r.Options.MaxTokens = 2 + i%3
		}
		if i%2 == 1 {
			r.Options.Temperature = 1
		}
		if dialect != "" {
			r.Options.Mode = []string{"iterative", "adaptive", "greedy"}[i%3]
			r.Options.Threshold = ptr(float32(0.1))
		}
		if dialect == kinds[0] {
			r.Options.SubBlockCache = i%4 < 2
			r.Options.BlockSize = []int{0, 0, 16}[i%3]
			if i%4 == 3 { // holes in what is given, and behind it
				given := prompt(int32(3+i), 50, uint64(200+i))
				for j := range given {
					if j%11 < 3 {
						given[j] = diffusion.Masked
					}
				}
				r.Options.MaxTokens, r.Options.Infill = 0, given[:30+i]
			}
		}
		all = append(all, r)
	}
	return all
}

func TestIdenticalAnswers(t *testing.T) {
	t.Run("R109 alone, in batches, with neighbours, after cancels, threads, prefix cache", func(t *testing.T) {
		for _, dialect := range kinds {
			single := load(t, dialect, 1)
			all := requests(dialect, 16)
			var want []outcome
			for _, r := range all {
				want = append(want, alone(t, single, r, 0))
			}
			for _, c := range []struct {
				threads int
				o       Options
				batches []int
			}{
				{1, Options{Rows: 512}, []int{1, 2, 3, 8, 16}},
				{3, Options{NoPrefixCache: true, Rows: 48, PrefillRows: 32}, []int{1, 16}},
			} {
				m := load(t, dialect, c.threads)
				e := run(t, m, c.o)
				for _, batch := range c.batches {
					var streams []*Stream
					for i, r := range all[:batch] {
						if i%3 == 2 { // a neighbour that goes away
							ctx, cancel := context.WithCancel(t.Context())
							s, err := e.Submit(ctx, all[15-i])
							if err != nil {
								t.Fatal(err)
							}
							go func() {
								<-s.Events
								cancel()
							}()
						}
						streams = append(streams, submit(t, e, r))
					}
					for i, s := range streams {
						wantAnswer(t, fmt.Sprintf("dialect %q, %d threads, batch %d, request %d", dialect, c.threads, batch, i), s, want[i])
					}
				}
				if hits := e.Metrics().PrefixHits; c.o.NoPrefixCache == (hits > 0) || !c.o.NoPrefixCache && m.wide < 8 {
					t.Errorf("dialect %q: %d prefix hits with no prefix cache %v, %d answers in a pass", dialect, hits, c.o.NoPrefixCache, m.wide)
				}
			}
		}
	})
}

// TestChoices: each answer of a request is the one that it would be alone.
func TestChoices(t *testing.T) {
	m := load(t, kinds[0], 1)
	e := run(t, m, Options{Sequences: 3})
	r := Request{Prompt: prompt(3, 70, 1), Choices: 7, Steps: true, Options: diffusion.Options{MaxTokens: 20, Temperature: 1, Threshold: ptr(float32(0.2))}}
	s := submit(t, e, r)
	neighbour := submit(t, e, Request{Prompt: prompt(4, 10, 2), Options: diffusion.Options{MaxTokens: 4}})
	if _, err := neighbour.Collect(); err != nil {
		t.Fatal(err)
	}
	if got := e.Metrics(); got.NewTokens > 6*20 {
		t.Errorf("%d tokens were made before the neighbour's turn", got.NewTokens)
	}
	got, err := read(s)
	if err != nil {
		t.Fatal(err)
	}
	r.Options.Seed = &s.Seed
	for i := range got {
		if want := alone(t, m, r, i); !reflect.DeepEqual(got[i], want) {
			t.Errorf("choice %d is %v, alone %v", i, got[i].ids, want.ids)
		}
		if i > 0 && reflect.DeepEqual(got[i].ids, got[0].ids) {
			t.Errorf("choices 0 and %d are the same", i)
		}
	}
	if got := e.Metrics(); got.Outcomes[completed] != 2 || got.PrefixHits != 6 || got.PrefixTokens != 6*64 {
		t.Errorf("%d completed, %d prefix hits with %d tokens", got.Outcomes[completed], got.PrefixHits, got.PrefixTokens)
	}
}
