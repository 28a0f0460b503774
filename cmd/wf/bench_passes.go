package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/quant"
)

// passTest is one way of running the model, timed.
type passTest struct {
	name    string
	tokens  int // that tokens/s counts
	calls   int // passes of a sample
	rows    int // of a pass, that go through the layers
	logits  int // of a pass, that go through the head
	run     func() error
	samples []time.Duration
	machine []*limits // right after each sample, with --peak
	hidden  bool      // measured for another row's sake
	auto    float64   // the cost of a pass to mode auto; 0 where passes differ
	unit    *passTest // the pass whose measured cost is what it is to mode auto: a block without logits. nil: costs are not measured
}

// Blocks of a model that has none: those of the published diffusion models.
const (
	usualBlock    = 32
	usualSubBlock = 8
)

// passTests lists the tests at a depth. cache holds that many positions; ids are as long as it.
func (b *bench) passTests(m *infer.Model, cache *infer.Cache, ids []int32, depth int, blocks bool) []*passTest {
	var tests []*passTest
	add := func(name string, calls, rows, logits int, run func() error) *passTest {
		if depth > 0 {
			name += fmt.Sprintf(" @ d%d", depth)
		}
		t := &passTest{name: name, tokens: calls * rows, calls: calls, rows: rows, logits: logits, run: run}
		tests = append(tests, t)
		return t
	}
	one := func(start, n, logits int, mask infer.Mask, extent int) *infer.Segment {
		seg := &infer.Segment{Cache: cache, Start: start, IDs: ids[start : start+n], Extent: extent, Mask: mask}
		for i := n - logits; i < n; i++ {
			seg.Logits = append(seg.Logits, i)
		}
		return seg
	}
	addPass := func(name string, seg *infer.Segment) *passTest {
		t := add(name, 1, len(seg.IDs), len(seg.Logits), func() error { return forward(m, seg) })
		t.auto = diffusion.PassCost(t.rows, t.logits)
		return t
	}
	for _, n := range b.prompts {
		if n > 0 {
			addPass(fmt.Sprintf("pp%d", n), one(depth, n, 1, infer.Mask{}, 0))
		}
	}
	for _, n := range b.gens {
		if n > 0 {
			seg := &infer.Segment{Cache: cache, Logits: []int{0}}
			t := add(fmt.Sprintf("tg%d", n), n, 1, 1, func() error {
				for i := depth; i < depth+n; i++ {
					seg.Start, seg.IDs = i, ids[i:i+1]
					if err := forward(m, seg); err != nil {
						return err
					}
				}
				return nil
			})
			t.auto = diffusion.PassCost(1, 1)
		}
	}
	if !blocks {
		return tests
	}
	size, sub := cmp.Or(b.block, usualBlock), cmp.Or(b.subBlock, usualSubBlock)
	if d := m.Config().Diffusion; d != nil {
		size, sub = d.BlockSize, d.SubBlockSize
	}
	start, mask := depth/size*size, infer.Mask{Block: size} // blocks lie at multiples of their size
	whole, commit := one(start, size, size, mask, 0), one(start, size, 1, mask, 0)
	step := addPass(fmt.Sprintf("step%d", size), whole)
	body := addPass("", one(start, size, 0, mask, 0))
	body.hidden = true
	head := add(fmt.Sprintf("head%d", size), 1, 0, size, nil)
	head.tokens = size
	head.run = func() error { // the pair before it
		last := len(step.samples) - 1
		head.samples = append(head.samples, max(step.samples[last]-body.samples[last], 1)) // noise must not make a rate infinite
		head.machine = step.machine
		return nil
	}
	for ; sub < size && size%sub == 0; sub *= 2 { // as mode auto widens them
		addPass(fmt.Sprintf("step%d", sub), one(start+size-sub, sub, sub, mask, start+size))
	}
	addPass(fmt.Sprintf("commit%d", size), commit)
	vocab := m.Config().Vocab
	greedy := add(fmt.Sprintf("greedy%d", size), 2, size, (size+1)/2, func() error {
		if err := forward(m, whole); err != nil {
			return err
		}
		for i := range size - 1 { // a row predicts the position after it
			kernel.ArgMaxConfidence(whole.Out[i*vocab:][:vocab], 0)
		}
		if err := forward(m, commit); err != nil {
			return err
		}
		kernel.ArgMaxConfidence(commit.Out, 0)
		return nil
	})
	greedy.tokens = size
	for _, t := range tests {
		if t.auto > 0 {
			t.unit = body
		}
	}
	return tests
}

