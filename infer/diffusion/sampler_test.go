package diffusion

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/kernel"
)

func samplerOf(t *testing.T, o Options, vocab int) *sampler {
	t.Helper()
	c := newStub(dialectA, 8, 4).config
	c.Vocab = vocab
	if o.Seed == nil {
		o.Seed = ptr(uint64(42))
	}
	s, err := o.resolve(&c)
	if err != nil {
		t.Fatal(err)
	}
	return newSampler(s, vocab)
}

// draws counts what n positions get.
func draws(t *testing.T, s *sampler, logits []float32, n int) map[int32]int {
	t.Helper()
	counts := map[int32]int{}
	for position := range n {
		id, _, ok := s.choose(logits, position, 1)
		if !ok {
			t.Fatal("not a distribution")
		}
		counts[id]++
	}
	return counts
}

// Probabilities at T = 1: id 0: .5, 1: .25, 2: .125, 3: .0625, 4: .0625; 5 is the mask and would dwarf them.
func powers() []float32 {
	logits := make([]float32, stubMask+1)
	for i := range logits {
		logits[i] = -float32(min(i, 3)+1) * math.Ln2
	}
	logits[3], logits[4], logits[stubMask] = -4*math.Ln2, -4*math.Ln2, 20
	return logits
}

func TestSamplerKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		kept []int32
	}{
		"all":                                 {Options{Temperature: 1}, []int32{0, 1, 2, 3, 4}},
		"top-k 3":                             {Options{Temperature: 1, TopK: 3}, []int32{0, 1, 2}},
		"top-k 1":                             {Options{Temperature: 2, TopK: 1}, []int32{0}},
		"top-k 4, ties to the lower id":       {Options{Temperature: 1, TopK: 4}, []int32{0, 1, 2, 3}},
		"top-k of more than there are":        {Options{Temperature: 1, TopK: 99}, []int32{0, 1, 2, 3, 4}},
		"top-p 0 keeps one":                   {Options{Temperature: 1, TopP: ptr(float32(0))}, []int32{0}},
		"top-p .49":                           {Options{Temperature: 1, TopP: ptr(float32(0.49))}, []int32{0}},
		"top-p .51":                           {Options{Temperature: 1, TopP: ptr(float32(0.51))}, []int32{0, 1}},
		"top-p .76":                           {Options{Temperature: 1, TopP: ptr(float32(0.76))}, []int32{0, 1, 2}},
		"top-p 1 keeps all":                   {Options{Temperature: 1, TopP: ptr(float32(1))}, []int32{0, 1, 2, 3, 4}},
		"min-p .2":                            {Options{Temperature: 1, MinP: 0.2}, []int32{0, 1, 2}},
		"min-p 1":                             {Options{Temperature: 1, MinP: 1}, []int32{0}},
		"the shortest of three heads":         {Options{Temperature: 1, TopK: 4, TopP: ptr(float32(0.9)), MinP: 0.4}, []int32{0, 1}},
		"min-p after the temperature":         {Options{Temperature: 0.5, MinP: 0.2}, []int32{0, 1}},
		"a temperature of nearly nothing":     {Options{Temperature: math.SmallestNonzeroFloat32}, []int32{0}},
		"top-p at a high temperature is mild": {Options{Temperature: 2, TopP: ptr(float32(0.76))}, []int32{0, 1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			counts := draws(t, samplerOf(t, c.o, stubMask+1), powers(), 3000)
			var kept []int32
			for id := range counts {
				kept = append(kept, id)
			}
			slices.Sort(kept)
			if !slices.Equal(kept, c.kept) {
				t.Errorf("drew %v, want %v", kept, c.kept)
			}
		})
	}
}

// What is kept is renormalised and drawn in proportion: within 4 standard deviations of 20000 draws.
func TestSamplerProportions(t *testing.T) {
	const n = 20000
	for _, c := range []struct {
		o Options
		p []float64
	}{
		{Options{Temperature: 1}, []float64{.5, .25, .125, .0625, .0625}},
		{Options{Temperature: 1, TopK: 2}, []float64{2. / 3, 1. / 3}},
		{Options{Temperature: 0.5}, []float64{64. / 86, 16. / 86, 4. / 86, 1. / 86, 1. / 86}},
	} {
		counts := draws(t, samplerOf(t, c.o, stubMask+1), powers(), n)
		for id, p := range c.p {
			if got := float64(counts[int32(id)]); !(math.Abs(got-n*p) <= 4*math.Sqrt(n*p*(1-p))) {
				t.Errorf("%+v: id %d drawn %v times of %d, want about %v", c.o, id, got, n, n*p)
			}
		}
	}
}

