package tokenizer

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// blank stands for a space in the pieces of a SentencePiece vocabulary, U+2581.
const blank = "▁"

// unranked is no piece: neither a text that is none nor a pair that has gone.
const unranked = math.MaxUint32

// spm is what a SentencePiece vocabulary (tokenizer.ggml.model "llama") has besides. Its pieces are plain text in which U+2581 stands for a
// space. Neighbours that together are a piece are joined, the pair whose piece has the highest score first and the leftmost of equals,
// as SentencePiece's bpe_model.cc and llama.cpp's llm_tokenizer_spm do. A character that is left and is no piece becomes its bytes.
type spm struct {
	ranks       []uint32 // by id: 0 for the highest score, equal scores alike; unranked for what is no piece
	spacePrefix bool     // a space goes before every text, and again behind a control token
	user        trie     // user-defined tokens, spaces as U+2581
}

// readPieces ranks the pieces by score. Unused and control tokens never come out of text.
func (t *Tokenizer) readPieces(md *gguf.Metadata) error {
	scores, err := array[float32](md, names.Scores)
	if err != nil {
		return err
	}
	s := &spm{ranks: make([]uint32, len(scores)), spacePrefix: true}
	if value, ok, err := gguf.Value[bool](md, names.AddSpacePrefix); err != nil {
		return err
	} else if ok {
		s.spacePrefix = value
	}
	var order []int
	for id, score := range scores {
		if score != score {
			return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s of token %d is NaN; convert the model again", names.Scores, id)
		}
		if s.ranks[id] = unranked; t.kinds[id] == names.TokenNormal && int32(id) != t.mask {
			order = append(order, id)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	rank := uint32(0)
	for i, id := range order {
		if i > 0 && scores[id] != scores[order[i-1]] {
			rank++
		}
		s.ranks[id] = rank
	}
	t.spm = s
	return nil
}

// rank returns the rank of the piece that is text, or unranked.
func (t *Tokenizer) rank(text string) uint32 {
	if len(text) > t.longest {
		return unranked
	}
	if id, ok := t.ids[text]; ok {
		return t.spm.ranks[id]
	}
	return unranked
}

// encodePieces appends the ids of a text without control tokens, with a space before it or without.
func (t *Tokenizer) encodePieces(ids []int32, m *joiner, text string, space bool) []int32 {
	if text == "" {
		return ids
	}
	if space {
		text = " " + text
	}
	text = strings.ReplaceAll(text, " ", blank)
	start := 0
	for at := 0; at < len(text); {
		id, size := t.spm.user.longest(text[at:], func(int32, int) bool { return true })
		if size == 0 {
			at++
			continue
		}
		ids = append(t.joinPieces(ids, m, text[start:at]), id)
		at += size
		start = at
	}
	return t.joinPieces(ids, m, text[start:])
}

// joinPieces appends the ids of a text without user-defined tokens.
func (t *Tokenizer) joinPieces(ids []int32, m *joiner, text string) []int32 {
	m.run(text, t.rank, func(part string) {
		if id, ok := t.ids[part]; ok && t.spm.ranks[id] != unranked {
			ids = append(ids, id)
			return
		}
		known := false // the unknown token stands for the whole character, as in SentencePiece
		for i := range len(part) {
			id := t.byteIDs[part[i]]
			if id < 0 {
				id = t.unknown
			}
			if id != none && !(known && id == t.unknown) {
				ids = append(ids, id)
			}
			known = known || id == t.unknown
		}
	})
	return ids
}

// joiner joins the characters of one text after another. Parts are a linked list over the bytes of the text; the pairs that are a piece
// wait as rank<<32 | place, and the lowest is joined: n log n for any text. What waits may be out of date: it is valid if the pair that is at the
// place now has the rank.
type joiner struct {
	next, prev []int32  // where the neighbours of the part that begins here begin: len(text) behind the last, -1 before the first
	ranks      []uint32 // of the pair that begins here
	sorted     []uint64 // pairs in order, of which taken are done. Long runs of one text come in order: sorting them costs nothing, and no heap is as fast
	taken      int
	fresh      pairs // those that came since
}

// pop takes the lowest pair; ok is false if none is left.
func (m *joiner) pop() (pair uint64, ok bool) {
	if m.taken == len(m.sorted) {
		m.sorted, m.fresh, m.taken = m.fresh, m.sorted[:0], 0
		slices.Sort(m.sorted)
	}
	switch {
	case len(m.sorted) == 0:
		return 0, false
	case len(m.fresh) > 0 && m.fresh[0] < m.sorted[m.taken]:
		return m.fresh.pop(), true
	}
	m.taken++
	return m.sorted[m.taken-1], true
}

// pairs is a heap, a child of i being 4i+1 to 4i+4.
type pairs []uint64

func (p *pairs) push(v uint64) {
	h := append(*p, v)
	i := len(h) - 1
	for i > 0 && h[(i-1)/4] > v {
		h[i] = h[(i-1)/4]
		i = (i - 1) / 4
	}
	h[i] = v
	*p = h
}

func (p *pairs) pop() uint64 {
	h := *p
	top, v := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; len(h) > 0; {
		least := i
		value := v
		for child := 4*i + 1; child < min(4*i+5, len(h)); child++ {
			if h[child] < value {
				least, value = child, h[child]
			}
		}
		h[i] = value
		if least == i {
			break
		}
		i = least
	}
	*p = h
	return top
}

// run joins the characters of text as long as rank knows a pair, and calls emit for each part that remains.
func (m *joiner) run(text string, rank func(string) uint32, emit func(part string)) {
	n := int32(len(text))
	m.next, m.prev, m.ranks = sized(m.next, n), sized(m.prev, n), sized(m.ranks, n)
	wait := func(at int32) {
		m.ranks[at] = unranked
		if right := m.next[at]; right < n {
			if m.ranks[at] = rank(text[at:m.next[right]]); m.ranks[at] != unranked {
				m.fresh.push(uint64(m.ranks[at])<<32 | uint64(at))
			}
		}
	}
	for at, before := int32(0), int32(-1); at < n; {
		_, size := utf8.DecodeRuneInString(text[at:])
		m.next[at], m.prev[at] = at+int32(size), before
		before, at = at, at+int32(size)
	}
	for at := int32(0); at < n; at = m.next[at] {
		wait(at)
	}
	for {
		top, ok := m.pop()
		if !ok {
			break
		}
		at := int32(uint32(top))
		if m.ranks[at] != uint32(top>>32) {
			continue
		}
		right := m.next[at]
		m.ranks[right] = unranked
		if m.next[at] = m.next[right]; m.next[at] < n {
			m.prev[m.next[at]] = at
		}
		wait(at)
		if m.prev[at] >= 0 {
			wait(m.prev[at])
		}
	}
	for at := int32(0); at < n; at = m.next[at] {
		emit(text[at:m.next[at]])
	}
}

// sized returns s with n elements of any value.
func sized[T any](s []T, n int32) []T { return slices.Grow(s[:0], int(n))[:n] }
