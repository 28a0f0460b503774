package infer

import (
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

// Mask says which positions a row sees.
type Mask struct {
	Block int // 0: causal, j <= i. B > 0: block-causal, j/B <= i/B, so a block's rows see all of it.
}

// end is the first position that position i does not see.
func (m Mask) end(i int) int {
	if m.Block == 0 {
		return i + 1
	}
	return (i/m.Block + 1) * m.Block
}

// Segment is one request's rows in a pass: consecutive positions Start, Start+1, ... Their keys and values are written to Cache; then row i
// sees every position j that Mask allows with j < Extent, whether written in this pass or before. So a sub-block pass of Fast-dLLM v2 (rows
// Start .. Start+s-1, Extent at the end of the block) replaces s rows of the stored block and attends to the prefix and all of it.
type Segment struct {
	Cache  *Cache
	Start  int
	IDs    []int32
	Extent int // 0 is Start+len(IDs)
	Mask   Mask
	Logits []int     // rows (indices into IDs) whose logits are wanted, ascending
	Out    []float32 // [len(Logits), Vocab]; grown if too small. The caller's between passes
	Err    error     // NUMERIC_ERROR if this segment's numbers overflowed in the pass; Out and what it wrote to Cache are then void
}

func (s *Segment) extent() int {
	if s.Extent == 0 {
		return s.Start + len(s.IDs)
	}
	return s.Extent
}

// Forward runs the rows of all segments; no two may share a cache. A row's logits do not depend on the other segments.
//
// NaN or infinity in one segment is that segment's Err. An error of Forward itself concerns all: an id outside the vocabulary
// (TOKEN_OUT_OF_RANGE), positions that the cache has not, or a mapped file that was truncated (FILE_CHANGED).
func (m *Model) Forward(segments []*Segment) error {
	for _, s := range segments {
		if err := m.admit(s); err != nil {
			return err
		}
	}
	m.pass.segments = segments
	defer m.pass.forget()
	return disk.Guard(m.file.Path, m.pass.runAll)
}

// admit checks a segment and makes room for its logits.
func (m *Model) admit(s *Segment) error {
	end, extent := s.Start+len(s.IDs), s.extent()
	switch c := s.Cache; {
	case len(s.IDs) == 0 || s.Start < 0 || s.Start > c.filled:
		return fmt.Errorf("infer: %d rows at position %d of a cache that holds %d", len(s.IDs), s.Start, c.filled)
	case end > c.capacity:
		return fault.New("CONTEXT_FULL", "infer: positions %d to %d do not fit a context of %d; pass a larger --ctx-size", s.Start, end-1, c.capacity)
	case extent < end || extent > max(end, c.filled):
		return fmt.Errorf("infer: rows up to position %d see %d positions of a cache that holds %d", end-1, extent, c.filled)
	}
	for _, id := range s.IDs {
		if id < 0 || int(id) >= m.config.Vocab {
			return fault.New("TOKEN_OUT_OF_RANGE", "infer: token id %d is outside the vocabulary of %d", id, m.config.Vocab)
		}
	}
	for i, r := range s.Logits {
		if r < 0 || r >= len(s.IDs) || i > 0 && r <= s.Logits[i-1] {
			return fmt.Errorf("infer: logits wanted of rows %v of %d; they must ascend", s.Logits, len(s.IDs))
		}
	}
	s.Cache.own(s.Start, end)
	s.Out = grow(s.Out, len(s.Logits)*m.config.Vocab)
	s.Err = nil
	return nil
}

// row is one row of a run.
type row struct {
	segment *Segment
	index   int // in the segment
	pos     int
	end     int // it sees positions [0, end)
	logits  int // its place in segment.Out, -1 if nobody wants its logits
}

// all cuts the segments into runs and does them.
func (p *pass) all() error {
	for at := (cursor{}); at.segment < len(p.segments); {
		if at = p.take(at); len(p.rows) > 0 {
			p.run()
		}
	}
	return nil
}

// forget lets go of the segments: their caches would stay in memory until other passes had come.
func (p *pass) forget() {
	clear(p.rows[:cap(p.rows)])
	p.segments, p.rows = nil, p.rows[:0]
}

// cursor is a row of a segment.
type cursor struct{ segment, row int }

// take collects rows for the next run. A causal segment may be cut anywhere, since a row sees none after it; a block-causal one only
// between blocks.
func (p *pass) take(at cursor) cursor {
	p.rows = p.rows[:0]
	for at.segment < len(p.segments) && len(p.rows) < p.maxRows {
		s := p.segments[at.segment]
		end := min(at.row+p.maxRows-len(p.rows), len(s.IDs))
		if b := s.Mask.Block; b > 0 && end < len(s.IDs) {
			end -= (s.Start + end) % b
			if end <= at.row && len(p.rows) > 0 {
				return at // the block starts the next run
			}
			if end <= at.row { // a block larger than a run
				end = min(s.Mask.end(s.Start+at.row)-s.Start, len(s.IDs))
			}
		}
		if s.Err == nil {
			for i := at.row; i < end; i++ {
				r := row{segment: s, index: i, pos: s.Start + i, logits: -1}
				r.end = min(s.Mask.end(r.pos), s.extent())
				if j, wanted := slices.BinarySearch(s.Logits, i); wanted {
					r.logits = j
				}
				p.rows = append(p.rows, r)
			}
		}
		if at.row = end; end == len(s.IDs) {
			at = cursor{segment: at.segment + 1}
		}
	}
	return at
}
