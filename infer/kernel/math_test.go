package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// ulps is the distance of got from want in units in the last place of a float32.
func ulps(got float32, want float64) float64 {
	ulp := math.Ldexp(1, max(math.Ilogb(want)-23, -149))
	return math.Abs(float64(got)-want) / ulp
}

func TestExp(t *testing.T) {
	worst, at := 0., float32(0)
	for bits := uint32(0); bits < 0x42D00000; bits += 1009 { // 0 to 104
		for _, x := range []float32{math.Float32frombits(bits), -math.Float32frombits(bits)} {
			if want := math.Exp(float64(x)); want <= math.MaxFloat32 {
				if u := ulps(Exp(x), want); !(u <= worst) {
					worst, at = u, x
				}
			}
		}
	}
	t.Logf("worst error %.3f ulp at %g", worst, at)
	if !(worst <= 1) {
		t.Errorf("Exp(%g) is off by %g ulp", at, worst)
	}
	inf := float32(math.Inf(1))
	for x, want := range map[float32]float32{0: 1, inf: inf, -inf: 0, 88.73: inf, -104: 0, -1e30: 0, 1e30: inf} {
		if got := Exp(x); got != want {
			t.Errorf("Exp(%g) = %g, want %g", x, got, want)
		}
	}
	if x := Exp(inf - inf); x == x {
		t.Error("Exp(NaN) is not NaN")
	}
}

func TestSincos(t *testing.T) {
	rng := newRand(t)
	worst, at := 0., float32(0)
	check := func(x float32) {
		s, c := sincos(x)
		wantS, wantC := math.Sincos(float64(x))
		if u := max(ulps(s, wantS), ulps(c, wantC)); !(u <= worst) {
			worst, at = u, x
		}
	}
	for range 200_000 {
		check(float32(rng.Float64() * 1e6))
		check(float32(rng.Float64() * 10))
		check(float32(rng.IntN(1 << 20)))
		check(-math.Float32frombits(rng.Uint32N(0x4B000000)))
	}
	for k := range 200_000 { // the float32 nearest to multiples of pi/2, where everything cancels
		check(float32(float64(k) * (math.Pi / 2)))
	}
	t.Logf("worst error %.4f ulp at %g", worst, at)
	if !(worst <= 0.501) {
		t.Errorf("sincos(%g) is off by %g ulp", at, worst)
	}
}

// TestPow holds pow to the nearest float32, found by raising float32 candidates to the inverse power exactly.
func TestPow(t *testing.T) {
	for _, theta := range []float32{1e4, 1e5, 5e5, 1e6} {
		for _, dim := range []int{64, 128} {
			for j := range dim / 2 {
				got := pow(theta, float32(2*j)/float32(dim))
				// got is nearest iff (got - half ulp)^dim < theta^(2j) < (got + half ulp)^dim.
				below := (float64(math.Nextafter32(got, 0)) + float64(got)) / 2
				above := (float64(math.Nextafter32(got, math.MaxFloat32)) + float64(got)) / 2
				want := bigPow(float64(theta), 2*j)
				if bigPow(below, dim).Cmp(want) > 0 || bigPow(above, dim).Cmp(want) < 0 {
					t.Errorf("%g^(%d/%d) = %g is not the nearest", theta, 2*j, dim, got)
				}
			}
		}
	}
	for _, c := range [][3]float32{{10000, 0, 1}, {10000, 0.25, 10}, {10000, 0.5, 100}, {2, 0.5, math.Sqrt2}, {0.5, 2, 0.25}, {1, 0.3, 1}} {
		if got := pow(c[0], c[1]); got != c[2] {
			t.Errorf("pow(%g, %g) = %g, want %g", c[0], c[1], got, c[2])
		}
	}
}

func TestLn(t *testing.T) {
	for _, x := range []float64{1e-3, 0.5, 1, 2, math.E, 4, 40, 32768 / (2 * math.Pi), 1e6, 1e300} {
		if got, want := Ln(x), math.Log(x); !(math.Abs(got-want) <= 4e-16*math.Abs(want)) {
			t.Errorf("Ln(%g) = %v, want %v", x, got, want)
		}
	}
}

func bigPow(x float64, n int) *big.Float {
	p := big.NewFloat(1).SetPrec(20000)
	for range n {
		p.Mul(p, new(big.Float).SetFloat64(x))
	}
	return p
}

