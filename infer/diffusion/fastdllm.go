package diffusion

import (
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
)

// fastDLLM is dialect A of DECODING.md, step by step. Attention is block-causal: a row sees its own block and all before it. Blocks lie at
// multiples of BlockSize, wherever the prompt ends.
type fastDLLM struct {
	*Decoder
	start  int  // of the current block; keys and values before it are final
	opened int  // where the block ends that was opened last
	width  int  // of a sub-block; in greedy mode the whole block is one
	sub    int  // where the sub-block of the last denoise step starts
	passes int  // denoise steps that the sub-block has had
	reuse  bool // of what is stored, by passes over a sub-block alone
	stored bool // the cache holds keys and values of the whole current block, from masks as they may be
}

func startFastDLLM(d *Decoder) (decoding, int) {
	a := &fastDLLM{Decoder: d, width: d.SubBlockSize, reuse: d.SubBlockCache}
	switch {
	case d.Mode == names.ModeGreedy:
		a.width = d.BlockSize
	case d.auto && d.Infill == nil:
		d.stats.Auto = newAuto(d.BlockSize, d.SubBlockSize, d.SubBlockCache)
	}
	d.seg.Mask = infer.Mask{Block: d.BlockSize}
	return a, (d.limit + d.BlockSize - 1) / d.BlockSize * d.BlockSize
}

func (a *fastDLLM) skip(n int) { a.start = n }
func (a *fastDLLM) final() int { return a.start }

func (a *fastDLLM) plan() {
	size := a.BlockSize
	if whole := a.n0 / size * size; a.start < whole { // 1: prefill, in whole blocks because the rows of one see each other
		end := min(a.start+max(a.PrefillRows/size, 1)*size, whole)
		a.pass(Prefill, a.start, end)
		if end == a.n0 {
			a.want(end, end-1)
		}
		return
	}
	end := a.start + size
	if a.opened < end { // 2: a new block begins with what is known
		a.open(end)
		a.opened, a.stored = end, false
		if auto := a.stats.Auto; auto != nil {
			c := auto.next()
			a.width, a.reuse = c.SubBlockSize, c.SubBlockCache
		}
	}
	if mask := a.firstMask(a.start); mask < end {
		a.denoise(mask, end)
		return
	}
	a.pass(Commit, a.start, end) // 4
	if end == len(a.ids) || a.masked[end] {
		a.want(end, end-1)
	}
}

// denoise plans step 3 for the sub-block of the first mask, in a block that ends before end. Row p-1 predicts position p. The block's first
// position is always known, so no row before the block is needed; nor, in a sub-block pass, one before the sub-block.
func (a *fastDLLM) denoise(mask, end int) {
	sub := mask / a.width * a.width
	if sub != a.sub {
		a.sub, a.passes = sub, 0
	}
	if a.reuse && a.stored && mask > sub {
		a.pass(DenoiseSubBlock, sub, sub+a.width)
		a.seg.Extent = end
	} else {
		a.pass(DenoiseBlock, a.start, end)
	}
	for p := mask; p < sub+a.width; p++ {
		if a.masked[p] {
			a.want(p, p-1)
		}
	}
}

func (a *fastDLLM) accept(guesses []Take) {
	switch a.kind {
	case Prefill, Commit:
		if a.kind == Commit {
			a.count(1)
		}
		a.start += len(a.seg.IDs)
		if len(guesses) > 0 { // the first token of a new block
			a.append(guesses)
		}
	default:
		a.stored = true
		a.passes++
		taken := confident(guesses, a.theta(a.passes))
		a.count(len(taken))
		a.fill(eventDenoise, a.start, a.sub-a.start, taken)
	}
}

// count tells mode auto what the pass has brought.
func (a *fastDLLM) count(tokens int) {
	if a.stats.Auto != nil {
		a.stats.Auto.count(len(a.seg.IDs), len(a.seg.Logits), tokens)
	}
}
