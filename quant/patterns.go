package quant

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/wrinklefree/wf/gguf"
)

// A weight of 16 bits has one of 65536 patterns, and what becomes of it depends on nothing else. So the float32 code of this package, which stays
// the only definition, runs over all patterns once, and every weight of a large tensor costs a look into that table: the same bits in a fifth of
// the time, on every machine. Few patterns occur often, so that most of what is looked up is in the processor's first cache.

// Patterns is how many there are. For a tensor of fewer weights a table does not pay.
const Patterns = 1 << 16

// valuesOf has the value of every pattern of F16 and of BF16.
var valuesOf = map[gguf.Type]func() *[Patterns]float32{gguf.F16: valuesOnce(gguf.F16), gguf.BF16: valuesOnce(gguf.BF16)}

func valuesOnce(t gguf.Type) func() *[Patterns]float32 {
	return sync.OnceValue(func() *[Patterns]float32 {
		raw, values := make([]byte, 2*Patterns), new([Patterns]float32)
		for i := range Patterns {
			binary.LittleEndian.PutUint16(raw[2*i:], uint16(i))
		}
		Decode(values[:], t, raw)
		return values
	})
}

// isHalf reports whether a type stores a weight in 16 bits.
func isHalf(t gguf.Type) bool { return valuesOf[t] != nil }

// Recoding takes weights of 16 bits to another type.
type Recoding struct {
	to    gguf.Type
	codes *[Patterns]uint8  // to I2_S: u
	words *[Patterns]uint16 // to F16 and BF16
	loses bool              // words may be notHeld, or zero for a weight that is not
}

// notHeld stands for what a type cannot hold: a NaN, which no number is encoded as.
const notHeld = 0x7fff

// RecodeTernary returns how weights become scale*{-1, 0, 1}, by Ternarize with a unit: from F16 or BF16 to F16, BF16 or I2_S. For other types it is nil.
// Weights are finite, and unit and scale have passed CheckScale.
func RecodeTernary(from, to gguf.Type, unit, scale float32) *Recoding {
	if !isHalf(from) || !isHalf(to) && to != gguf.I2_S {
		return nil
	}
	r, trits := &Recoding{to: to}, make([]int8, Patterns)
	Ternarize(trits, valuesOf[from]()[:], unit)
	if to == gguf.I2_S {
		r.codes = new([Patterns]uint8)
		for i, t := range trits {
			r.codes[i] = uint8(t + 1)
		}
		return r
	}
	r.words = new([Patterns]uint16)
	var three [3]uint16
	encodeWords(three[:], to, []float32{-scale, 0, scale})
	for i, t := range trits {
		r.words[i] = three[t+1]
	}
	return r
}

// RecodeValues returns how weights of F16 or BF16 become the nearest of F16 or BF16. For other types it is nil.
func RecodeValues(from, to gguf.Type) *Recoding {
	if !isHalf(from) || !isHalf(to) {
		return nil
	}
	r, x, limit := &Recoding{to: to, words: new([Patterns]uint16), loses: true}, valuesOf[from](), limits[to]
	encodeWords(r.words[:], to, x[:])
	for i, v := range x {
		if !(abs(v) < limit) {
			r.words[i] = notHeld
		}
	}
	return r
}

