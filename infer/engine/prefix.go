package engine

import (
	"container/list"
	"encoding/binary"
	"slices"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// prefixes keeps keys and values of prompts and answers for requests that begin with the same tokens: a radix tree over token ids, whose edges
// are units of diffusion.PrefixUnit ids each.
//
//	mask -> ids 0..31 -> ids 32..63 -> ids 64..95
//	                  \> ids 32..63                   a second conversation with the same system prompt
//
// Pages are shared, never copied. Beyond the budget the least recently used leaves go, but none that a running answer began with: dropping those
// would free nothing.
type prefixes struct {
	pageBytes, budget uint64
	bytes             uint64
	evicted           uint64 // pages
	roots             map[infer.Mask]*node
	used              list.List // of *node, the most recently used first; a parent comes before its children
}

type node struct {
	parent   *node  // nil for a root
	key      string // of the ids that lead here from parent
	pages    []*infer.Page
	children map[string]*node
	pins     int // running answers that began with it
	place    *list.Element
}

func newPrefixes(pageBytes, budget uint64) *prefixes {
	return &prefixes{pageBytes: pageBytes, budget: budget, roots: map[infer.Mask]*node{}}
}

// find returns the node of the longest prefix of ids that is kept, the root if that is empty, and the prefix's pages.
func (p *prefixes) find(mask infer.Mask, ids []int32) (*node, []*infer.Page) {
	n, pages := p.root(mask), []*infer.Page(nil)
	for unit := range slices.Chunk(ids, diffusion.PrefixUnit(mask)) {
		child := n.children[key(unit)]
		if child == nil {
			break
		}
		n, pages = child, append(pages, child.pages...)
	}
	p.touch(n)
	return n, pages
}

// add keeps the pages of ids, which are whole units.
func (p *prefixes) add(mask infer.Mask, ids []int32, pages []*infer.Page) {
	n, unit := p.root(mask), diffusion.PrefixUnit(mask)
	for part := range slices.Chunk(ids, unit) {
		child := n.children[key(part)]
		if child == nil {
			child = &node{parent: n, key: key(part), pages: pages[:unit/infer.PagePositions], children: map[string]*node{}}
			child.place = p.used.PushFront(child)
			n.children[child.key] = child
			p.bytes += uint64(len(child.pages)) * p.pageBytes
		}
		n, pages = child, pages[unit/infer.PagePositions:]
	}
	p.touch(n)
	p.evict(p.budget)
}

// evict drops leaves until no more than budget bytes are kept.
func (p *prefixes) evict(budget uint64) {
	for at := p.used.Back(); at != nil && p.bytes > budget; {
		n := at.Value.(*node)
		at = at.Prev() // where a parent that becomes a leaf is still to come
		if len(n.children) > 0 || n.pins > 0 {
			continue
		}
		delete(n.parent.children, n.key)
		p.used.Remove(n.place)
		p.bytes -= uint64(len(n.pages)) * p.pageBytes
		p.evicted += uint64(len(n.pages))
	}
}

// unpin lets go of a node that an answer began with; what it alone held beyond the budget goes.
func (p *prefixes) unpin(n *node) {
	n.pins--
	p.evict(p.budget)
}

// touch makes a node and those above it the most recently used.
func (p *prefixes) touch(n *node) {
	for ; n.parent != nil; n = n.parent {
		p.used.MoveToFront(n.place)
	}
}

func (p *prefixes) root(mask infer.Mask) *node {
	if p.roots[mask] == nil {
		p.roots[mask] = &node{children: map[string]*node{}}
	}
	return p.roots[mask]
}

func key(ids []int32) string {
	b := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return string(b)
}
