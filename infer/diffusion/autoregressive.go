package diffusion

// autoregressive decodes a model without a mask token: each pass predicts the token after its last row.
type autoregressive struct {
	*Decoder
	final int // positions that have had their pass
}

func startAutoregressive(d *Decoder) (decoding, int) { return &autoregressive{Decoder: d}, d.limit }

func (a *autoregressive) plan() {
	if end := min(a.final+a.PrefillRows, a.n0); a.final < a.n0 {
		a.pass(Prefill, a.final, end)
	} else {
		a.pass(Decode, a.final, len(a.ids))
	}
	if a.final+len(a.seg.IDs) == len(a.ids) {
		a.want(len(a.ids), len(a.ids)-1)
	}
}

func (a *autoregressive) accept(guesses []Take) {
	a.final += len(a.seg.IDs)
	if len(guesses) > 0 {
		a.append(guesses)
	}
}
