package kernel

import "math"

// Constants of Exp: ln 2 in two parts (355/512, so that k*ln2Hi is exact, and the rest), and a polynomial for (e^r - 1 - r)/r² interpolated at
// the Chebyshev nodes of |r| <= ln(2)/2, relative error of e^r 2.3e-10.
const (
	expMin, expMax = -104, 89 // 0 and +Inf beyond
	log2E          = 0x1.715476p0
	ln2Hi          = 355. / 512
	ln2Lo          = -0.00021219444
	expC0          = 0.5
	expC1          = 0.16666667
	expC2          = 0.041666463
	expC3          = 0.0083333105
	expC4          = 0.0013933731
	expC5          = 0.0001989108
)

// expConstants are what the vectors of every width need, in the order of their assembly.
var expConstants = [13]float32{expMax, expMin, log2E, roundMagic, ln2Hi, ln2Lo, expC5, expC4, expC3, expC2, expC1, expC0, 1}

// Exp returns e^x within 1 unit in the last place; NaN for NaN. Every product is rounded before it is added, so vectors of any width do
// the same without fused instructions.
func Exp(x float32) float32 {
	if x > expMax {
		x = expMax
	}
	if x < expMin {
		x = expMin
	}
	// e^x = 2^k e^r with |r| <= ln(2)/2. Adding the magic number leaves k in the low bits.
	t := float32(x*log2E) + roundMagic
	k := t - roundMagic
	r := (x - float32(k*ln2Hi)) - float32(k*ln2Lo)
	p := float32(expC5*r) + expC4
	p = float32(p*r) + expC3
	p = float32(p*r) + expC2
	p = float32(p*r) + expC1
	p = float32(p*r) + expC0
	y := float32(p*float32(r*r)) + r + 1
	// 2^k in two factors: k reaches from -150, where the result is subnormal, to 128.
	n := int32(math.Float32bits(t)) - int32(math.Float32bits(roundMagic))
	return y * exponent(n>>1) * exponent(n-n>>1)
}

// exponent returns 2^n for |n| < 127.
func exponent(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }
