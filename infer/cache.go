package infer

import (
	"fmt"

	"github.com/x448/float16"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/kernel"
)

// Cache holds the keys and values of one request by absolute position, 0 up to its capacity.
//
//	0 .. Len-1      the prefix: computed from final tokens, kept
//	Len .. filled-1 the block being denoised: every pass overwrites what it runs, so here lies the newest of each position
//	filled .. Cap-1 never written; no pass may look there
//
// Inside, a layer's keys are [KVHeads, Cap, HeadDim], so that one head's positions follow one another, and its values alike.
type Cache struct {
	k, v     []float32 // [Layers, KVHeads, Cap, HeadDim]; nil with halves
	k16, v16 []uint16  // the same as IEEE halves
	kvHeads  int
	headDim  int
	capacity int
	length   int
	filled   int
}

// NewCache makes room for capacity positions. It fails with MEMORY_ESTIMATE, before it allocates, if the machine has not that much memory.
func (m *Model) NewCache(capacity int) (*Cache, error) {
	if capacity < 1 {
		return nil, fault.New("BAD_OPTION", "infer: a cache for %d positions; it needs at least 1", capacity)
	}
	c := &m.config
	elements, ok := checked.Product(uint64(c.Layers), uint64(c.KVHeads), uint64(c.HeadDim), uint64(capacity))
	size := uint64(4)
	if m.cacheType == gguf.F16 {
		size = 2
	}
	need, fits := checked.Product(elements, 2*size)
	if !ok || !fits {
		need = 1<<63 - 1
	}
	if err := fitsMemory(fmt.Sprintf("keys and values of %d positions (pass a smaller --ctx-size)", capacity), need, availableMemory()); err != nil {
		return nil, err
	}
	cache := &Cache{kvHeads: c.KVHeads, headDim: c.HeadDim, capacity: capacity}
	if m.cacheType == gguf.F16 {
		cache.k16, cache.v16 = make([]uint16, elements), make([]uint16, elements)
	} else {
		cache.k, cache.v = make([]float32, elements), make([]float32, elements)
	}
	return cache, nil
}

// Len is the number of final positions, Cap the capacity.
func (c *Cache) Len() int { return c.length }
func (c *Cache) Cap() int { return c.capacity }

// SetLen commits positions that have been computed (n > Len), or rolls back (n < Len) and forgets everything from n on. It panics when n was
// never computed.
func (c *Cache) SetLen(n int) {
	if n < 0 || n > c.filled {
		panic(fmt.Sprintf("infer: SetLen(%d) of a cache in which %d positions are computed", n, c.filled))
	}
	if n < c.length {
		c.filled = n
	}
	c.length = n
}

// at is where a head's number at a position begins.
func (c *Cache) at(layer, kvHead, pos int) int {
	return ((layer*c.kvHeads+kvHead)*c.capacity + pos) * c.headDim
}

// put writes one position of a layer: k and v are [KVHeads, HeadDim].
func (c *Cache) put(layer, pos int, k, v []float32) {
	for h := range c.kvHeads {
		lo, from := c.at(layer, h, pos), h*c.headDim
		kh, vh := k[from:from+c.headDim], v[from:from+c.headDim]
		if c.k16 != nil {
			for i := range kh {
				c.k16[lo+i], c.v16[lo+i] = float16.Fromfloat32(kh[i]).Bits(), float16.Fromfloat32(vh[i]).Bits()
			}
			continue
		}
		copy(c.k[lo:], kh)
		copy(c.v[lo:], vh)
	}
}

// view is one head's positions 0 to n-1.
func (c *Cache) view(layer, kvHead, n int) kernel.KV {
	lo := c.at(layer, kvHead, 0)
	hi := lo + n*c.headDim
	if c.k16 != nil {
		return kernel.KV{K16: c.k16[lo:hi], V16: c.v16[lo:hi], Stride: c.headDim}
	}
	return kernel.KV{K: c.k[lo:hi], V: c.v[lo:hi], Stride: c.headDim}
}