// addLoad adds how long loading took.
func (r *benchReport) addLoad(b *bench, s *session, took time.Duration) {
	on := b.subject(s)
	on.Test = "load"
	r.Passes = append(r.Passes, passRow{subject: on, Samples: []int64{took.Nanoseconds()}, MedianMS: 1000 * took.Seconds()})
}

// addPasses runs the tests of one model; blocks says whether those of diffusion are among them.
func (r *benchReport) addPasses(ctx context.Context, env *environment, b *bench, s *session, blocks bool, machine *yardstick) error {
	on := b.subject(s)
	layers, head := weightWork(s)
	for _, depth := range b.depths {
		cache, ids, err := b.cacheAt(s.model, depth)
		if err != nil {
			return err
		}
		tests := b.passTests(s.model, cache, ids, depth, blocks)
		for round := range b.repetitions + 1 { // round 0 warms up
			env.note(fmt.Sprintf("%s, %d threads, depth %d: round %d of %d", s.name, on.Threads, depth, round, b.repetitions))
			for _, t := range tests {
				if err := ctx.Err(); err != nil {
					return err
				}
				if round == 1 {
					t.samples = t.samples[:0]
				}
				began := time.Now()
				if err := t.run(); err != nil {
					return err
				}
				if t.rows == 0 {
					continue // it took its sample from others
				}
				t.samples = append(t.samples, time.Since(began))
				if round > 0 && machine != nil {
					t.machine = append(t.machine, machine.measure())
				}
			}
		}
		for _, t := range tests {
			if !t.hidden {
				on.Test = t.name
				r.Passes = append(r.Passes, t.row(on, depth, layers, head))
			}
		}
	}
	return nil
}

// cacheAt makes a cache with depth positions filled and room for every test, and as many ids.
func (b *bench) cacheAt(m *infer.Model, depth int) (*infer.Cache, []int32, error) {
	block := usualBlock
	if d := m.Config().Diffusion; d != nil {
		block = d.BlockSize
	}
	cache, err := m.NewCache(depth + max(slices.Max(b.prompts), slices.Max(b.gens), block))
	if err != nil {
		return nil, nil, err
	}
	ids := make([]int32, cache.Cap())
	for i := range ids {
		ids[i] = int32((i*7919 + 100) % m.Config().Vocab)
	}
	if depth > 0 {
		if err := forward(m, &infer.Segment{Cache: cache, IDs: ids[:depth]}); err != nil {
			return nil, nil, err
		}
		cache.SetLen(depth)
	}
	return cache, ids, nil
}

// passRow is a test's outcome. Its names are llama-bench's where it has them.
type passRow struct {
	subject
	Depth     int     `json:"n_depth"`
	Tokens    int     `json:"n_tokens"` // 0 of load
	Samples   []int64 `json:"samples_ns"`
	MedianMS  float64 `json:"median_ms"`
	MedianTS  float64 `json:"median_ts"`
	MeanTS    float64 `json:"avg_ts"`
	StddevTS  float64 `json:"stddev_ts"`
	OfPeak    float64 `json:"of_peak,omitempty"` // 0..1
	OfRead    float64 `json:"of_read,omitempty"` // 0..1
	PeakGMACs float64 `json:"peak_gmacs,omitempty"`
	ReadGBs   float64 `json:"read_gbs,omitempty"`
	Cost      float64 `json:"cost,omitempty"`      // of a pass, in thousandths of one of 32 rows without logits
	AutoCost  float64 `json:"auto_cost,omitempty"` // what mode auto takes it for
}

