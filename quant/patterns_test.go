package quant

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/wrinklefree/wf/gguf"
)

// halves returns every pattern of 16 bits, in another order and without the last few, so that no length is a multiple of a machine word.
func halves(t gguf.Type, finite bool) (raw []byte, values []float32) {
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(Patterns) {
		word := binary.LittleEndian.AppendUint16(nil, uint16(i))
		if !finite || NotFinite(t, word) < 0 {
			raw = append(raw, word...)
		}
	}
	raw = raw[:len(raw)-6]
	values = make([]float32, len(raw)/2)
	Decode(values, t, raw)
	return raw, values
}

// TestRecoding holds the tables against the float32 code, for every pattern.
func TestRecoding(t *testing.T) {
	for _, from := range []gguf.Type{gguf.F16, gguf.BF16} {
		raw, x := halves(from, true)
		for _, unit := range []float32{SmallestScale, 0.0173, 1, 3, 60000, 0x1p-126} {
			trits := make([]int8, len(x))
			Ternarize(trits, x, unit)
			for _, to := range []gguf.Type{gguf.F16, gguf.BF16} {
				scaled := make([]float32, len(x))
				scaleTrits(scaled, trits, 0.25)
				got, _, ok := RecodeTernary(from, to, unit, 0.25).Append([]byte("before"), raw)
				if want := Encode([]byte("before"), to, scaled); !ok || !bytes.Equal(got, want) {
					t.Errorf("ternary weights of %v with unit %g are others in %v, %v", from, unit, to, ok)
				}
			}
			whole := len(x) &^ 127
			got, _, ok := RecodeTernary(from, gguf.I2_S, unit, unit).Append([]byte("before"), raw[:2*whole])
			if want := PackI2S([]byte("before"), trits[:whole]); !ok || !bytes.Equal(got, want) {
				t.Errorf("weights of %v with unit %g have other codes, %v", from, unit, ok)
			}
		}
		for _, to := range []gguf.Type{gguf.F16, gguf.BF16} {
			r := RecodeValues(from, to)
			for i := 0; i < len(x); i += 3 { // a range of its own for a few weights, so that each refusal is seen
				few, part := x[i:min(i+3, len(x))], raw[2*i:min(2*i+6, len(raw))]
				watch := Range{Type: to}
				err := watch.Add(few)
				got, lost, ok := r.Append(nil, part)
				if ok != (err == nil) || ok && (lost != watch.Underflows || !bytes.Equal(got, Encode(nil, to, few))) {
					t.Errorf("%v to %v, %g: %x, %d lost, %v; want %v, %d lost, %v", from, to, few, got, lost, ok, Encode(nil, to, few), watch.Underflows, err)
				}
			}
			watch, small := Range{Type: to}, []byte(nil) // and one for all that can be held
			var values []float32
			for i, v := range x {
				if abs(v) < limits[to] {
					small, values = append(small, raw[2*i:2*i+2]...), append(values, v)
				}
			}
			if err := watch.Add(values); err != nil {
				t.Fatal(err)
			}
			got, lost, ok := r.Append(nil, small)
			if !ok || lost != watch.Underflows || !bytes.Equal(got, Encode(nil, to, values)) {
				t.Errorf("%v to %v: %d lost, want %d, %v", from, to, lost, watch.Underflows, ok)
			}
			all, _ := halves(from, false)
			if _, _, ok := r.Append(nil, all); ok {
				t.Errorf("%v to %v: infinity and NaN pass", from, to)
			}
		}
	}
	for _, types := range [][2]gguf.Type{{gguf.F32, gguf.F16}, {gguf.BF16, gguf.F32}, {gguf.BF16, gguf.TQ2_0}} {
		if RecodeValues(types[0], types[1]) != nil || RecodeTernary(types[0], types[1], 1, 1) != nil {
			t.Errorf("there is a table for %v", types)
		}
	}
}

// TestAddHalves: the sum has the order of Add to the last bit, wherever the chunks end.
func TestAddHalves(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, typ := range []gguf.Type{gguf.F16, gguf.BF16} {
		raw, x := halves(typ, true)
		for _, most := range []int{1, 7, 8, 9, 40, len(x)} {
			var want, got AbsMean
			want.Add(x)
			for at := 0; at < len(x); {
				n := min(1+rng.IntN(most), len(x)-at)
				if got.AddHalves(typ, raw[2*at:2*(at+n)]); rng.IntN(2) == 0 && at+n < len(x) { // both kinds of adding mix
					got.Add(x[at+n : at+n+1])
					n++
				}
				at += n
			}
			if got != want {
				t.Errorf("%v in chunks up to %d: %v, want %v", typ, most, got, want)
			}
		}
	}
}

// TestAbsSum holds the sum of this processor against the generic one: the order of additions is the same, so the bits are.
func TestAbsSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, typ := range []gguf.Type{gguf.F16, gguf.BF16} {
		raw, _ := halves(typ, true)
		for _, blocks := range []int{0, 1, 2, 3, 100, len(raw)/16 - 1} {
			at := rng.IntN(16) // wherever in memory
			part := append(make([]byte, at, at+len(raw)), raw[:16*blocks]...)[at:]
			want := [8]float64{0.5, 0x1p-60, 3, 4, 5, 6, 7, 1e30}
			got := want
			absSumGeneric(&want, typ, part)
			absSum(&got, typ, part)
			if got != want {
				t.Errorf("%v, %d blocks: %v, want %v", typ, blocks, got, want)
			}
		}
	}
}