func TestRotary(t *testing.T) {
	x := []float32{1, 2, 3, 4, 9, 5, 6, 7, 8, 9} // two heads of 5, of which 4 turn
	for _, interleaved := range []bool{false, true} {
		y := slices.Clone(x)
		powers, angles := RotaryPowers(4, 10000), make([]float32, 4)
		r := NewRotary([]float32{1 / powers[0], 0.5 / powers[1]}, 3, interleaved)
		r.Angles(angles, 100)
		r.Apply(y, 5, angles)
		for h := 0; h < 10; h += 5 {
			for j, angle := range []float64{100, 0.5} { // 100 * 10000^(-2/4) / 2
				a, b := h+j, h+j+2
				if interleaved {
					a, b = h+2*j, h+2*j+1
				}
				s, c := math.Sincos(angle)
				s, c = 3*s, 3*c
				u, v := float64(x[a]), float64(x[b])
				if !(math.Abs(float64(y[a])-(u*c-v*s)) < 3e-6) || !(math.Abs(float64(y[b])-(v*c+u*s)) < 3e-6) {
					t.Errorf("interleaved %v: pair %d %d turned from %g %g to %g %g", interleaved, a, b, u, v, y[a], y[b])
				}
			}
			if y[h+4] != 9 {
				t.Errorf("element 4 of head %d is outside dim and changed", h/5)
			}
		}
	}
}

