package quant

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

func TestAbsMean(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	x := make([]float32, 10_000)
	var sum float64
	for i := range x {
		x[i] = float32(rng.NormFloat64())
		sum += math.Abs(float64(x[i]))
	}
	var whole, parts AbsMean
	whole.Add(x)
	for rest := x; len(rest) > 0; {
		n := min(1+rng.IntN(37), len(rest))
		parts.Add(rest[:n])
		rest = rest[n:]
	}
	if whole.Scale() != parts.Scale() {
		t.Errorf("chunks change the scale: %v and %v", whole.Scale(), parts.Scale())
	}
	if want := float32(sum / 10_000); math.Abs(float64(whole.Scale()-want)) > 1e-7 {
		t.Errorf("scale %v, want %v", whole.Scale(), want)
	}
	var zero AbsMean
	zero.Add(make([]float32, 9))
	if zero.Scale() != 1e-5 || new(AbsMean).Scale() != 1e-5 {
		t.Errorf("zeros have scale %v", zero.Scale())
	}
}

func TestTernarize(t *testing.T) {
	x := []float32{0, 1, -1, 0.5, -0.5, 0.50001, -0.50001, 1.5, 100, -1000, float32(math.Copysign(0, -1))}
	want := []int8{0, 1, -1, 0, 0, 1, -1, 1, 1, -1, 0}
	got := make([]int8, len(x))
	Ternarize(got, x, 1)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v gives %d, want %d", x[i], got[i], want[i])
		}
	}
	for _, s := range []float32{1e-5, 0.0173, 3, math.MaxFloat32, 0x1p-126} {
		Ternarize(got, []float32{-s, 0, s}, s)
		if got[0] != -1 || got[1] != 0 || got[2] != 1 {
			t.Errorf("{-s, 0, s} with s = %v gives %v", s, got[:3])
		}
	}
}

// TestNormalWeights has the shares of FORMATS 3.2: 31.0 % zeros under the rule, 87 % under TQ's, none under sign().
func TestNormalWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	x := make([]float32, 1<<18)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	var mean AbsMean
	mean.Add(x)
	trits := make([]int8, len(x))
	Ternarize(trits, x, mean.Scale())
	zeros := 0
	for _, v := range trits {
		if v == 0 {
			zeros++
		}
	}
	if share := float64(zeros) / float64(len(x)); math.Abs(share-0.31006) > 0.003 {
		t.Errorf("%.4f of the weights become zero, want 0.3101", share)
	}
}

func TestDetector(t *testing.T) {
	negativeZero := float32(math.Copysign(0, -1))
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		x     []float32
		scale float32
		ok    bool
	}{
		"three values":       {[]float32{0.5, 0, -0.5, negativeZero}, 0.5, true},
		"two values":         {[]float32{-0.25, 0.25}, 0.25, true},
		"one value":          {[]float32{3, 3}, 3, true},
		"all zero":           {[]float32{0, 0}, 1e-5, true},
		"two magnitudes":     {[]float32{0.5, 0.25, 0}, 0, false},
		"an ulp apart":       {[]float32{1, math.Nextafter32(1, 2)}, 0, false},
		"infinite":           {[]float32{inf, -inf, 0}, 0, false},
		"not a number":       {[]float32{nan, nan}, 0, false},
		"not a number later": {[]float32{1, 0, nan}, 0, false},
		"nothing":            {nil, 1e-5, true},
	} {
		var whole, parts Detector
		whole.Add(c.x)
		for i := range c.x {
			parts.Add(c.x[i : i+1])
		}
		for _, d := range []Detector{whole, parts} {
			if scale, ok := d.Ternary(); scale != c.scale || ok != c.ok {
				t.Errorf("%s: scale %v, %v, want %v, %v", name, scale, ok, c.scale, c.ok)
			}
		}
	}
}

func TestResidual(t *testing.T) {
	var d Detector
	d.Add([]float32{0.5, -0.5, 0, 0})
	d.Add([]float32{0.25, 0, 4, -0.25})
	if got, want := d.Residual(), "3 magnitudes in 8 weights (37.5 % zeros), mean 0.6875, largest 4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for i := range 40 {
		d.Add([]float32{float32(i) + 10})
	}
	if got := d.Residual(); !strings.HasPrefix(got, "more than 16 magnitudes in 48 weights") {
		t.Errorf("got %q", got)
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		typ  gguf.Type
		x    float32
		code string
	}{
		{gguf.F32, math.MaxFloat32, ""},
		{gguf.F32, float32(math.Inf(-1)), "TENSOR_NOT_FINITE"},
		{gguf.F32, float32(math.NaN()), "TENSOR_NOT_FINITE"},
		{gguf.F16, 65519.996, ""},
		{gguf.F16, -65520, "RANGE_LOSS"},
		{gguf.F16, math.Float32frombits(0x7f800001), "TENSOR_NOT_FINITE"},
		{gguf.BF16, math.MaxFloat32, "RANGE_LOSS"},
		{gguf.BF16, 0x1.fefffep127, ""},
		{gguf.Q8_0, 8e6, ""},
		{gguf.Q8_0, 9e6, "RANGE_LOSS"},
		{gguf.Q4_0, 6e5, "RANGE_LOSS"},
		{gguf.Q6_K, 3e8, "RANGE_LOSS"},
	} {
		x := make([]float32, 256)
		x[17] = c.x
		r := Range{Type: c.typ}
		if err := r.Add(make([]float32, 100)); err != nil {
			t.Error(err)
		}
		err := r.Add(x)
		if fault.Code(err) != c.code || err != nil && !strings.Contains(err.Error(), "weight 117 is") {
			t.Errorf("%v in %v: %v, want code %q", c.x, c.typ, err, c.code)
		}
		if err == nil {
			for _, h := range [][]byte{Encode(nil, c.typ, x)} { // what passes must come back finite
				back := make([]float32, 256)
				Decode(back, c.typ, h)
				if math.IsInf(float64(back[17]), 0) || back[17] != back[17] {
					t.Errorf("%v in %v comes back as %v", c.x, c.typ, back[17])
				}
			}
		}
	}
	t.Run("R146 underflow is counted", func(t *testing.T) {
		r := Range{Type: gguf.F16}
		if err := r.Add([]float32{0, 0x1p-25, -0x1p-26, 0x1.000002p-25, 1, math.SmallestNonzeroFloat32}); err != nil || r.Underflows != 3 {
			t.Errorf("%d underflows, %v; want 3", r.Underflows, err)
		}
	})
	t.Run("R146 a scale that f16 cannot hold within 1 %", func(t *testing.T) {
		for _, c := range []struct {
			typ   gguf.Type
			scale float32
			code  string
		}{
			{gguf.F16, 0.0173, ""},
			{gguf.TQ2_0, 3e-5, ""},
			{gguf.TQ1_0, 1e-6, "RANGE_LOSS"},
			{gguf.TQ2_0, 2.9e-8, "RANGE_LOSS"},
			{gguf.F16, 70000, "RANGE_LOSS"},
			{gguf.BF16, 1e-6, ""},
			{gguf.I2_S, 2.9e-8, ""},
			{gguf.I2_S, 1e-40, "TENSOR_BAD_SCALE"},
			{gguf.I2_S, float32(math.Inf(1)), "TENSOR_BAD_SCALE"},
		} {
			if err := CheckScale(c.typ, c.scale); fault.Code(err) != c.code {
				t.Errorf("%g in %v: %v, want code %q", c.scale, c.typ, err, c.code)
			}
		}
	})
}
