package infer

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// A model's variants, each with what makes it.
var variants = []struct {
	name string
	make func() *modelFile
}{
	{"bitnet-b1.58", func() *modelFile { return tinyModel(names.BitNetB158, 1) }},
	{"bitnet", func() *modelFile { return tinyModel(names.BitNet, 2) }},
	{"bitnet-25 without sub-norms", func() *modelFile {
		f := tinyModel(names.BitNet25, 3)
		for i := range tinyLayers {
			f.remove(names.Block(i, names.AttnSubNorm, "weight"))
			f.remove(names.Block(i, names.FFNSubNorm, "weight"))
		}
		return f
	}},
	{"llama", func() *modelFile { return tinyModel(names.Llama, 4) }},
	{"qwen2 dense", func() *modelFile {
		f := tinyModel(names.Qwen2, 5)
		f.md.Set(names.LinearActivation, names.ActivationNone)
		return f
	}},
	{"every optional tensor", func() *modelFile {
		f := tinyModel(names.BitNetB158, 6)
		f.md.Set(names.SubLNEps, float32(1e-3))
		f.md.Set(f.key(names.RopeScalingType), "linear")
		f.md.Set(f.key(names.RopeFactor), float32(2))
		other := tinyModel(names.BitNetB158, 7)
		f.add(names.Output, other.tensor(names.TokenEmbedding).values, tinyHidden, tinyVocab)
		f.add(names.RopeFreqs, []float32{1, 1, 1, 1.2, 2, 3, 8, 8}, tinyDim/2)
		for i := range tinyLayers {
			for _, part := range names.Projections {
				w := f.tensor(names.Block(i, part, "weight"))
				cols, rows := int(w.dims[0]), int(w.dims[1])
				f.add(names.Block(i, part+names.NormIn, "weight"), other.tensor(names.Block(i, names.FFNSubNorm, "weight")).values[:cols], cols)
				f.add(names.Block(i, part, "bias"), other.tensor(names.TokenEmbedding).values[:rows], rows)
			}
		}
		return f
	}},
}

// relative returns the largest difference of two logit matrices, relative to the largest logit of its row.
func relative(got []float32, want [][]float64) float64 {
	worst := 0.0
	for i, row := range want {
		top := 0.0
		for _, v := range row {
			top = max(top, math.Abs(v))
		}
		for j, v := range row {
			worst = max(worst, math.Abs(float64(got[i*len(row)+j])-v)/top)
		}
	}
	return worst
}

func TestForwardEqualsReference(t *testing.T) {
	ids := someIDs(19, 3)
	for _, v := range variants {
		for name, mask := range map[string]Mask{"causal": {}, "block-causal": {Block: 8}} {
			t.Run(v.name+"/"+name, func(t *testing.T) {
				f := v.make()
				got := logits(t, f.load(t, Options{}), ids, mask)
				// The bound is of float32 sums. Activations that fall on an edge between two int8 would differ by far more; with these
				// seeds none does.
				if diff := relative(got, newReference(f, mask).logits(ids)); !(diff <= 1e-4) {
					t.Errorf("relative difference %g", diff)
				}
			})
		}
	}
}

