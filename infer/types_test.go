package infer

import (
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// TestEveryType stores every matrix of a model in each type and compares with the reference, which computes with the decoded weights and
// rounds activations as the type's product does.
func TestEveryType(t *testing.T) {
	ids := someIDs(4, 3)
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q6_K, gguf.TQ1_0, gguf.TQ2_0, gguf.I2_S} {
		t.Run(typ.String(), func(t *testing.T) {
			f := shapedModel(names.Llama, 11, wideShape)
			f.md.Set(names.LinearActivation, names.ActivationNone)
			head := shapedModel(names.Llama, 12, wideShape).tensor(names.TokenEmbedding)
			f.add(names.Output, head.values, wideShape.hidden, wideShape.vocab)
			if !quant.IsTernary(typ) {
				for i, x := range []*modelTensor{f.tensor(names.TokenEmbedding), f.tensor(names.Output)} {
					x.encode(typ)
					if slices.Equal(x.values, head.values) == (i == 0) {
						t.Fatal("embedding and head are the same")
					}
				}
				f.projections(func(x *modelTensor) {
					for i := range x.values { // not ternary
						x.values[i] = x.values[i]*0.5 + head.values[i%len(head.values)]*0.05
					}
				})
			}
			f.projections(func(x *modelTensor) { x.encode(typ) })
			m, warnings, err := f.tryLoad(t, Options{})
			if err != nil || len(warnings) > 0 {
				t.Fatalf("error %v, warnings %q", err, warnings)
			}
			// An activation on the edge between two int8 may fall to either side: a hundredth of one of 256.
			if diff := relative(logits(t, m, ids, Mask{}), newReference(f, Mask{}).logits(ids)); !(diff <= 3e-4) {
				t.Errorf("relative difference %g", diff)
			}
		})
	}
}

// TestQ4IsQ8 holds Q4_0 to Q8_0 of the same values.
func TestQ4IsQ8(t *testing.T) {
	ids := someIDs(9, 3)
	f := shapedModel(names.Llama, 11, wideShape)
	f.md.Set(names.LinearActivation, names.ActivationNone)
	matrices := func(change func(*modelTensor)) {
		f.projections(change)
		change(f.tensor(names.TokenEmbedding))
	}
	matrices(func(x *modelTensor) { x.encode(gguf.Q4_0) })
	got := logits(t, f.load(t, Options{}), ids, Mask{})
	matrices(func(x *modelTensor) {
		var wide []byte
		for at := 0; at < len(x.data); at += 18 {
			block := make([]byte, 34)
			quant.WidenQ4(block, x.data[at:][:18])
			wide = append(wide, block...)
		}
		x.typ, x.data = gguf.Q8_0, wide
		decoded := make([]float32, len(x.values))
		quant.Decode(decoded, gguf.Q8_0, wide)
		if !slices.Equal(decoded, x.values) {
			t.Fatalf("%s: the widened blocks hold other values", x.name)
		}
	})
	if !equal(got, logits(t, f.load(t, Options{}), ids, Mask{})) {
		t.Error("logits differ from those of the same values in Q8_0")
	}
}

// TestScaleTensors: bitnet's converters may write weights of -1, 0 and 1 and their scale in a tensor of its own.
func TestScaleTensors(t *testing.T) {
	ids := someIDs(9, 3)
	apart := func(typ gguf.Type) *modelFile {
		f := tinyModel(names.BitNet, 2)
		f.projections(func(x *modelTensor) {
			trits, scale := x.trits()
			for i, v := range trits {
				x.values[i] = float32(v)
			}
			x.encode(typ)
			f.add(x.name[:len(x.name)-len("weight")]+"scale", []float32{scale}, 1)
		})
		return f
	}
	f := tinyModel(names.BitNet, 2)
	want := logits(t, f.load(t, Options{}), ids, Mask{})
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.I2_S} {
		if !equal(want, logits(t, apart(typ).load(t, Options{}), ids, Mask{})) {
			t.Errorf("%v: logits differ from those of weights that have their scale in them", typ)
		}
	}
	f.md.Set(names.LinearActivation, names.ActivationNone)
	want = logits(t, f.load(t, Options{}), ids, Mask{})
	dense := apart(gguf.BF16)
	dense.md.Set(names.LinearActivation, names.ActivationNone)
	if !equal(want, logits(t, dense.load(t, Options{}), ids, Mask{})) {
		t.Error("dense: logits differ from those of weights that have their scale in them")
	}
	zero := apart(gguf.I2_S)
	name := names.Block(0, names.AttnQ, "scale")
	zero.remove(name)
	zero.add(name, []float32{0}, 1)
	if _, _, err := zero.tryLoad(t, Options{}); fault.Code(err) != "TENSOR_BAD_SCALE" {
		t.Errorf("a scale of 0: %v", err)
	}
}
