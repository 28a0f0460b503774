package diffusion

import (
	"cmp"

	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
)

// Mask returns what the rows of an answer see. Equal ids under an equal mask have equal keys and values.
func (o Options) Mask(c *infer.Config) infer.Mask {
	if c.Diffusion == nil || c.Diffusion.Dialect != names.DialectFastDLLM {
		return infer.Mask{}
	}
	return infer.Mask{Block: cmp.Or(o.BlockSize, c.Diffusion.BlockSize)}
}

// PrefixUnit is how many positions can be shared at a time: whole pages, and whole blocks where the rows of one see each other.
func PrefixUnit(mask infer.Mask) int {
	unit := infer.PagePositions
	for mask.Block > 0 && unit%mask.Block != 0 {
		unit += infer.PagePositions
	}
	return unit
}

// Prefix returns the beginning of prompt and answer whose keys and values were computed from final tokens, in whole units: its ids, and its pages
// for another answer that begins with the same ids. Nothing after a failure.
func (d *Decoder) Prefix() ([]int32, []*infer.Page) {
	if d.err != nil {
		return nil, nil
	}
	n := d.how.final()
	d.cache.SetLen(n)
	pages := make([]*infer.Page, d.pagesIn(n))
	for i := range pages {
		pages[i] = d.cache.Page(i)
	}
	return d.ids[:len(pages)*infer.PagePositions], pages
}

// pagesIn is the number of pages in the whole units of n positions.
func (d *Decoder) pagesIn(n int) int {
	unit := PrefixUnit(d.seg.Mask)
	return n / unit * unit / infer.PagePositions
}
