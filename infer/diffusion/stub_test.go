package diffusion

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/wrinklefree/wf/infer"
)

// stub is a model of two layers of hashes. What it keeps of a position, in both layers, depends on all that the position saw when it was
// computed, as keys and values do; its logits depend on all that the row sees. So a stale or missing entry, a wrong mask or a wrong position
// changes the result.
type stub struct {
	config infer.Config
	caches map[*infer.Cache][]entry
	logits func(row []float32, hash uint64) // nil: as hashed
	sick   map[*infer.Cache]func([]float32, uint64)
	passes []pass
	errs   error // Segment.Err of every pass
}

type entry struct{ first, second uint64 }

// pass is what Forward was asked for.
type pass struct {
	start, rows, extent int
	logits              []int
	ids                 []int32
}

const (
	stubVocab = 24
	stubMask  = 5
)

func newStub(dialect string, block, sub int) *stub {
	s := &stub{caches: map[*infer.Cache][]entry{}, config: infer.Config{Vocab: stubVocab, Context: 512}}
	if dialect != "" {
		s.config.Diffusion = &infer.DiffusionConfig{Dialect: dialect, MaskToken: stubMask, ShiftLogits: true, BlockSize: block, SubBlockSize: sub}
	}
	return s
}

func (s *stub) Config() *infer.Config { return &s.config }

func (s *stub) NewCacheFrom(_ []*infer.Page, capacity int) (*infer.Cache, error) {
	c := new(infer.Cache)
	s.caches[c] = make([]entry, capacity)
	return c, nil
}

func (s *stub) Forward(segments []*infer.Segment) error {
	for _, seg := range segments {
		cache, end := s.caches[seg.Cache], seg.Start+len(seg.IDs)
		extent := max(seg.Extent, end)
		if end > len(cache) || extent > len(cache) {
			return fmt.Errorf("rows [%d,%d) of extent %d do not fit a cache of %d", seg.Start, end, extent, len(cache))
		}
		s.passes = append(s.passes, pass{seg.Start, len(seg.IDs), extent, append([]int{}, seg.Logits...), append([]int32{}, seg.IDs...)})
		seg.Err = s.errs
		sees := func(i int) int {
			if b := seg.Mask.Block; b > 0 {
				return min((i/b+1)*b, extent)
			}
			return i + 1
		}
		for i, id := range seg.IDs {
			cache[seg.Start+i].first = mix(uint64(seg.Start+i)<<32 | uint64(id))
		}
		for i := seg.Start; i < end; i++ {
			h := cache[i].first
			for j := range sees(i) {
				h = mix(h ^ cache[j].first)
			}
			cache[i].second = h
		}
		seg.Out = make([]float32, len(seg.Logits)*s.config.Vocab)
		for n, row := range seg.Logits {
			i := seg.Start + row
			h := cache[i].second
			for j := range sees(i) {
				h = mix(h ^ cache[j].second)
			}
			row := seg.Out[n*s.config.Vocab:][:s.config.Vocab]
			if spoil := s.sick[seg.Cache]; spoil != nil {
				spoil(row, h)
			} else {
				s.fill(row, h)
			}
		}
	}
	return nil
}

// fill makes logits of a hash: half the rows are sure of their token, the others are not.
func (s *stub) fill(row []float32, hash uint64) {
	if s.logits != nil {
		s.logits(row, hash)
		return
	}
	r := rand.New(rand.NewPCG(hash, 1))
	for i := range row {
		row[i] = 4 * r.Float32()
	}
	row[r.IntN(len(row))] += 10 * r.Float32()
}

// mix is the finisher of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// always returns logits that say the same at every position.
func always(logits map[int]float32) func([]float32, uint64) {
	return func(row []float32, _ uint64) {
		for i := range row {
			row[i] = logits[i]
		}
	}
}

// recorded runs a request to its end and returns its events with what they take.
func recorded(t *testing.T, m Model, prompt []int32, o Options) (*Result, []Event) {
	t.Helper()
	var events []Event
	o.OnEvent = func(e Event) {
		e.Take = append([]Take{}, e.Take...)
		events = append(events, e)
	}
	r, err := Generate(t.Context(), m, prompt, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, events
}

func iota32(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i % stubVocab)
	}
	return ids
}

func ptr[T any](v T) *T { return &v }

// pieces is a TextStream over a vocabulary of texts.
type pieces []string

func (p pieces) Push(id int32) string { return p[id] }
func (p pieces) Flush() string        { return "" }
