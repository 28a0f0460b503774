package tokenizer

import (
	"container/heap"
	"slices"
	"sort"
)

// pair is two neighbouring ids, left<<32 | right.
type pair uint64

func pairOf(left, right int32) pair { return pair(uint32(left))<<32 | pair(uint32(right)) }

// merge says that a pair becomes id; of two merges the one with the lower rank comes first.
type merge struct{ rank, id int32 }

// merger joins the bytes of one piece after another. Byte-pair encoding takes the pair of lowest rank, the leftmost of equals, joins it, and
// begins again. Here the parts are a linked list, and their places wait in a queue for each rank, so that the work is linear in the length
// of the piece, but for the sorting of queues: a piece can be the whole text.
type merger struct {
	merges     map[pair]merge
	ids        []int32 // of the part that begins at this byte; negative: absent
	next, prev []int32 // where the neighbours begin: len(ids) behind the last, -1 before the first. A part that is gone is its own next
	ranks      ranks
	places     map[int32][]int32 // by rank: where pairs begin, or did before other merges took them
	spare      [][]int32         // emptied queues
}

// ranks is the heap of the ranks that have places.
type ranks struct{ sort.IntSlice }

func (r *ranks) Push(rank any) { r.IntSlice = append(r.IntSlice, rank.(int)) }

func (r *ranks) Pop() any {
	last := len(r.IntSlice) - 1
	rank := r.IntSlice[last]
	r.IntSlice = r.IntSlice[:last]
	return rank
}

// absent marks bytes that no token stands for: id -1-b for byte b. It is in no pair.
func absent(b byte) int32 { return -1 - int32(b) }

// run merges the parts in m.ids, which hold one id a byte, and calls emit for each part that remains.
func (m *merger) run(emit func(id int32)) {
	n := int32(len(m.ids))
	m.next, m.prev = slices.Grow(m.next[:0], int(n)), slices.Grow(m.prev[:0], int(n))
	for i := range n {
		m.next, m.prev = append(m.next, i+1), append(m.prev, i-1)
	}
	for i := range n {
		m.wait(i)
	}
	for m.ranks.Len() > 0 {
		m.joinAll(int32(heap.Pop(&m.ranks).(int)))
	}
	for i := int32(0); i < n; i = m.next[i] {
		emit(m.ids[i])
	}
}

// wait queues the pair that begins at a place, if a merge joins it.
func (m *merger) wait(at int32) {
	right := m.next[at]
	if int(right) >= len(m.ids) {
		return
	}
	merge, ok := m.merges[pairOf(m.ids[at], m.ids[right])]
	if !ok {
		return
	}
	queue, ok := m.places[merge.rank]
	if !ok {
		heap.Push(&m.ranks, int(merge.rank))
		if last := len(m.spare) - 1; last >= 0 {
			queue, m.spare = m.spare[last], m.spare[:last]
		}
	}
	m.places[merge.rank] = append(queue, at)
}

// joinAll joins the pairs of one rank from left to right, until a pair of lower rank turns up.
func (m *merger) joinAll(rank int32) {
	queue := m.places[rank]
	delete(m.places, rank)
	if !slices.IsSorted(queue) {
		slices.Sort(queue)
	}
	for i, at := range queue {
		if m.ranks.Len() > 0 && m.ranks.IntSlice[0] < int(rank) {
			heap.Push(&m.ranks, int(rank))
			m.places[rank] = queue[i:]
			return
		}
		// A rank belongs to one pair, so this place is out of date exactly if the pair that stands there now has another.
		right := m.next[at]
		if right == at || int(right) >= len(m.ids) {
			continue
		}
		merge, ok := m.merges[pairOf(m.ids[at], m.ids[right])]
		if !ok || merge.rank != rank {
			continue
		}
		m.ids[at] = merge.id
		after := m.next[right]
		m.next[at], m.next[right] = after, right
		if int(after) < len(m.ids) {
			m.prev[after] = at
		}
		m.wait(at)
		if before := m.prev[at]; before >= 0 {
			m.wait(before)
		}
	}
	m.spare = append(m.spare, queue[:0])
}
