package kernel

import "math"

// roundMagic moves the last bit of a float32 below 2^22 in magnitude to the units, so that adding it rounds to nearest even.
const roundMagic = 0x1.8p23

// quantize makes int8 of a row: q = clamp(RNE(x*a), -128, 127) with a = 127/max(amax, 1e-5), and sum = Σ q. If x holds a NaN or an infinity it
// returns ok false and leaves q as it is.
func (k *kernel) quantize(q []int8, x []float32) (a float32, sum int32, ok bool) {
	amax := k.magnitude(x)
	if amax >= infinity {
		return 0, 0, false
	}
	a = 127 / max(math.Float32frombits(amax), 1e-5) // so |x*a| < 127.1
	return a, k.round(q, x, a), true
}

// quantizeBlock makes int8 of a block that keeps its own scale: d = amax/127 and q = RNE(x*(127/amax)). It returns d, or NaN, with zeros, for a
// block with a NaN or an infinity.
func (k *kernel) quantizeBlock(q []int8, x []float32) (d float32) {
	bits := k.magnitude(x)
	amax := math.Float32frombits(bits)
	switch {
	case bits >= infinity:
		clear(q)
		return float32(math.NaN())
	case amax > 0x1p-120: // below, 127/amax overflows
		k.round(q, x, 127/amax)
	default:
		clear(q)
	}
	return amax / 127
}

// infinity is what the bit patterns of finite numbers, without their signs, are below.
const infinity = 0x7F800000