// row sums up the samples.
func (t *passTest) row(on subject, depth int, layers, head work) passRow {
	r := passRow{subject: on, Depth: depth, Tokens: t.tokens}
	var seconds, rates []float64
	for _, d := range t.samples {
		r.Samples = append(r.Samples, d.Nanoseconds())
		seconds = append(seconds, d.Seconds())
		rates = append(rates, float64(t.tokens)/d.Seconds())
	}
	middle := median(seconds)
	r.MedianMS, r.MedianTS = 1000*middle, float64(t.tokens)/middle
	r.MeanTS, r.StddevTS = meanAndDeviation(rates)
	if t.unit != nil {
		var costs []float64
		for i, d := range t.samples { // pairs of a round
			costs = append(costs, t.unit.auto*d.Seconds()/float64(t.calls)/t.unit.samples[i].Seconds())
		}
		r.Cost, r.AutoCost = median(costs), t.auto
	}
	if len(t.machine) == 0 {
		return r
	}
	var peaks, reads, ofPeak, ofRead []float64
	calls, rows, logits := float64(t.calls), float64(t.rows), float64(t.logits)
	for i, machine := range t.machine {
		integer, float := machine.peak(true), machine.peak(false)
		peaks, reads = append(peaks, integer), append(reads, machine.ReadGBs)
		ofRead = append(ofRead, calls*(layers.bytes*min(rows, 1)+head.bytes*min(logits, 1))/1e9/machine.ReadGBs/seconds[i])
		if integer > 0 && float > 0 {
			atPeak := (layers.integer*rows+head.integer*logits)/integer + (layers.float*rows+head.float*logits)/float
			ofPeak = append(ofPeak, calls*atPeak/1e9/seconds[i])
		}
	}
	r.PeakGMACs, r.ReadGBs, r.OfRead = median(peaks), median(reads), median(ofRead)
	if len(ofPeak) > 0 {
		r.OfPeak = median(ofPeak)
	}
	return r
}

// work is what the weights of the layers or of the head cost: multiply-adds a row, and bytes a pass.
type work struct{ integer, float, bytes float64 }

func weightWork(s *session) (layers, head work) {
	headName := names.TokenEmbedding
	if _, untied := s.file.Tensor(names.Output); untied {
		headName = names.Output
	}
	for _, t := range s.file.Tensors {
		macs, bytes := float64(t.Dims[0]*t.Rows()), float64(t.Size)
		plain := t.Type == gguf.F32 || t.Type == gguf.F16 || t.Type == gguf.BF16
		switch {
		case t.Name == headName && plain:
			head.float, head.bytes = macs, bytes
		case t.Name == headName:
			head.integer, head.bytes = macs, bytes
		case !quant.IsProjection(t.Name):
		case plain && !s.model.Config().Int8:
			layers.float, layers.bytes = layers.float+macs, layers.bytes+bytes
		case plain || quant.IsTernary(t.Type): // in memory two bits a weight, whatever the file has
			layers.integer, layers.bytes = layers.integer+macs, layers.bytes+macs/4
		default:
			layers.integer, layers.bytes = layers.integer+macs, layers.bytes+bytes
		}
	}
	return layers, head
}

// median of any number of values but none: the middle one, or the mean of the middle two.
func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// percentile is the nearest rank: the smallest value that at least p of the values (0 < p <= 1) do not exceed. 0 of none.
func percentile(x []float64, p float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	return s[max(0, int(math.Ceil(p*float64(len(s))))-1)]
}

// meanAndDeviation returns the mean and the standard deviation of a sample (n-1), 0 for one value.
func meanAndDeviation(x []float64) (mean, deviation float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		deviation += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, math.Sqrt(deviation)
}
