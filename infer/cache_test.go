package infer

import (
	"fmt"
	"runtime"
	"testing"
	"weak"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// TestSharedPages begins a request with another's prefix and holds its logits to those of a request that computed it all.
func TestSharedPages(t *testing.T) {
	f, ids := tinyModel(names.BitNetB158, 1), someIDs(110, 4)
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16} {
		for _, mask := range []Mask{{}, {Block: 8}} {
			t.Run(fmt.Sprintf("%v mask %d", typ, mask.Block), func(t *testing.T) {
				m := f.load(t, Options{CacheType: typ})
				first := newCache(t, m, 128)
				whole := &Segment{Cache: first, IDs: ids, Mask: mask, Logits: allRows(len(ids))}
				forward(t, m, whole)
				first.SetLen(104)
				pages := []*Page{first.Page(0), first.Page(1), first.Page(2)}
				rest := func(n int) *Segment {
					c, err := m.NewCacheFrom(pages[:n], 128)
					if err != nil {
						t.Fatal(err)
					}
					if c.Len() != 32*n {
						t.Fatalf("%d pages make %d positions", n, c.Len())
					}
					return &Segment{Cache: c, Start: 32 * n, IDs: ids[32*n:], Mask: mask, Logits: allRows(len(ids) - 32*n)}
				}
				batch := []*Segment{rest(0), rest(1), rest(2), rest(3)}
				forward(t, m, batch...)
				for n, s := range batch {
					if !equal(s.Out, whole.Out[32*n*tinyVocab:]) {
						t.Errorf("logits after %d shared pages differ from those of one cache", n)
					}
				}
			})
		}
	}
}

// TestSharedPagesStay writes where shared pages lie, from both sides, and looks at the other side.
func TestSharedPagesStay(t *testing.T) {
	m, ids, other := tinyModel(names.Llama, 4).load(t, Options{}), someIDs(64, 4), someIDs(64, 5)
	want, wantOther := logits(t, m, ids, Mask{}), logits(t, m, append(append([]int32{}, ids[:40]...), other[40:]...), Mask{})
	owner := newCache(t, m, 64)
	forward(t, m, &Segment{Cache: owner, IDs: ids})
	owner.SetLen(64)
	guest, err := m.NewCacheFrom([]*Page{owner.Page(0), owner.Page(1)}, 64)
	if err != nil {
		t.Fatal(err)
	}
	last := func(c *Cache, id int32) []float32 {
		s := &Segment{Cache: c, Start: 63, IDs: []int32{id}, Logits: []int{0}}
		forward(t, m, s)
		return s.Out
	}
	guest.SetLen(40)
	forward(t, m, &Segment{Cache: guest, Start: 40, IDs: other[40:]})
	if !equal(last(owner, ids[63]), want[63*tinyVocab:]) {
		t.Error("a cache that rolled back wrote to the page it shares")
	}
	owner.SetLen(0)
	forward(t, m, &Segment{Cache: owner, IDs: other})
	if !equal(last(guest, other[63]), wantOther[63*tinyVocab:]) {
		t.Error("the cache that computed a page wrote to it after it was shared")
	}
}

// TestCachesAreForgotten: a model does not keep the caches of its last passes.
func TestCachesAreForgotten(t *testing.T) {
	m := tinyModel(names.Llama, 4).load(t, Options{})
	cache := func() weak.Pointer[Cache] {
		c := newCache(t, m, 64)
		forward(t, m, &Segment{Cache: c, IDs: someIDs(40, 4)})
		return weak.Make(c)
	}()
	runtime.GC()
	if cache.Value() != nil {
		t.Error("the cache is still there")
	}
	runtime.KeepAlive(m)
}

func TestPagesRefused(t *testing.T) {
	m := tinyModel(names.Llama, 4).load(t, Options{})
	c := newCache(t, m, 64)
	forward(t, m, &Segment{Cache: c, IDs: someIDs(64, 4)})
	c.SetLen(63)
	if _, err := m.NewCacheFrom([]*Page{c.Page(0)}, 31); fault.Code(err) != "BAD_OPTION" {
		t.Errorf("error %v for a page of 32 positions in a cache of 31", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a page whose last position is not final was handed out")
		}
	}()
	c.Page(1)
}
