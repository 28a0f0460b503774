package engine

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// pagesOf stands for the keys and values of ids: a page for each 32.
func pagesOf(ids []int32) (pages []*infer.Page) {
	for range len(ids) / infer.PagePositions {
		pages = append(pages, new(infer.Page))
	}
	return pages
}

func TestPrefixTree(t *testing.T) {
	causal, blocks := infer.Mask{}, infer.Mask{Block: 24} // which has units of 96
	p := newPrefixes(1, 1000)
	a := prompt(3, 200, 1)
	b := slices.Concat(a[:100], prompt(3, 100, 2))
	pagesA := pagesOf(a[:192])
	p.add(causal, a[:192], pagesA)
	p.add(causal, b[:192], slices.Concat(pagesA[:3], pagesOf(b[96:192])))
	find := func(mask infer.Mask, ids []int32) int {
		_, pages := p.find(mask, ids)
		return len(pages)
	}
	for _, c := range []struct {
		ids  []int32
		want int
	}{{a, 6}, {b, 6}, {a[:191], 5}, {a[:31], 0}, {a[1:], 0}, {b[:100], 3}, {slices.Concat(a[:32], b[100:]), 1}} {
		if got := find(causal, c.ids); got != c.want {
			t.Errorf("%d pages of %d ids; wanted %d", got, len(c.ids), c.want)
		}
	}
	if _, got := p.find(causal, a); !slices.Equal(got, pagesA) {
		t.Error("other pages came back")
	}
	if got := find(blocks, a); got != 0 {
		t.Errorf("%d pages under another mask", got)
	}
	p.add(blocks, a[:96], pagesOf(a[:96]))
	if got := find(blocks, a); got != 3 || p.bytes != 12 {
		t.Errorf("%d pages, %d bytes", got, p.bytes)
	}
	if got := find(blocks, a[:95]); got != 0 {
		t.Errorf("%d pages of part of a unit", got)
	}

	// What was used last stays; what is pinned stays; a prefix never loses its beginning.
	p.find(causal, b)
	p.find(causal, a)
	p.evict(9) // all of blocks
	if find(blocks, a) != 0 || find(causal, a) != 6 || p.bytes != 9 || p.evicted != 3 {
		t.Errorf("%d bytes, %d pages dropped", p.bytes, p.evicted)
	}
	at, _ := p.find(causal, b[:160])
	at.pins++
	p.find(causal, a)
	p.evict(0)
	if find(causal, b) != 5 || find(causal, a) != 3 || p.bytes != 5 {
		t.Errorf("%d pages of the pinned prefix are left, %d bytes", find(causal, b), p.bytes)
	}
	p.budget = 0
	p.unpin(at)
	if p.bytes != 0 || p.used.Len() != 0 || len(p.root(causal).children) != 0 {
		t.Errorf("%d bytes are left", p.bytes)
	}
}

// TestPrefixTreeAtRandom holds the tree to a list of what was added.
func TestPrefixTreeAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newPrefixes(10, 300)
	var pinned []*node
	for range 3000 {
		ids := make([]int32, 32*(1+r.IntN(8)))
		for i := range ids {
			ids[i] = int32(r.IntN(2)) // so that units repeat
			if i%32 > 0 {
				ids[i] = 0
			}
		}
		switch r.IntN(4) {
		case 0:
			at, pages := p.find(infer.Mask{}, ids)
			if len(pages) > 0 {
				at.pins++
				pinned = append(pinned, at)
			}
		case 1:
			if len(pinned) > 3 {
				p.unpin(pinned[0])
				pinned = pinned[1:]
			}
		default:
			p.add(infer.Mask{}, ids, pagesOf(ids))
		}
		bytes, seen := uint64(0), map[*node]bool{}
		for _, n := range p.nodes() {
			bytes += 10 * uint64(len(n.pages))
			seen[n] = true
			if n.parent.parent != nil && !seen[n.parent] {
				t.Fatal("a child was used after its parent")
			}
		}
		if bytes != p.bytes {
			t.Fatalf("%d bytes are kept, %d are counted", bytes, p.bytes)
		}
		for _, n := range pinned {
			for ; n.parent != nil; n = n.parent {
				if n.parent.children[n.key] != n || !seen[n] {
					t.Fatal("a pinned prefix was dropped")
				}
			}
		}
		if len(pinned) == 0 && p.bytes > 300 {
			t.Fatalf("%d bytes", p.bytes)
		}
	}
	if p.evicted == 0 {
		t.Error("nothing was dropped")
	}
}

// TestSharedPrompts: identical prompts that come at once are computed once, also if the first of them goes away, and a conversation finds its past.
func TestSharedPrompts(t *testing.T) {
	for _, dialect := range kinds {
		m, open := held(t, dialect)
		e := run(t, m, Options{PrefillRows: 32})
		r := Request{Prompt: prompt(1003, 200, 1), Steps: true, Options: diffusion.Options{MaxTokens: 10}}
		want := func() outcome {
			m := load(t, dialect, 1)
			return alone(t, m, r, 0)
		}()
		var streams []*Stream
		for range 6 {
			streams = append(streams, submit(t, e, r))
		}
		open()
		for _, s := range streams {
			wantAnswer(t, dialect, s, want)
		}
		got := e.Metrics()
		if got.PrefixHits != 5 || got.PrefixMisses != 1 || got.PrefixTokens != 5*192 || got.PromptTokens != 6*200 {
			t.Errorf("dialect %q: %d hits with %d tokens, %d misses", dialect, got.PrefixHits, got.PrefixTokens, got.PrefixMisses)
		}
		if n := got.Rows[diffusion.Prefill]; n > 200+6*16 {
			t.Errorf("dialect %q: %d prefill rows", dialect, n)
		}

		r.Prompt = slices.Concat(r.Prompt, want.ids, prompt(1004, 40, 2)) // the next turn of the conversation
		next := load(t, dialect, 1)
		wantAnswer(t, dialect+", the next turn", submit(t, e, r), alone(t, next, r, 0))
		if got := e.Metrics().PrefixTokens - got.PrefixTokens; got < 192 {
			t.Errorf("dialect %q: the next turn found %d tokens", dialect, got)
		}
	}
}