// encodeWords is Encode to a type of 16 bits.
func encodeWords(words []uint16, t gguf.Type, x []float32) {
	raw := Encode(nil, t, x)
	for i := range words {
		words[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
}

// Append appends weights, two bytes each in src, in the new type; for I2_S they are a multiple of 128. It counts values that are not zero and become
// zero in F16. ok is false if the type cannot hold one: then what was appended is worth nothing, and Range says which it is.
func (r *Recoding) Append(dst, src []byte) (all []byte, underflows uint64, ok bool) {
	dst, out := extend(dst, blocks(r.to, len(src)/2)*int(r.to.BlockBytes()))
	if r.codes != nil {
		r.pack(out, src)
		return dst, 0, true
	}
	r.replace(out, src)
	if r.loses {
		underflows, ok = losses(src, out)
	}
	return dst, underflows, ok || !r.loses
}

func (r *Recoding) replace(out, src []byte) {
	le, words, whole := binary.LittleEndian, r.words, len(src)&^7
	for i := 0; i < whole; i += 8 {
		w := le.Uint64(src[i : i+8])
		a, b, c, d := words[uint16(w)], words[uint16(w>>16)], words[uint16(w>>32)], words[w>>48]
		le.PutUint64(out[i:i+8], uint64(a)|uint64(b)<<16|uint64(c)<<32|uint64(d)<<48)
	}
	for i := whole; i < len(src); i += 2 {
		le.PutUint16(out[i:], words[le.Uint16(src[i:])])
	}
}

// losses looks for the weights that replace did not keep.
func losses(before, after []byte) (underflows uint64, ok bool) {
	// Four weights at a time, a lane each. Adding to a magnitude makes the lane's highest bit tell whether it is a NaN, or not zero.
	const magnitude, sign, one = 0x7fff7fff7fff7fff, 0x8000800080008000, 0x0001000100010001
	le := binary.LittleEndian
	lost, bad := 0, uint64(0)
	count := func(w, v uint64) {
		w, v = w&magnitude, v&magnitude
		bad |= v + one
		lost += bits.OnesCount64((w + magnitude) &^ (v + magnitude) & sign)
	}
	whole := len(before) &^ 7
	for i := 0; i < whole; i += 8 {
		count(le.Uint64(before[i:i+8]), le.Uint64(after[i:i+8]))
	}
	for i := whole; i < len(before); i += 2 {
		count(uint64(le.Uint16(before[i:])), uint64(le.Uint16(after[i:])))
	}
	return uint64(lost), bad&sign == 0
}

// pack is PackI2S of what the codes stand for.
func (r *Recoding) pack(out, src []byte) {
	le, u := binary.LittleEndian, r.codes
	for ; len(src) > 0; src, out = src[256:], out[32:] {
		w, o := (*[256]byte)(src), (*[32]byte)(out)
		for p := range 32 {
			o[p] = u[le.Uint16(w[2*p:])]<<6 | u[le.Uint16(w[2*p+64:])]<<4 | u[le.Uint16(w[2*p+128:])]<<2 | u[le.Uint16(w[2*p+192:])]
		}
	}
}

// AddHalves is Add of weights as a file holds them, two bytes each of F16 or BF16.
func (a *AbsMean) AddHalves(t gguf.Type, raw []byte) {
	values := valuesOf[t]()
	single := func(pairs []byte) {
		for ; len(pairs) > 0; pairs = pairs[2:] {
			a.add(float64(abs(values[binary.LittleEndian.Uint16(pairs)])))
		}
	}
	lead := min(len(raw), 2*int(-a.n%8)) // up to a whole round of the lanes
	single(raw[:lead])
	raw = raw[lead:]
	whole := len(raw) &^ 15
	absSum(&a.lanes, t, raw[:whole])
	a.n += uint64(whole / 2)
	single(raw[whole:])
}

// absSumGeneric adds the magnitudes of groups of eight weights, one to a lane.
func absSumGeneric(lanes *[8]float64, t gguf.Type, raw []byte) {
	le, values := binary.LittleEndian, valuesOf[t]()
	at := func(word uint64) float64 { return float64(values[word&0x7fff]) }                                          // without the sign
	s0, s1, s2, s3, s4, s5, s6, s7 := lanes[0], lanes[1], lanes[2], lanes[3], lanes[4], lanes[5], lanes[6], lanes[7] // in registers
	for i := 0; i < len(raw); i += 16 {
		v, w := le.Uint64(raw[i:i+8]), le.Uint64(raw[i+8:i+16])
		s0, s1, s2, s3 = s0+at(v), s1+at(v>>16), s2+at(v>>32), s3+at(v>>48)
		s4, s5, s6, s7 = s4+at(w), s5+at(w>>16), s6+at(w>>32), s7+at(w>>48)
	}
	*lanes = [8]float64{s0, s1, s2, s3, s4, s5, s6, s7}
}
