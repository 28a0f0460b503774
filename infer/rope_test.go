package infer

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/wrinklefree/wf/gguf/names"
)

// TestYarn compares the rotation with testdata/yarn.json, which testdata/yarn.py writes.
func TestYarn(t *testing.T) {
	text, err := os.ReadFile("testdata/yarn.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Dim, Original         int
		Base, Factor          float32
		Fast, Slow, Ext, Attn *float32
		Inv                   []float64
		Scale                 float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for i, x := range cases {
		f := tinyModel(names.BitNetB158, 1)
		f.md.Set(f.key(names.RopeScalingType), "yarn")
		f.md.Set(f.key(names.RopeFactor), x.Factor)
		f.md.Set(f.key(names.RopeOriginal), uint32(x.Original))
		f.md.Set(f.key(names.RopeFreqBase), x.Base)
		for key, v := range map[string]*float32{
			names.RopeBetaFast: x.Fast, names.RopeBetaSlow: x.Slow, names.RopeExtFactor: x.Ext, names.RopeAttnFactor: x.Attn,
		} {
			if v != nil {
				f.md.Set(f.key(key), *v)
			}
		}
		p := &params{md: f.md}
		c := &Config{Architecture: f.arch, Context: 256, RopeTheta: x.Base}
		s := p.ropeScaling(c)
		if p.err != nil {
			t.Fatal(p.err)
		}
		r, err := s.rotary(x.Dim, x.Base, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		angles := make([]float32, x.Dim)
		for _, pos := range []int{0, 1, 7} {
			r.Angles(angles, pos)
			for j, inv := range x.Inv {
				sin, cos := math.Sincos(float64(pos) * inv)
				// Four roundings of a frequency and one of the result: 7 radians turn into an error of a few 1e-7.
				if !(math.Abs(float64(angles[j])-cos*x.Scale) <= 3e-6) || !(math.Abs(float64(angles[x.Dim/2+j])-sin*x.Scale) <= 3e-6) {
					t.Errorf("case %d, position %d, pair %d: cos %g sin %g, want %g %g", i, pos, j, angles[j], angles[x.Dim/2+j], cos*x.Scale, sin*x.Scale)
				}
			}
		}
	}
}

// TestYarnRuns: a stretched model computes other logits, except at position 0 without scale.
func TestYarnRuns(t *testing.T) {
	ids := someIDs(9, 1)
	f := tinyModel(names.Llama, 4)
	plain := logits(t, f.load(t, Options{}), ids, Mask{})
	f.md.Set(f.key(names.RopeScalingType), "yarn")
	f.md.Set(f.key(names.RopeFactor), float32(4))
	f.md.Set(f.key(names.RopeOriginal), uint32(64))
	stretched := logits(t, f.load(t, Options{}), ids, Mask{})
	if !equal(plain[:tinyVocab], stretched[:tinyVocab]) {
		t.Error("the first row sees itself alone, and differs")
	}
	if equal(plain, stretched) {
		t.Error("the logits are those without scaling")
	}
}
