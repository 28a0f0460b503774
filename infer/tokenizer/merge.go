package tokenizer

// pair is two neighbouring ids, left<<32 | right.
type pair uint64

func pairOf(left, right int32) pair { return pair(uint32(left))<<32 | pair(uint32(right)) }

// merge says that a pair becomes id; of two merges the one with the lower rank comes first.
type merge struct{ rank, id int32 }

// merger joins the bytes of one piece after another. Byte-pair encoding takes the pair of lowest rank, the leftmost of equals, joins it, and
// begins again. The pairs wait in a heap, and the joined parts in a linked list, so that a piece of n bytes takes O(n log n) steps.
type merger struct {
	merges     map[pair]merge
	ids        []int32 // of the part that begins at this byte; negative: the byte is in no vocabulary
	next, prev []int32 // part numbers; next is len(ids) behind the last part, prev is -1 before the first
	heap       []uint64
}

// absent marks bytes that no token stands for: id -1-b for byte b. It is in no pair.
func absent(b byte) int32 { return -1 - int32(b) }

// run merges the parts in m.ids, which hold one id a byte, and calls emit for each part that remains.
func (m *merger) run(emit func(id int32)) {
	n := int32(len(m.ids))
	m.next, m.prev, m.heap = m.next[:0], m.prev[:0], m.heap[:0]
	for i := range n {
		m.next, m.prev = append(m.next, i+1), append(m.prev, i-1)
		m.heap = m.appendPair(m.heap, i, i+1)
	}
	for i := (len(m.heap) - 2) / 4; i >= 0; i-- {
		m.sink(i)
	}
	for len(m.heap) > 0 {
		rank, at := int32(m.heap[0]>>32), int32(uint32(m.heap[0]))
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
		m.sink(0)
		right := m.next[at]
		if right >= n || right == at { // at was swallowed, or is the last part now
			continue
		}
		// A rank belongs to one pair, so an entry is stale exactly if the pair that stands there now has another.
		joined, ok := m.merges[pairOf(m.ids[at], m.ids[right])]
		if !ok || joined.rank != rank {
			continue
		}
		m.ids[at] = joined.id
		after := m.next[right]
		m.next[at], m.next[right] = after, right
		if after < n {
			m.prev[after] = at
			m.push(at, after)
		}
		if before := m.prev[at]; before >= 0 {
			m.push(before, at)
		}
	}
	for i := int32(0); i < n; i = m.next[i] {
		emit(m.ids[i])
	}
}

// appendPair adds the pair of the parts at left and right to the end of the heap if a merge joins it.
func (m *merger) appendPair(heap []uint64, left, right int32) []uint64 {
	if int(right) < len(m.ids) {
		if joined, ok := m.merges[pairOf(m.ids[left], m.ids[right])]; ok {
			heap = append(heap, uint64(joined.rank)<<32|uint64(left))
		}
	}
	return heap
}

func (m *merger) push(left, right int32) {
	m.heap = m.appendPair(m.heap, left, right)
	for i := len(m.heap) - 1; i > 0; {
		parent := (i - 1) / 4
		if m.heap[parent] <= m.heap[i] {
			break
		}
		m.heap[parent], m.heap[i] = m.heap[i], m.heap[parent]
		i = parent
	}
}

// sink restores the order of a heap with four children a node, below node i.
func (m *merger) sink(i int) {
	h := m.heap
	for {
		least := i
		for c := 4*i + 1; c <= 4*i+4 && c < len(h); c++ {
			if h[c] < h[least] {
				least = c
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
