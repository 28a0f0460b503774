package kernel

import "math"

// Rotary rotates pairs of a head's elements by position-dependent angles (RoPE, arXiv:2104.09864).
//
// Frequencies and angles are rounded where PyTorch's float32 code rounds them (FORMATS.md 6.3): angle = f32(pos * inv[j]), then cos and sin of
// that float32.
type Rotary struct {
	inv         []float32 // [dim/2]
	scale       float32
	interleaved bool
}

// RotaryPowers returns f32(theta^(2j/dim)) for each pair of a head's dim elements. Without scaling, inv[j] is 1 over it.
func RotaryPowers(dim int, theta float32) []float32 {
	powers := make([]float32, dim/2)
	for j := range powers {
		powers[j] = pow(theta, float32(2*j)/float32(dim))
	}
	return powers
}

// NewRotary fixes the frequencies of the pairs (the first 2*len(inv) elements of each head turn), what multiplies cos and sin (1 but for
// YaRN), and the pairing: (2j, 2j+1) if interleaved, as in llama, else (j, j+dim/2), as in NEOX.
func NewRotary(inv []float32, scale float32, interleaved bool) *Rotary {
	return &Rotary{inv, scale, interleaved}
}

// Angles writes the cos of each pair at position pos, and then the sin of each, to dst [2*len(inv)]. All layers turn by the same.
func (r *Rotary) Angles(dst []float32, pos int) {
	half := len(r.inv)
	if len(dst) != 2*half {
		panic("kernel: Rotary.Angles: lengths disagree")
	}
	for j, inv := range r.inv {
		sin, cos := sincos(float32(pos) * inv)
		dst[j], dst[half+j] = cos*r.scale, sin*r.scale
	}
}

// Apply rotates x [heads, headDim] in place by angles from Angles.
func (r *Rotary) Apply(x []float32, headDim int, angles []float32) {
	half := len(r.inv)
	if headDim < 2*half || len(x)%headDim != 0 || len(angles) != 2*half {
		panic("kernel: Rotary.Apply: lengths disagree")
	}
	cos, sin := angles[:half], angles[half:][:half]
	for ; len(x) > 0; x = x[headDim:] {
		if r.interleaved {
			for j, c := range cos {
				pair := x[2*j:][:2]
				u, v := pair[0], pair[1]
				pair[0] = float32(u*c) - float32(v*sin[j])
				pair[1] = float32(v*c) + float32(u*sin[j])
			}
			continue
		}
		a, b := x[:half], x[half:][:half]
		for j, c := range cos {
			u, v := a[j], b[j]
			a[j] = float32(u*c) - float32(v*sin[j])
			b[j] = float32(v*c) + float32(u*sin[j])
		}
	}
}

// Pi/2 in parts of 30 bits, so that a part times a whole number below 2^23 is exact in float64.
const (
	halfPi1 = 0x1.921fb54p0
	halfPi2 = 0x1.10b46118p-30
	halfPi3 = 0x1.313198ap-61
)

// sincos returns sin x and cos x, correct to 0.501 units in the last place for |x| < 2^23. Beyond that it loses accuracy but returns the
// same bits everywhere.
//
// It works in float64 with every product rounded before it is added, so no platform fuses. The polynomials are the Taylor series, whose
// first omitted term is below 2^-48 for |r| <= pi/4.
func sincos(x float32) (sin, cos float32) {
	t := float64(x)
	k := math.Floor(float64(t*(2/math.Pi)) + 0.5)
	r := t - float64(k*halfPi1)
	r -= float64(k * halfPi2)
	r -= float64(k * halfPi3)
	z := float64(r * r)
	s := float64(r * (1 + float64(z*horner(z, -1./6, 1./120, -1./5040, 1./362880, -1./39916800, 1./6227020800, -1./1307674368000))))
	c := 1 + float64(z*horner(z, -1./2, 1./24, -1./720, 1./40320, -1./3628800, 1./479001600, -1./87178291200))
	switch k - float64(4*math.Floor(k/4)) {
	case 1:
		s, c = c, -s
	case 2:
		s, c = -s, -c
	case 3:
		s, c = -c, s
	}
	return float32(s), float32(c)
}

// horner is c0 + z*(c1 + z*(... c6)).
func horner(z, c0, c1, c2, c3, c4, c5, c6 float64) float64 {
	p := c5 + float64(z*c6)
	p = c4 + float64(z*p)
	p = c3 + float64(z*p)
	p = c2 + float64(z*p)
	p = c1 + float64(z*p)
	return c0 + float64(z*p)
}
