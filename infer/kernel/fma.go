package kernel

import "math"

// fma32 returns a*b + c rounded once to float32, as the VFMADD and FMADD instructions do.
//
// The product of two float32 is exact in float64. Rounding the float64 sum to float32 would round twice, which differs in one case: the
// first rounding lands exactly between two float32 although the true sum does not. Then the sum is rounded to odd instead (the neighbour
// with an odd last bit, on the side of the true sum), and the second rounding sees on which side it lies. Boldo & Melquiond, Emulation
// of a FMA and correctly rounded sums, 2008.
func fma32(a, b, c float32) float32 {
	s := float64(float64(a)*float64(b)) + float64(c)
	if bits := math.Float64bits(s); bits&(1<<29-1) != 1<<28 && bits>>52&0x7FF >= 1023-126 {
		return float32(s) // not between two float32; below 2^-126 they lie further apart than 29 bits, so the test says nothing there
	}
	return fma32Between(a, b, c)
}

func fma32Between(a, b, c float32) float32 {
	p, z := float64(float64(a)*float64(b)), float64(c)
	s := p + z
	t := s - p // Knuth's two-sum: lost is what rounding s lost
	lost := (p - (s - t)) + (z - t)
	if bits := math.Float64bits(s); bits&1 == 0 && (lost > 0 || lost < 0) { // neither for an infinity or NaN
		if lost > 0 == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

// lanes are the 16 running sums of the package comment.
type lanes [16]float32

// sum adds the lanes in the order of the tree.
func (l *lanes) sum() float32 {
	t := *l
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			t[i] += t[i+half]
		}
	}
	return t[0]
}
