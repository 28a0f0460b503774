package diffusion

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/kernel"
)

// The two functions below are reference/model.py and reference/wrinklefree.py over a stub: straight loops that recompute everything from the first
// position, with no notion of what is cached but the sub-block cache of dialect A. They are what the decoder is held to.

type referee struct {
	*stub
	Options
	prompt []int32
	events []Event
}

// rows computes logits at positions [from, to) of ids, all of them run in one pass over an empty cache.
func (r *referee) rows(ids []int32, block, from, to int) []float32 {
	cache, _ := r.NewCacheFrom(nil, len(ids))
	return r.rowsIn(cache, ids, 0, 0, block, from, to)
}

func (r *referee) rowsIn(cache *infer.Cache, ids []int32, start, extent, block, from, to int) []float32 {
	seg := infer.Segment{Cache: cache, Start: start, IDs: ids, Extent: extent, Mask: infer.Mask{Block: block}}
	for i := from; i < to; i++ {
		seg.Logits = append(seg.Logits, i)
	}
	if err := r.Forward([]*infer.Segment{&seg}); err != nil {
		panic(err)
	}
	return seg.Out
}

func best(row []float32) (int32, float32) {
	id, p, ok := kernel.ArgMaxConfidence(row, stubMask)
	if !ok {
		panic("not a distribution")
	}
	return int32(id), p
}

func (r *referee) ended(new []int32, masked []bool) bool {
	if i := slices.Index(masked, true); i >= 0 {
		new = new[:i]
	}
	return slices.ContainsFunc(new, r.isStop) || len(new) >= r.MaxTokens
}

func (r *referee) isStop(id int32) bool { return slices.Contains(r.Stop, id) }

func (r *referee) answer(ids []int32) []int32 {
	new := ids[len(r.prompt):]
	new = new[:min(len(new), r.MaxTokens)]
	if i := slices.IndexFunc(new, r.isStop); i >= 0 {
		new = new[:i+1]
	}
	return new
}

func (r *referee) theta(it int) float32 {
	theta := *r.Threshold
	if r.Mode == names.ModeAdaptive && it == 1 {
		theta = max(0.5, theta-0.4)
	}
	if r.Mode == names.ModeAdaptive && it == 2 {
		theta = max(0.7, theta-0.2)
	}
	return theta
}

// take is one denoise step over the open positions: conf and tok by index, base the position of index 0.
func (r *referee) take(open []int, conf []float32, tok []int32, theta float32, base int) (taken []Take) {
	for _, i := range open {
		if r.Mode == names.ModeGreedy || conf[i] > theta {
			taken = append(taken, Take{Position: base + i, ID: tok[i], Confidence: conf[i]})
		}
	}
	if taken == nil {
		most := open[0]
		for _, i := range open {
			if conf[i] > conf[most] {
				most = i
			}
		}
		taken = []Take{{Position: base + most, ID: tok[most], Confidence: conf[most]}}
	}
	return taken
}

func (r *referee) fastDLLM() []int32 {
	ids, n0, bs := slices.Clone(r.prompt), len(r.prompt), r.BlockSize
	first := func() {
		row := r.rows(ids, bs, len(ids)-1, len(ids))
		id, p := best(row)
		r.events = append(r.events, Event{Event: "next", Block: len(ids), Sub: NoSub, Take: []Take{{Position: len(ids), ID: id, Confidence: p}}})
		ids = append(ids, id)
	}
	if n0%bs == 0 {
		first()
	}
	for !r.ended(ids[n0:], nil) {
		start := (len(ids) - 1) / bs * bs // len/B*B, which means the block of the token just chosen, also for B = 1
		known := len(ids) - start
		blk, masked := slices.Clone(ids[start:]), make([]bool, bs)
		for i := known; i < bs; i++ {
			blk, masked[i] = append(blk, stubMask), true
		}
		over := func() bool {
			new, open := slices.Concat(ids[:start], blk)[n0:], slices.Concat(make([]bool, start), masked)[n0:]
			return r.ended(new, open)
		}
		cache, _ := r.NewCacheFrom(nil, start+bs)
		if start > 0 {
			r.rowsIn(cache, ids[:start], 0, 0, bs, 0, 0)
		}
		stored, step, width := false, 0, r.SubBlockSize
		if r.Mode == names.ModeGreedy {
			width = bs
		}
		for sb := 0; sb < bs; sb += width {
			for it := 1; slices.Contains(masked[sb:sb+width], true) && !over(); it++ {
				step++
				conf, tok := make([]float32, bs), make([]int32, bs)
				lo, n := 0, bs
				if r.SubBlockCache && stored && !masked[sb] {
					lo, n = sb, width
				}
				logits := r.rowsIn(cache, blk[lo:lo+n], start+lo, start+bs, bs, 0, n)
				stored = true
				for i := 1; i < n; i++ {
					tok[lo+i], conf[lo+i] = best(logits[(i-1)*stubVocab:][:stubVocab])
				}
				var open []int
				for i := sb; i < sb+width; i++ {
					if masked[i] {
						open = append(open, i)
					}
				}
				taken := r.take(open, conf, tok, r.theta(it), start)
				for _, t := range taken {
					blk[t.Position-start], masked[t.Position-start] = t.ID, false
				}
				r.events = append(r.events, Event{"denoise", start, sb, step, taken})
			}
		}
		end := over()
		ids = append(ids[:start], blk...)
		if end {
			break
		}
		first()
	}
	return r.answer(ids)
}

