package diffusion

// autoregressive decodes a model without a mask token: each pass predicts the token after its last row.
type autoregressive struct {
	*Decoder
	ran int // positions that have had their pass
}

func startAutoregressive(d *Decoder) (decoding, int) { return &autoregressive{Decoder: d}, d.limit }

func (a *autoregressive) skip(n int) { a.ran = n }
func (a *autoregressive) final() int { return a.ran }

func (a *autoregressive) plan() {
	if end := min(a.ran+a.PrefillRows, a.n0); a.ran < a.n0 {
		a.pass(Prefill, a.ran, end)
	} else {
		a.pass(Decode, a.ran, len(a.ids))
	}
	if a.ran+len(a.seg.IDs) == len(a.ids) {
		a.want(len(a.ids), len(a.ids)-1)
	}
}

func (a *autoregressive) accept(guesses []Take) {
	a.ran += len(a.seg.IDs)
	if len(guesses) > 0 {
		a.append(guesses)
	}
}