func TestRMSNorm(t *testing.T) {
	rng := newRand(t)
	const n = 100
	x, w := make([]float32, 2*n), make([]float32, n)
	for i := range x {
		x[i], w[i%n] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	y := slices.Clone(x)
	RMSNorm(y, y, w, 1e-5)
	for r := range 2 {
		sum := 0.
		for _, v := range x[r*n:][:n] {
			sum += float64(v) * float64(v)
		}
		for i := range n {
			want := float64(x[r*n+i]) / math.Sqrt(sum/n+1e-5) * float64(w[i])
			if !(math.Abs(float64(y[r*n+i])-want) <= 1e-6*math.Abs(want)+1e-9) {
				t.Errorf("row %d: y[%d] = %g, want %g", r, i, y[r*n+i], want)
			}
		}
	}
}

func TestActivationFunctions(t *testing.T) {
	inf := float32(math.Inf(1))
	g := []float32{-3, -0.5, 0, 0.5, 3, -100, -90, 100}
	for i, u := range g {
		x := []float32{u}
		SiLUMul(x, []float32{2})
		want := 2 * float64(u) / (1 + math.Exp(-float64(u)))
		if !(math.Abs(float64(x[0])-want) <= 3e-7*math.Abs(want)+2e-37) { // exp(90) overflows
			t.Errorf("%d: silu(%g)*2 = %g, want %g", i, u, x[0], want)
		}
		x[0] = u
		ReLU2Mul(x, []float32{2})
		if want := 2 * max(u, 0) * max(u, 0); x[0] != want {
			t.Errorf("relu2(%g)*2 = %g, want %g", u, x[0], want)
		}
	}
	for _, f := range []func(g, u []float32){SiLUMul, ReLU2Mul} {
		x := []float32{inf - inf}
		if f(x, []float32{1}); x[0] == x[0] {
			t.Error("NaN is lost")
		}
	}
	t.Run("R158 squared ReLU beyond f16", func(t *testing.T) {
		x := []float32{300, 1e6, 1e15}
		ReLU2Mul(x, []float32{1, 1, 1e-3})
		requireSame(t, "relu2", x, []float32{9e4, 1e12, float32(float32(1e15)*float32(1e15)) * 1e-3})
		a := NewActivations(1, 3)
		if err := a.Quantize(x, 1, 3); err != nil {
			t.Error(err)
		}
	})
}

// attend64 is the textbook in float64.
func attend64(q []float32, k, v func(j, i int) float64, n int) []float64 {
	d := len(q)
	p, sum, top := make([]float64, n), 0., math.Inf(-1)
	for j := range p {
		for i, x := range q {
			p[j] += float64(x) * k(j, i) / math.Sqrt(float64(d))
		}
		top = max(top, p[j])
	}
	for j := range p {
		p[j] = math.Exp(p[j] - top)
		sum += p[j]
	}
	o := make([]float64, d)
	for j := range p {
		for i := range o {
			o[i] += p[j] / sum * v(j, i)
		}
	}
	return o
}

func TestAttend(t *testing.T) {
	rng := newRand(t)
	for _, c := range [][3]int{{16, 1, 16}, {64, 17, 80}, {128, 100, 128}, {20, 33, 20}} {
		d, n, stride := c[0], c[1], c[2]
		k, v := make([]float32, (n-1)*stride+d), make([]float32, (n-1)*stride+d)
		for i := range k {
			k[i], v[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
		}
		k16, v16 := make([]uint16, len(k)), make([]uint16, len(v))
		ToHalf(k16, k)
		ToHalf(v16, v)
		q := make([]float32, d)
		for i := range q {
			q[i] = float32(rng.NormFloat64())
		}
		run := func(half bool, page int) []float32 {
			kv := KV{Page: page, Stride: stride}
			for lo := 0; lo < len(k); lo += page * stride {
				hi := min(lo+page*stride, len(k))
				if half {
					kv.K16, kv.V16 = append(kv.K16, guarded(t, k16[lo:hi])), append(kv.V16, guarded(t, v16[lo:hi]))
				} else {
					kv.K, kv.V = append(kv.K, guarded(t, k[lo:hi])), append(kv.V, guarded(t, v[lo:hi]))
				}
			}
			o := make([]float32, d)
			attend(o, q, kv, n)
			return o
		}
		for _, half := range []bool{false, true} {
			o := run(half, n)
			requireSame(t, "attention over pages of 32", run(half, 32), o)
			at := func(f []float32, h []uint16) func(j, i int) float64 {
				return func(j, i int) float64 {
					if half {
						return float64(fromF16(h[j*stride+i]))
					}
					return float64(f[j*stride+i])
				}
			}
			for i, want := range attend64(q, at(k, k16), at(v, v16), n) {
				if !(math.Abs(float64(o[i])-want) <= 3e-6) {
					t.Errorf("%v: o[%d] = %g, want %g", c, i, o[i], want)
				}
			}
		}
	}
	nan := float32(math.NaN())
	o := []float32{0, 0}
	attend(o, []float32{1, 1}, KV{K: [][]float32{{1, 1, nan, 1}}, V: [][]float32{{1, 2, 3, 4}}, Page: 2, Stride: 2}, 2)
	if o[0] == o[0] {
		t.Error("a NaN key is lost")
	}
}

func TestArgMaxConfidence(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := inf - inf
	for _, c := range []struct {
		name   string
		logits []float32
		skip   int
		index  int
		p      float32
		ok     bool
	}{
		{"ties to the lower index", []float32{1, 3, 3}, -1, 1, float32(1 / (2 + math.Exp(-2))), true},
		{"skip", []float32{1, 9, 1}, 1, 0, 0.5, true},
		{"one", []float32{-7}, -1, 0, 1, true},
		{"-inf among others", []float32{-inf, 2, -inf}, -1, 1, 1, true},
		{"far below", []float32{-1000, 1000}, -1, 1, 1, true},
		{"all -inf", []float32{-inf, -inf}, -1, -1, 0, false},
		{"all but skip -inf", []float32{-inf, 3}, 1, -1, 0, false},
		{"+inf", []float32{1, inf}, -1, 1, 0, false},
		{"NaN first", []float32{nan, 1}, -1, 0, 0, false},
		{"NaN last", []float32{1, nan}, -1, 1, 0, false},
		{"NaN skipped", []float32{1, nan}, 1, 0, 1, true},
		{"none", nil, -1, -1, 0, false},
	} {
		index, p, ok := ArgMaxConfidence(c.logits, c.skip)
		if index != c.index || ok != c.ok || !(math.Abs(float64(p-c.p)) <= 1e-7) {
			t.Errorf("%s: got %d %g %v, want %d %g %v", c.name, index, p, ok, c.index, c.p, c.ok)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 9001) // several pieces
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	skip := 5000
	logits[skip] = 50
	index, p, ok := ArgMaxConfidence(logits, skip)
	want, sum := slices.Max(append(slices.Clone(logits[:skip]), logits[skip+1:]...)), 0.
	for i, v := range logits {
		if i != skip {
			sum += math.Exp(float64(v - want))
		}
	}
	if !ok || logits[index] != want || !(math.Abs(float64(p)*sum-1) < 1e-5) {
		t.Errorf("got %d %g %v, want %g with 1/%g", index, p, ok, want, sum)
	}
}