// equal reports whether logits are the same bit for bit.
func equal(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// TestTypesEqualF32 holds promise 3 of DESIGN.md: the type that ternary weights are stored in changes no bit of the logits, unless it changes
// the scale.
func TestTypesEqualF32(t *testing.T) {
	ids := someIDs(19, 3)
	for _, typ := range []gguf.Type{gguf.I2_S, gguf.BF16, gguf.F16} {
		t.Run(typ.String(), func(t *testing.T) {
			f := tinyModel(names.BitNetB158, 1)
			f.projections(func(x *modelTensor) { x.encode(typ) }) // rounds the scale of the halves, in values too
			got := logits(t, f.load(t, Options{}), ids, Mask{})
			f.projections(func(x *modelTensor) { x.encode(gguf.F32) })
			if !equal(got, logits(t, f.load(t, Options{}), ids, Mask{})) {
				t.Error("logits differ from those of the same weights in F32")
			}
		})
	}
}

func TestThreads(t *testing.T) {
	f, ids := tinyModel(names.BitNetB158, 1), someIDs(37, 4)
	want := logits(t, f.load(t, Options{Threads: 1}), ids, Mask{Block: 8})
	n := runtime.NumCPU()
	for _, threads := range []int{1, 2, 3, n, n + 1, 17} {
		t.Run(fmt.Sprintf("R156 %d threads", threads), func(t *testing.T) {
			if !equal(want, logits(t, f.load(t, Options{Threads: threads}), ids, Mask{Block: 8})) {
				t.Error("logits differ from those of one thread")
			}
		})
	}
	for _, procs := range []int{1, 2, n + 1} {
		t.Run(fmt.Sprintf("R156 GOMAXPROCS %d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			if !equal(want, logits(t, f.load(t, Options{}), ids, Mask{Block: 8})) {
				t.Error("logits differ from those of one thread")
			}
		})
	}
}

// TestChunks cuts a prompt into prefill chunks of every size.
func TestChunks(t *testing.T) {
	m, ids := tinyModel(names.Llama, 4).load(t, Options{}), someIDs(32, 5)
	for _, mask := range []Mask{{}, {Block: 8}} {
		want := logits(t, m, ids, mask)
		for size := max(1, mask.Block); size < len(ids); size += max(1, mask.Block) {
			c, got := newCache(t, m, len(ids)), []float32(nil)
			for start := 0; start < len(ids); start += size {
				some := ids[start:min(start+size, len(ids))]
				s := &Segment{Cache: c, Start: start, IDs: some, Mask: mask, Logits: allRows(len(some))}
				forward(t, m, s)
				c.SetLen(start + len(some))
				got = append(got, s.Out...)
			}
			if !equal(got, want) {
				t.Errorf("mask %+v: chunks of %d change the logits", mask, size)
			}
		}
	}
}

// TestLongSegment has more rows than run at once, so Forward cuts it, between blocks where there are blocks.
func TestLongSegment(t *testing.T) {
	f, ids := tinyModel(names.BitNetB158, 1), someIDs(100, 6)
	atOnce, cut := f.load(t, Options{}), f.load(t, Options{})
	cut.pass.maxRows = 32
	for _, mask := range []Mask{{}, {Block: 12}, {Block: 64}} {
		segments := func(m *Model) []*Segment {
			return []*Segment{
				{Cache: newCache(t, m, 8), IDs: ids[:5], Mask: mask, Logits: []int{4}}, // shifts every cut of the next
				{Cache: newCache(t, m, len(ids)), IDs: ids, Mask: mask, Logits: []int{0, 25, 31, 32, 33, 60, 99}},
			}
		}
		want, got := segments(atOnce), segments(cut)
		forward(t, atOnce, want...)
		forward(t, cut, got...)
		if !equal(want[0].Out, got[0].Out) || !equal(want[1].Out, got[1].Out) {
			t.Errorf("mask %+v: cutting changes the logits", mask)
		}
		if n := got[1].Cache.filled; n != len(ids) {
			t.Errorf("mask %+v: %d of %d positions computed", mask, n, len(ids))
		}
	}
}