func (r *referee) wrinkleFree() []int32 {
	ids, n0, bs := slices.Clone(r.prompt), len(r.prompt), r.BlockSize
	shift := 0
	if r.config.Diffusion.ShiftLogits {
		shift = 1
	}
	for !r.ended(ids[n0:], nil) {
		start := len(ids)
		blk, masked := make([]int32, bs), make([]bool, bs)
		top := make([]Take, bs)
		for i := range blk {
			blk[i], masked[i], top[i].Confidence = stubMask, true, -1
		}
		over := func() bool {
			return r.ended(slices.Concat(ids, blk)[n0:], slices.Concat(make([]bool, start-n0), masked))
		}
		most, it := r.MaxIterations, 0
		if r.Mode == names.ModeGreedy {
			most = 1
		}
		var open []int
		openNow := func() []int {
			open = nil
			for i, m := range masked {
				if m {
					open = append(open, i)
				}
			}
			return open
		}
		for len(openNow()) > 0 && it < most && !over() {
			it++
			logits := r.rows(slices.Concat(ids, blk), 0, start-shift, start-shift+bs)
			conf, tok := make([]float32, bs), make([]int32, bs)
			for i := range bs {
				tok[i], conf[i] = best(logits[i*stubVocab:][:stubVocab])
			}
			for _, i := range open {
				if conf[i] > top[i].Confidence {
					top[i] = Take{Position: start + i, ID: tok[i], Confidence: conf[i]}
				}
			}
			taken := r.take(open, conf, tok, r.theta(it), start)
			for _, t := range taken {
				blk[t.Position-start], masked[t.Position-start] = t.ID, false
			}
			r.events = append(r.events, Event{"denoise", start, NoSub, it, taken})
		}
		if len(openNow()) > 0 && !over() {
			var taken []Take
			for _, i := range open {
				taken = append(taken, top[i])
				blk[i] = top[i].ID
			}
			r.events = append(r.events, Event{"fill", start, NoSub, it, taken})
		}
		ids = append(ids, blk...)
	}
	return r.answer(ids)
}

// TestReference runs random requests in every mode through the decoder and through the straight loops, and compares every take of every pass
// with its confidence. For dialect B this is the test that resuming at min(f, g-1) equals full recomputation; with a stub whose cache entries
// remember what they were computed from, keeping one key too many fails it.
func TestReference(t *testing.T) {
	for _, dialect := range []string{names.DialectFastDLLM, names.DialectWrinkleFree} {
		for _, mode := range []string{names.ModeIterative, names.ModeGreedy, names.ModeAdaptive} {
			t.Run(dialect+"/"+mode, func(t *testing.T) {
				for seed := range uint64(150) {
					compareToReference(t, dialect, mode, seed)
				}
			})
		}
	}
}

func compareToReference(t *testing.T, dialect, mode string, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	sub := 1 + rng.IntN(4)
	block := sub * (1 + rng.IntN(4))
	m := newStub(dialect, block, sub)
	m.config.Diffusion.ShiftLogits = dialect == names.DialectFastDLLM || rng.IntN(3) > 0
	prompt := make([]int32, 1+rng.IntN(3*block))
	for i := range prompt {
		prompt[i] = int32(rng.IntN(stubVocab)) // the mask token among them
	}
	o := Options{
		Mode: mode, Threshold: ptr(float32(rng.IntN(21)) / 20), BlockSize: block, SubBlockSize: sub, MaxIterations: 1 + rng.IntN(6),
		MaxTokens: 1 + rng.IntN(5*block), PrefillRows: 1 + rng.IntN(3*block), Stop: []int32{3}, SubBlockCache: rng.IntN(2) == 0,
	}
	ref := &referee{stub: newStub(dialect, block, sub), Options: o, prompt: prompt}
	ref.config = m.config
	want := map[string]func() []int32{names.DialectFastDLLM: ref.fastDLLM, names.DialectWrinkleFree: ref.wrinkleFree}[dialect]()

	r, events := recorded(t, m, prompt, o)
	where := fmt.Sprintf("seed %d: block %d/%d, prompt %d, %+v", seed, block, sub, len(prompt), o)
	if !slices.Equal(r.IDs, want) {
		t.Fatalf("%s\ngot  %v\nwant %v", where, r.IDs, want)
	}
	if len(events) != len(ref.events) {
		t.Fatalf("%s\n%d events, want %d", where, len(events), len(ref.events))
	}
	for i := range events {
		if !reflect.DeepEqual(events[i], ref.events[i]) {
			t.Fatalf("%s\nevent %d: got  %+v\nwant %+v", where, i, events[i], ref.events[i])
		}
	}
	stops := slices.IndexFunc(want, ref.isStop) >= 0
	if (r.FinishReason == "stop") != stops || !stops && len(want) != o.MaxTokens {
		t.Fatalf("%s\nfinish reason %q of %v", where, r.FinishReason, want)
	}
}
