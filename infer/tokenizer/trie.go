package tokenizer

// trie finds which of many texts another text begins with.
type trie struct {
	ends  []int32 // by node: the id of the text that ends there, or none. Node 0 is the root
	next  map[edge]int32
	first [256]bool // bytes that some text begins with, so that other text is passed over quickly
}

// edge is a step from a node by a byte: node<<8 | byte.
type edge uint64

func edgeOf(node int32, b byte) edge { return edge(node)<<8 | edge(b) }

// insert adds a text, which must not be empty.
func (t *trie) insert(text string, id int32) {
	if t.ends == nil {
		t.ends, t.next = []int32{none}, map[edge]int32{}
	}
	t.first[text[0]] = true
	at := int32(0)
	for i := range len(text) {
		e := edgeOf(at, text[i])
		if _, ok := t.next[e]; !ok {
			t.next[e] = int32(len(t.ends))
			t.ends = append(t.ends, none)
		}
		at = t.next[e]
	}
	t.ends[at] = id
}

// longest returns the longest text of the trie that s begins with and ok accepts, and its size, 0 if there is none. s must not be empty.
func (t *trie) longest(s string, ok func(id int32, size int) bool) (id int32, size int) {
	if !t.first[s[0]] {
		return none, 0
	}
	at, found := int32(0), true
	for i := range len(s) {
		if at, found = t.next[edgeOf(at, s[i])]; !found {
			break
		}
		if end := t.ends[at]; end != none && ok(end, i+1) {
			id, size = end, i+1
		}
	}
	return id, size
}