func TestNeighbours(t *testing.T) {
	m, ids := tinyModel(names.BitNetB158, 1).load(t, Options{}), someIDs(24, 7)
	prefill := func(n int) *Cache {
		c := newCache(t, m, 64)
		forward(t, m, &Segment{Cache: c, IDs: ids[:n], Mask: Mask{Block: 8}})
		c.SetLen(n)
		return c
	}
	block := func() *Segment {
		return &Segment{Cache: prefill(16), Start: 16, IDs: ids[16:24], Mask: Mask{Block: 8}, Logits: allRows(8)}
	}
	alone := block()
	forward(t, m, alone)
	t.Run("R159 batch of identical prompts", func(t *testing.T) {
		for size := 2; size <= 16; size++ {
			var batch []*Segment
			for range size {
				batch = append(batch, block())
			}
			forward(t, m, batch...)
			for i, s := range batch {
				if !equal(s.Out, alone.Out) {
					t.Errorf("request %d of %d differs from the request alone", i, size)
				}
			}
		}
	})
	t.Run("R159 neighbours of other lengths", func(t *testing.T) {
		s := block()
		forward(t, m,
			&Segment{Cache: newCache(t, m, 64), IDs: ids, Mask: Mask{}, Logits: []int{23}},
			s,
			&Segment{Cache: prefill(8), Start: 8, IDs: ids[3:4], Mask: Mask{Block: 8}, Logits: []int{0}})
		if !equal(s.Out, alone.Out) {
			t.Error("differs from the request alone")
		}
	})
}

// TestSubBlock: a pass over some rows of a stored block equals a pass over the whole block, if the others' keys and values are those that
// the pass would compute. In the first layer they are; below the top layer they depend on the changed rows, so a model of one layer is equal
// and a deeper one is only near.
func TestSubBlock(t *testing.T) {
	ids := someIDs(16, 8)
	mask := Mask{Block: 8}
	changed := append([]int32{}, ids...)
	changed[12], changed[13] = (ids[12]+1)%tinyVocab, (ids[13]+1)%tinyVocab
	run := func(t *testing.T, m *Model) (sub, whole, stale []float32) {
		c := newCache(t, m, 32)
		forward(t, m, &Segment{Cache: c, IDs: ids[:8], Mask: mask})
		c.SetLen(8)
		before := &Segment{Cache: c, Start: 8, IDs: ids[8:], Mask: mask, Logits: []int{4, 5, 6, 7}}
		forward(t, m, before)
		after := &Segment{Cache: c, Start: 12, IDs: changed[12:14], Extent: 16, Mask: mask, Logits: []int{0, 1}}
		forward(t, m, after)
		return after.Out, logits(t, m, changed, mask)[12*tinyVocab : 14*tinyVocab], before.Out[:2*tinyVocab]
	}
	t.Run("one layer", func(t *testing.T) {
		f := tinyModel(names.BitNetB158, 1)
		f.md.Set(f.key(names.BlockCount), uint32(1))
		f.tensors = slices.DeleteFunc(f.tensors, func(x *modelTensor) bool { return strings.HasPrefix(x.name, "blk.1.") })
		if sub, whole, _ := run(t, f.load(t, Options{})); !equal(sub, whole) {
			t.Error("the sub-block's logits differ from the whole block's")
		}
	})
	t.Run("two layers", func(t *testing.T) {
		sub, whole, stale := run(t, tinyModel(names.BitNetB158, 1).load(t, Options{}))
		if equal(sub, whole) || equal(sub, stale) {
			t.Error("the sub-block's logits are the whole block's, or those from before: it did not mix new rows with stored ones")
		}
	})
}

func TestHalfCache(t *testing.T) {
	f, ids := tinyModel(names.Llama, 4), someIDs(19, 3)
	got := logits(t, f.load(t, Options{CacheType: gguf.F16}), ids, Mask{})
	diff := relative(got, newReference(f, Mask{}).logits(ids))
	// Halves have 11 bits: 2^-11 in each key and value, and an int8 rounding may tip over.
	if !(diff <= 0.03) || diff == 0 {
		t.Errorf("relative difference %g", diff)
	}
	if equal(got, logits(t, f.load(t, Options{}), ids, Mask{})) {
		t.Error("the logits are those of a float32 cache")
	}
}

func TestRollBack(t *testing.T) {
	m, ids := tinyModel(names.Llama, 4).load(t, Options{}), someIDs(20, 9)
	want := logits(t, m, ids, Mask{})
	c := newCache(t, m, 20)
	forward(t, m, &Segment{Cache: c, IDs: append(append([]int32{}, ids[:10]...), 1, 2, 3)})
	c.SetLen(13)
	c.SetLen(10)
	s := &Segment{Cache: c, Start: 10, IDs: ids[10:], Logits: allRows(10)}
	forward(t, m, s)
	if !equal(s.Out, want[10*tinyVocab:]) {
		t.Error("logits after a roll back differ from those of a fresh cache")
	}
}

