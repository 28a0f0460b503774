package infer

import (
	"math"
	"testing"

	"github.com/wrinklefree/wf/gguf"
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
