package quant

import (
	"math"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// Range watches a tensor's values on their way into a type, over any number of Add calls: what the type cannot hold is an error.
type Range struct {
	Type       gguf.Type
	Next       uint64 // index in the tensor of the next value to be added
	Underflows uint64 // values that are not zero and become zero in F16
	coarse     uint64 // values that change by more than 1 % in F16, underflows included
	fine       bool   // there are others that are not zero
}

// Add looks at values. Codes: TENSOR_NOT_FINITE, RANGE_LOSS; both name the index in the tensor.
func (r *Range) Add(x []float32) error {
	most, least := uint32(0), uint32(math.MaxUint32) // bits order magnitudes, with infinity and NaN above all numbers
	for _, v := range x {
		bits := math.Float32bits(v) &^ (1 << 31)
		most = max(most, bits)
		least = min(least, bits-1) // zero becomes the largest
	}
	if limit := limits[r.Type]; !(math.Float32frombits(most) < limit) {
		return r.refuse(x, limit)
	}
	r.Next += uint64(len(x))
	if r.Type == gguf.F16 && most > 0 {
		r.fine = r.fine || math.Float32frombits(most) >= small
		if math.Float32frombits(least+1) < small {
			r.addSmall(x)
		}
	}
	return nil
}

// small is where F16's unit, 2^-24 at the end of its range, begins to matter: from here on half of it is less than 1 %.
const small = 0x1p-18

func (r *Range) addSmall(x []float32) {
	for _, v := range x {
		switch a := abs(v); {
		case a == 0:
		case a <= 0x1p-25: // a tie goes to the even zero
			r.Underflows++
			r.coarse++
		case a < small && abs(fromHalf(toHalf(a))-a) > 0.01*a:
			r.coarse++
		default:
			r.fine = true
		}
	}
}

// Merge adds what another Range saw of the same tensor.
func (r *Range) Merge(o Range) {
	r.Underflows += o.Underflows
	r.coarse += o.coarse
	r.fine = r.fine || o.fine
}

// Whole reports what only a whole tensor shows: RANGE_LOSS if no weight of it survives in F16 within 1 %, as of ternary weights none does whose
// scale is too small.
func (r *Range) Whole() error {
	if r.coarse > 0 && !r.fine {
		return fault.New("RANGE_LOSS", "all %d weights that are not zero are so small that %v changes them by more than 1 %%; choose f32, bf16 or i2_s",
			r.coarse, r.Type)
	}
	return nil
}

// limits holds the least magnitude that becomes infinity, of a weight or of the block's scale.
var limits = map[gguf.Type]float32{
	gguf.F32:  float32(math.Inf(1)),
	gguf.BF16: 0x1.ffp127,
	gguf.F16:  65520,
	gguf.Q8_0: 65520 * 127,
	gguf.Q4_0: 65520 * 8,
	gguf.Q6_K: 65504 * 128 * 31, // the search may take a scale a little above 1/32 of the largest weight
}

func (r *Range) refuse(x []float32, limit float32) error {
	for i, v := range x {
		switch a := abs(v); {
		case a < limit:
		case math.IsInf(float64(v), 0) || v != v:
			return fault.New("TENSOR_NOT_FINITE", "weight %d is %v; every weight must be a number", r.Next+uint64(i), v)
		default:
			return fault.New("RANGE_LOSS", "weight %d is %g, beyond the range of %v (below %g); choose bf16 or f32", r.Next+uint64(i), v, r.Type, limit)
		}
	}
	return nil
}

// CheckScale reports whether a type can hold the scale of ternary weights: within 1 % for the types that make it a half or a bfloat16, and
// as a normal float32 for I2_S and F32. Codes: RANGE_LOSS, TENSOR_BAD_SCALE.
func CheckScale(t gguf.Type, scale float32) error {
	if !(scale >= 0x1p-126 && scale <= math.MaxFloat32) {
		return fault.New("TENSOR_BAD_SCALE", "the scale of the ternary weights is %g; want a normal positive float32", scale)
	}
	kept := scale
	switch t {
	case gguf.F16, gguf.TQ1_0, gguf.TQ2_0:
		kept = fromHalf(toHalf(scale))
	case gguf.Q8_0:
		kept = 127 * fromHalf(toHalf(scale/127))
	case gguf.BF16:
		kept = math.Float32frombits(uint32(toBF16(scale)) << 16)
	}
	if !(math.Abs(float64(kept)-float64(scale)) <= 0.01*float64(scale)) {
		return fault.New("RANGE_LOSS", "the scale %g of the ternary weights becomes %g in %v, more than 1 %% away; I2_S keeps it exactly", scale, kept, t)
	}
	return nil
}
