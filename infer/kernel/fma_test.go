package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigFMA is the definition: the exact a*b + c, rounded once.
func bigFMA(a, b, c float32) float32 {
	x, y, z := big.NewFloat(float64(a)), big.NewFloat(float64(b)), big.NewFloat(float64(c))
	p := new(big.Float).SetPrec(1000).Mul(x, y)
	s := new(big.Float).SetPrec(1000).Add(p, z)
	if s.Sign() == 0 {
		return float32(float64(a)*float64(b) + float64(c)) // the sign of a zero
	}
	f, _ := s.Float32()
	return f
}

func TestFMA(t *testing.T) {
	check := func(a, b, c float32) {
		t.Helper()
		if got, want := fma32(a, b, c), bigFMA(a, b, c); math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
	rng := newRand(t)
	t.Run("double rounding", func(t *testing.T) {
		// 1 + 2^-24 lies between two float32; a product of 2^-60 on either side decides, and float64 loses it.
		if got := float32(math.FMA(0x1p-30, 0x1p-30, 1+0x1p-24)); got != 1 {
			t.Fatalf("rounding twice gives %x; the case tests nothing", got)
		}
		check(0x1p-30, 0x1p-30, 1)
		check(1+0x1p-23, 1+0x1p-1, 0x1p-80)
		for range 30_000 {
			// c and the product's high part make a tie, its low part breaks it.
			c := math.Float32frombits(rng.Uint32N(40)<<23 + 100<<23 | rng.Uint32()&0x807FFFFF)
			tie := float64(math.Nextafter32(c, float32(math.Inf(1)))-c) / 2
			a := float32(1 + math.Ldexp(float64(rng.IntN(3)-1), -20-rng.IntN(4)))
			check(a, float32(tie/float64(a)), c)
			check(float32(tie), 1+float32(rng.IntN(3)-1)*0x1p-23, c)
			check(-float32(tie), 1+float32(rng.IntN(3)-1)*0x1p-23, c)
		}
	})
	t.Run("subnormal results", func(t *testing.T) {
		for range 30_000 {
			a := math.Float32frombits(rng.Uint32()&0x807FFFFF | (40+rng.Uint32N(40))<<23)
			b := math.Float32frombits(rng.Uint32()&0x807FFFFF | (40+rng.Uint32N(40))<<23)
			check(a, b, math.Float32frombits(rng.Uint32()&0x80FFFFFF))
			check(a, b, math.Float32frombits(rng.Uint32()&0x80000007))
		}
		check(0x1p-75, 0x1p-75, 0)
		check(-0x1p-75, 0x1p-75, 0)
		check(0x1p-75, 0x1p-75, 0x1p-149)
		check(0x1.8p-75, 0x1p-75, -0x1p-149)
	})
	t.Run("any bits", func(t *testing.T) {
		for range 30_000 {
			a, b, c := anyFinite(rng), anyFinite(rng), anyFinite(rng)
			check(a, b, c)
			check(a, b, float32(-float64(a)*float64(b)))
		}
	})
	t.Run("infinity and NaN", func(t *testing.T) {
		inf := float32(math.Inf(1))
		for _, c := range [][4]float32{{inf, 1, 1, inf}, {-inf, 1, 1, -inf}, {1, 1, inf, inf}, {1, 1, -inf, -inf}, {3e38, 3e38, -3e38, inf}} {
			if got := fma32(c[0], c[1], c[2]); got != c[3] {
				t.Errorf("fma(%g, %g, %g) = %g, want %g", c[0], c[1], c[2], got, c[3])
			}
		}
		for _, c := range [][3]float32{{inf, 0, 1}, {inf, 1, -inf}, {inf - inf, 1, 1}, {1, 1, inf - inf}} {
			if got := fma32(c[0], c[1], c[2]); got == got {
				t.Errorf("fma(%g, %g, %g) = %g, want NaN", c[0], c[1], c[2], got)
			}
		}
	})
}

func anyFinite(rng *rand.Rand) float32 {
	for {
		if f := math.Float32frombits(rng.Uint32()); f-f == 0 {
			return f
		}
	}
}

// TestLanes pins the canonical order with sums whose result depends on it.
func TestLanes(t *testing.T) {
	big := float32(1 << 24)
	x := make([]float32, 33)
	x[0], x[16], x[32] = big, 1, 1 // in one lane upward, each 1 is lost
	var y [1]float32
	ones := filled(33, float32(1))
	dotF32Generic(y[:], x, ones, 0)
	if y[0] != big {
		t.Errorf("one lane: got %g", y[0])
	}
	clear(x)
	x[0], x[1], x[9] = big, 1, 1 // lanes 1 and 9 meet first
	dotF32Generic(y[:], x, ones, 0)
	if y[0] != big+2 {
		t.Errorf("lanes 1 and 9: got %g", y[0])
	}
	clear(x)
	x[0], x[8], x[4] = big, 1, 1 // 8 into 0, then 4 into 0
	dotF32Generic(y[:], x, ones, 0)
	if y[0] != big {
		t.Errorf("lanes 0, 8, 4: got %g", y[0])
	}
	negZero := filled(16, float32(math.Copysign(0, -1)))
	l := lanes(negZero)
	if s := l.sum(); !math.Signbit(float64(s)) {
		t.Error("a sum of sixteen -0 lanes is -0")
	}
}