// "Confidence is the sampled token's probability in the unscaled, mask-excluded softmax, so θ means the same at every temperature and top-k 1 does
// not accept everything at once."
func TestSamplerConfidence(t *testing.T) {
	want := []float32{.5, .25, .125, .0625, .0625}
	for _, o := range []Options{{Temperature: 0.3}, {Temperature: 1}, {Temperature: 2}, {Temperature: 1, TopK: 1}, {Temperature: 1, MinP: 0.4}} {
		s := samplerOf(t, o, stubMask+1)
		for position := range 200 {
			id, p, _ := s.choose(powers(), position, 1)
			if !(math.Abs(float64(p-want[id])) <= 1e-6) {
				t.Fatalf("%+v: id %d has confidence %v, want %v", o, id, p, want[id])
			}
		}
	}
	// The best token's is that of temperature 0, bit for bit.
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		logits := make([]float32, 300)
		for i := range logits {
			logits[i] = 10 * rng.Float32()
		}
		id, p, _ := samplerOf(t, Options{}, 300).choose(logits, 0, 1)
		warm, q, _ := samplerOf(t, Options{Temperature: 1, TopK: 1}, 300).choose(logits, 0, 1)
		if id != warm || p != q {
			t.Fatalf("temperature 0: %d %v; top-k 1: %d %v", id, p, warm, q)
		}
	}
}

// "The random number is ChaCha8 of (request seed, choice index n, absolute position, pass number in its block) and of nothing else".
func TestSamplerRandomness(t *testing.T) {
	logits := make([]float32, 1000)
	type from struct {
		seed           uint64
		choice         int
		position, step int
	}
	draw := func(f from) int32 {
		s := samplerOf(t, Options{Temperature: 1, Seed: &f.seed, Choice: f.choice}, len(logits))
		s.choose(logits, 9, 9) // whatever came before
		id, _, _ := s.choose(logits, f.position, f.step)
		return id
	}
	base := from{7, 0, 100, 1}
	if first, again := draw(base), draw(base); first != again {
		t.Errorf("drew %d, then %d of the same request", first, again)
	}
	for _, other := range []from{{8, 0, 100, 1}, {7, 1, 100, 1}, {7, 0, 101, 1}, {7, 0, 100, 2}} {
		if draw(base) == draw(other) {
			t.Errorf("%+v draws the same as %+v", other, base)
		}
	}
	// The bytes of the key and of the number are fixed: a seed means the same in every release and on every machine.
	s := &sampler{seed: 1, choice: 2, random: rand.NewChaCha8([32]byte{})}
	want := rand.NewChaCha8([32]byte{0: 1, 8: 2, 16: 3, 24: 4})
	if got, want := s.uniform(3, 4), float64(want.Uint64()>>11)/(1<<53); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// A seed makes the whole answer repeatable; without one a seed is drawn and reported, and repeats it.
func TestSeed(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB, ""} {
		o := Options{Temperature: 1.5, MaxTokens: 40}
		drawn, _ := recorded(t, newStub(dialect, 8, 4), iota32(8), o)
		o.Seed, o.PrefillRows = &drawn.Seed, 1
		again, _ := recorded(t, newStub(dialect, 8, 4), iota32(8), o)
		if !slices.Equal(drawn.IDs, again.IDs) || again.Seed != drawn.Seed {
			t.Errorf("%s: seed %d gave %v, then %v", dialect, drawn.Seed, drawn.IDs, again.IDs)
		}
		o.Choice = 1
		if other, _ := recorded(t, newStub(dialect, 8, 4), iota32(8), o); slices.Equal(other.IDs, drawn.IDs) {
			t.Errorf("%s: the second choice is the first", dialect)
		}
	}
}

// "Temperature ... ignored inside blocks" is dlm_server's fault, not ours: positions inside a block are sampled too.
func TestTemperatureInsideBlocks(t *testing.T) {
	for _, dialect := range []string{dialectA, dialectB} {
		m := newStub(dialect, 16, 8)
		m.logits = func(row []float32, _ uint64) { clear(row) }
		r, _ := recorded(t, m, []int32{1}, Options{Mode: names.ModeGreedy, Temperature: 1, MaxTokens: 15, Seed: ptr(uint64(3))})
		slices.Sort(r.IDs)
		if n := len(slices.Compact(r.IDs)); n < 5 {
			t.Errorf("%s: %d different tokens in a block of equal logits", dialect, n)
		}
	}
}

func TestHeapYieldsInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	logits := make([]float32, 500)
	h := heap{logits: logits}
	for i := range logits {
		logits[i] = float32(rng.IntN(50))
		h.ids = append(h.ids, int32(i))
	}
	h.build()
	last := h.pop()
	for len(h.ids) > 0 {
		next := h.pop()
		if !ahead(logits, last, next) {
			t.Fatalf("%d (%v) before %d (%v)", last, logits[last], next, logits[next])
		}
		last = next
	}
}

// What the sampler takes for granted of the kernel's exp.
func TestExpAtTheEdges(t *testing.T) {
	if one, zero := kernel.Exp(0), kernel.Exp(float32(math.Inf(-1))); one != 1 || zero != 0 {
		t.Errorf("exp(0) = %v, exp(-inf) = %v", one, zero)
	}
}

func BenchmarkSample(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 128256)
	for i := range logits {
		logits[i] = float32(3 * rng.NormFloat64())
	}
	for name, o := range map[string]Options{"greedy": {}, "plain": {Temperature: 0.8}, "top-p": {Temperature: 0.8, TopP: ptr(float32(0.95)), TopK: 40}} {
		b.Run(name, func(b *testing.B) {
			s := newSampler(&settings{Options: o, mask: noMask, topP: 0.95}, len(logits))
			if o.TopP == nil {
				s.topP = 1
			}
			for b.Loop() {
				s.choose(logits, 1, 1)
			}
		})
	}
}
