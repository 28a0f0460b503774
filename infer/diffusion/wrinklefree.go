package diffusion

// wrinkleFree is dialect B of DECODING.md. Attention is causal everywhere, also inside a block. Blocks start where the prompt ends.
//
// Keys and values of a position taken in a pass were computed from the mask and are stale. f is where they begin: it was the first masked
// position when the previous pass began, and it carries over from block to block, so there is no commit.
type wrinkleFree struct {
	*Decoder
	start int    // of the current block
	f     int    // keys and values before it are final
	g     int    // first masked position when the last pass began
	best  []Take // for each position of the block, the most confident guess so far, the earliest of equals
}

func startWrinkleFree(d *Decoder) (decoding, int) {
	blocks := (d.limit - d.n0 + d.BlockSize - 1) / d.BlockSize
	return &wrinkleFree{Decoder: d, start: d.n0, best: make([]Take, d.BlockSize)}, d.n0 + blocks*d.BlockSize
}

func (b *wrinkleFree) skip(n int) { b.f = n }
func (b *wrinkleFree) final() int { return b.f }

func (b *wrinkleFree) plan() {
	if b.f < b.n0-1 { // 1: prefill all of the prompt but its last token
		b.pass(Prefill, b.f, min(b.f+b.PrefillRows, b.n0-1))
		b.g = b.f + len(b.seg.IDs)
		return
	}
	b.g = b.firstMask(b.start)
	if b.g == len(b.ids) { // 2, 4: a new block
		b.start = b.g
		b.open(b.start + b.BlockSize)
		for i := range b.best {
			b.best[i].Confidence = -1
		}
	}
	// 3: from the first row that is stale or needed to the last one needed
	end, shift := len(b.ids), 0
	if b.shift {
		end, shift = end-1, 1
	}
	b.pass(DenoiseBlock, min(b.f, b.g-1), end)
	for p := b.g; p < len(b.ids); p++ {
		if b.masked[p] {
			b.want(p, p-shift)
		}
	}
}

func (b *wrinkleFree) accept(guesses []Take) {
	b.f = b.g
	if b.kind == Prefill {
		return
	}
	for _, guess := range guesses {
		if best := &b.best[guess.Position-b.start]; guess.Confidence > best.Confidence {
			*best = guess
		}
	}
	b.fill(eventDenoise, b.start, NoSub, confident(guesses, b.theta(b.step)))
	if b.step < b.MaxIterations || b.finish != "" {
		return
	}
	b.guesses = b.guesses[:0]
	for p := b.firstMask(b.start); p < len(b.ids); p = b.firstMask(p + 1) {
		b.guesses = append(b.guesses, b.best[p-b.start])
	}
	if len(b.guesses) > 0 {
		b.fill(eventFill, b.start, NoSub, b.guesses)
	}
}
