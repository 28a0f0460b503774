package infer

import (
	"fmt"
	"slices"

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
// Positions lie in pages of PagePositions. A page of the prefix may be shared: Page hands it out, NewCacheFrom begins another cache with it.
// Sharing copies nothing, and a cache that comes to write where a shared page lies writes to a copy of its own.
type Cache struct {
	k, v     [][]float32 // by page [Layers, KVHeads, PagePositions, HeadDim], so one head's positions follow one another; nil with halves
	k16, v16 [][]uint16  // the same as IEEE halves
	page     int         // numbers in a page of keys
	kvHeads  int
	headDim  int
	capacity int
	length   int
	filled   int
	shared   int // pages before this one may belong to others as well
}

// PagePositions is how many positions lie in a page.
const PagePositions = 32

// Page is the keys and values of PagePositions consecutive final positions, in all layers. It never changes.
type Page struct {
	k, v     []float32
	k16, v16 []uint16
}

// PageBytes is the memory that a page of the model's caches takes.
func (m *Model) PageBytes() uint64 { return cacheBytes(&m.config, m.cacheType, PagePositions) }

// cacheBytes is the memory for keys and values of whole pages of positions.
func cacheBytes(c *Config, typ gguf.Type, positions int) uint64 {
	size := uint64(4)
	if typ == gguf.F16 {
		size = 2
	}
	pages := (uint64(positions) + PagePositions - 1) / PagePositions
	bytes, ok := checked.Product(2*size, pages, PagePositions, uint64(c.Layers), uint64(c.KVHeads), uint64(c.HeadDim))
	if !ok {
		return 1<<63 - 1
	}
	return bytes
}

// NewCache makes a cache for capacity positions. It fails with MEMORY_ESTIMATE if the machine has not that much memory. Pages are allocated
// as passes reach them.
func (m *Model) NewCache(capacity int) (*Cache, error) { return m.NewCacheFrom(nil, capacity) }

// NewCacheFrom is NewCache, but the cache begins with pages that another cache of this model has computed: Len is their positions. They must
// fit capacity. Logits that come of them are, bit for bit, those of a cache that computed the prefix itself.
func (m *Model) NewCacheFrom(prefix []*Page, capacity int) (*Cache, error) {
	if n := len(prefix) * PagePositions; capacity < max(1, n) {
		return nil, fault.New("BAD_OPTION", "infer: a cache for %d positions; it needs at least %d", capacity, max(1, n))
	}
	c := &m.config
	need := cacheBytes(c, m.cacheType, capacity-len(prefix)*PagePositions)
	if err := fitsMemory(fmt.Sprintf("keys and values of %d positions (pass a smaller --ctx-size)", capacity), need, availableMemory()); err != nil {
		return nil, err
	}
	cache := &Cache{page: c.Layers * c.KVHeads * PagePositions * c.HeadDim, kvHeads: c.KVHeads, headDim: c.HeadDim, capacity: capacity}
	pages := (capacity + PagePositions - 1) / PagePositions
	if m.cacheType == gguf.F16 {
		cache.k16, cache.v16 = make([][]uint16, 0, pages), make([][]uint16, 0, pages)
	} else {
		cache.k, cache.v = make([][]float32, 0, pages), make([][]float32, 0, pages)
	}
	for _, p := range prefix {
		cache.append(p)
	}
	cache.shared, cache.filled = len(prefix), len(prefix)*PagePositions
	cache.length = cache.filled
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

// Page returns page i, positions i*PagePositions and on, for another cache. All its positions must be final, before Len; it panics otherwise.
func (c *Cache) Page(i int) *Page {
	if i < 0 || (i+1)*PagePositions > c.length {
		panic(fmt.Sprintf("infer: page %d of a cache in which %d positions are final", i, c.length))
	}
	c.shared = max(c.shared, i+1)
	if c.k16 != nil {
		return &Page{k16: c.k16[i], v16: c.v16[i]}
	}
	return &Page{k: c.k[i], v: c.v[i]}
}

func (c *Cache) append(p *Page) {
	if c.k16 != nil {
		c.k16, c.v16 = append(c.k16, p.k16), append(c.v16, p.v16)
	} else {
		c.k, c.v = append(c.k, p.k), append(c.v, p.v)
	}
}

// own makes positions [start, end) writable: it adds the pages that are missing and copies those that may be shared.
func (c *Cache) own(start, end int) {
	for i := start / PagePositions; i < c.shared; i++ {
		if c.k16 != nil {
			c.k16[i], c.v16[i] = slices.Clone(c.k16[i]), slices.Clone(c.v16[i])
		} else {
			c.k[i], c.v[i] = slices.Clone(c.k[i]), slices.Clone(c.v[i])
		}
	}
	c.shared = min(c.shared, start/PagePositions)
	for max(len(c.k), len(c.k16))*PagePositions < end {
		if c.k16 != nil {
			c.append(&Page{k16: make([]uint16, c.page), v16: make([]uint16, c.page)})
		} else {
			c.append(&Page{k: make([]float32, c.page), v: make([]float32, c.page)})
		}
	}
}

// at is where a head's number at a position begins in the position's page.
func (c *Cache) at(layer, kvHead, pos int) int {
	return ((layer*c.kvHeads+kvHead)*PagePositions + pos%PagePositions) * c.headDim
}

// put writes one position of a layer: k and v are [KVHeads, HeadDim].
func (c *Cache) put(layer, pos int, k, v []float32) {
	page := pos / PagePositions
	for h := range c.kvHeads {
		lo, from := c.at(layer, h, pos), h*c.headDim
		hi, to := lo+c.headDim, from+c.headDim
		if c.k16 != nil {
			kernel.ToHalf(c.k16[page][lo:hi], k[from:to])
			kernel.ToHalf(c.v16[page][lo:hi], v[from:to])
		} else {
			copy(c.k[page][lo:hi], k[from:to])
			copy(c.v[page][lo:hi], v[from:to])
		}
	}
}

// view is one head's positions.
func (c *Cache) view(layer, kvHead int) kernel.KV {
	return kernel.KV{K: c.k, V: c.v, K16: c.k16, V16: c.v16, Offset: c.at(layer, kvHead, 0), Page: PagePositions, Stride: c.headDim}
}
