package quant

import (
	"fmt"
	"math"
	"slices"

	"github.com/wrinklefree/wf/gguf"
)

// SmallestScale is the scale of a tensor whose weights are all zero, and the least that AbsMean returns (BitNet b1.58, arXiv:2402.17764).
const SmallestScale = 1e-5

// AbsMean computes the scale of a tensor of master weights, mean |W|, over any number of Add calls. The zero value is ready.
type AbsMean struct {
	lanes [8]float64 // sum of |w| at positions i mod 8: eight chains of additions instead of one, in an order that no chunk size changes
	n     uint64
}

// Add adds weights.
func (a *AbsMean) Add(x []float32) {
	for ; len(x) > 0 && a.n%8 != 0; x = x[1:] {
		a.add(float64(abs(x[0])))
	}
	s := a.lanes
	for ; len(x) >= 8; x = x[8:] {
		v := x[:8]
		s[0] += float64(abs(v[0]))
		s[1] += float64(abs(v[1]))
		s[2] += float64(abs(v[2]))
		s[3] += float64(abs(v[3]))
		s[4] += float64(abs(v[4]))
		s[5] += float64(abs(v[5]))
		s[6] += float64(abs(v[6]))
		s[7] += float64(abs(v[7]))
		a.n += 8
	}
	a.lanes = s
	for _, v := range x {
		a.add(float64(abs(v)))
	}
}

func (a *AbsMean) add(magnitude float64) {
	a.lanes[a.n%8] += magnitude
	a.n++
}

// Scale returns max(mean |W|, SmallestScale).
func (a *AbsMean) Scale() float32 {
	var sum float64
	for _, s := range a.lanes {
		sum += s
	}
	if a.n == 0 {
		return SmallestScale
	}
	return max(float32(sum/float64(a.n)), SmallestScale)
}

// Ternarize sets trits to x/scale, rounded half to even and clamped to -1..1: so 0.5 becomes 0. As transformers does, it multiplies by the
// rounded reciprocal. Of weights in {-scale, 0, scale} it gives the signs. Weights are finite (Range) and the scale normal (CheckScale).
func Ternarize(trits []int8, x []float32, scale float32) {
	inverse := 1 / scale
	trits = trits[:len(x)]
	for i, v := range x { // without branches: no processor foresees the signs of weights
		bits := math.Float32bits(v * inverse)
		large := int32(0x3f000000-bits&^(1<<31)) >> 31 // -1 if above 0.5
		sign := int32(bits) >> 31
		trits[i] = int8((1 | sign) & large)
	}
}

// Detector finds out, over any number of Add calls, whether a tensor is ternary already: its values are {-s, 0, s} for one s. The zero value
// is ready.
type Detector struct {
	scale  uint32   // bits of the first magnitude that is not zero
	others []uint32 // bits of other magnitudes, the first few
	n      uint64
	zeros  uint64
	most   uint32 // bits of the largest magnitude
	sum    float64
}

// Add looks at weights.
func (d *Detector) Add(x []float32) {
	for ; len(x) > 0 && d.scale == 0; x = x[1:] { // up to the first that is not zero
		d.n++
		if d.scale = math.Float32bits(x[0]) &^ (1 << 31); d.scale == 0 {
			d.zeros++
		}
		d.most = d.scale
	}
	for len(x) > 0 {
		part := x[:min(len(x), 4096)]
		x = x[len(part):]
		zeros, only := d.only(part)
		if !only && len(d.others) == 0 { // statistics begin: all so far have one magnitude
			d.sum = float64(d.n-d.zeros) * float64(math.Float32frombits(d.scale))
		}
		d.n += uint64(len(part))
		d.zeros += zeros
		if !only || len(d.others) > 0 {
			d.look(part)
		}
	}
}

// only counts zeros, and reports whether all other weights have the magnitude of the scale. It has no branches, for speed.
func (d *Detector) only(x []float32) (zeros uint64, only bool) {
	var other uint32 // its highest bit is set by a magnitude that is neither
	for _, v := range x {
		bits := math.Float32bits(v) &^ (1 << 31)
		differs := bits ^ d.scale
		some := bits | -bits
		other |= some & (differs | -differs)
		zeros += uint64(1 - some>>31)
	}
	return zeros, other>>31 == 0
}

// magnitudes is how many distinct magnitudes are counted before "more than".
const magnitudes = 16

// look adds to the statistics.
func (d *Detector) look(x []float32) {
	for _, v := range x {
		bits := math.Float32bits(v) &^ (1 << 31)
		d.most = max(d.most, bits)
		d.sum += float64(abs(v))
		if bits != 0 && bits != d.scale && len(d.others) <= magnitudes && !slices.Contains(d.others, bits) {
			d.others = append(d.others, bits)
		}
	}
}

// Ternary reports whether all values seen are in {-s, 0, s}, and the scale to keep: s, or SmallestScale if all are zero. It may be asked at
// any time: once false, it stays so.
func (d *Detector) Ternary() (scale float32, ok bool) {
	switch {
	case len(d.others) > 0 || d.scale >= 0x7f800000: // infinity and NaN are no scale
		return 0, false
	case d.scale == 0:
		return SmallestScale, true
	}
	return math.Float32frombits(d.scale), true
}

// Residual describes how far from ternary the values are.
func (d *Detector) Residual() string {
	count := fmt.Sprint(1 + len(d.others))
	if len(d.others) > magnitudes {
		count = fmt.Sprintf("more than %d", magnitudes)
	}
	return fmt.Sprintf("%s magnitudes in %d weights (%.1f %% zeros), mean %.4g, largest %.4g", count, d.n,
		100*float64(d.zeros)/float64(max(d.n, 1)), d.sum/float64(max(d.n, 1)), math.Float32frombits(d.most))
}

// Pack appends trits as blocks of a ternary type. The tail of an I2_S tensor is the caller's.
func Pack(dst []byte, t gguf.Type, trits []int8, scale float32) []byte {
	switch t {
	case gguf.I2_S:
		return PackI2S(dst, trits)
	case gguf.TQ1_0:
		return PackTQ1(dst, trits, scale)
	case gguf.TQ2_0:
		return PackTQ2(dst, trits, scale)
	}
	panic("quant: cannot pack " + t.String())
}