func TestForwardAllocatesNothing(t *testing.T) {
	for _, threads := range []int{1, 2} {
		f := diffusionModel()
		f.projections(func(x *modelTensor) { x.encode(gguf.I2_S) })
		m := f.load(t, Options{Threads: threads})
		a := &Segment{Cache: newCache(t, m, 64), IDs: someIDs(8, 1), Mask: Mask{Block: 8}, Logits: allRows(8)}
		b := &Segment{Cache: newCache(t, m, 64), IDs: someIDs(24, 1), Logits: []int{23}}
		batch := []*Segment{a, b}
		forward(t, m, batch...)
		if n := testing.AllocsPerRun(20, func() { m.Forward(batch) }); n != 0 && !raceDetector {
			t.Errorf("%d threads: a pass makes %v allocations", threads, n)
		}
	}
}

// TestOverflow makes the network overflow for one token, and looks at its neighbours.
func TestOverflow(t *testing.T) {
	ids := someIDs(8, 1)
	for _, activation := range []string{names.ActivationInt8, names.ActivationNone} {
		t.Run("R155 "+activation, func(t *testing.T) {
			f := tinyModel(names.BitNetB158, 1)
			f.md.Set(names.LinearActivation, activation)
			const bad = 7
			for i := range ids {
				ids[i] %= bad
			}
			embed := f.tensor(names.TokenEmbedding)
			for i := range embed.values[bad*tinyHidden:][:tinyHidden] {
				embed.values[bad*tinyHidden+i] = math.MaxFloat32
			}
			embed.encode(gguf.F32)
			m := f.load(t, Options{})
			want := logits(t, m, ids, Mask{})
			segment := func(ids ...int32) *Segment {
				return &Segment{Cache: newCache(t, m, 8), IDs: ids, Logits: allRows(len(ids))}
			}
			before, overflowing, after := segment(ids...), segment(1, bad, 2), segment(ids...)
			if err := m.Forward([]*Segment{before, overflowing, after}); err != nil {
				t.Fatal(err)
			}
			if fault.Code(overflowing.Err) != "NUMERIC_ERROR" {
				t.Errorf("the segment's error is %v", overflowing.Err)
			}
			if before.Err != nil || after.Err != nil || !equal(before.Out, want) || !equal(after.Out, want) {
				t.Error("the neighbours' logits differ from those without this neighbour")
			}
			again := segment(ids...)
			forward(t, m, again)
			if !equal(again.Out, want) {
				t.Error("the next pass differs")
			}
		})
	}
}

func TestForwardRefuses(t *testing.T) {
	m := tinyModel(names.Llama, 4).load(t, Options{})
	c := newCache(t, m, 8)
	for _, x := range []struct {
		name, code string
		segment    Segment
	}{
		{"id past the vocabulary", "TOKEN_OUT_OF_RANGE", Segment{IDs: []int32{tinyVocab}}},
		{"negative id", "TOKEN_OUT_OF_RANGE", Segment{IDs: []int32{-1}}},
		{"more rows than the cache", "CONTEXT_FULL", Segment{IDs: someIDs(9, 1)}},
		{"no rows", "", Segment{}},
		{"a gap before the rows", "", Segment{Start: 1, IDs: []int32{1}}},
		{"an extent that was never computed", "", Segment{IDs: []int32{1}, Extent: 2}},
		{"logits of a row that is not there", "", Segment{IDs: []int32{1}, Logits: []int{1}}},
		{"logits in disorder", "", Segment{IDs: []int32{1, 2}, Logits: []int{1, 0}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			x.segment.Cache = c
			if err := m.Forward([]*Segment{&x.segment}); err == nil || fault.Code(err) != x.code {
				t.Errorf("error %v, wanted code %q", err, x.code)
			}
		})
	}
}
