package quant

import (
	"bytes"
	"fmt"
	"math"

	"github.com/wrinklefree/wf/gguf"
)

// difference finds the first weight that is not what the source gives in the bytes at hand, which begin with a block.
func (a *against) difference(got []byte) error {
	if bytes.Equal(got, a.want) {
		return nil
	}
	block, codes := int(a.info.Type.BlockBytes()), len(got)
	if a.info.Type == gguf.I2_S && a.at+uint64(len(got)) == a.info.Size {
		codes -= I2STailBytes
	}
	for i := 0; i < codes; i += block {
		g, w := got[i:i+block], a.want[i:i+block]
		if bytes.Equal(g, w) {
			continue
		}
		if j, text := differentWeight(a.info.Type, g, w, a.exact); j >= 0 {
			weight := (a.at+uint64(i))/uint64(block)*a.info.Type.BlockSize() + uint64(j)
			return replayMismatch("row %d, column %d: %s", weight/a.info.Dims[0], weight%a.info.Dims[0], text)
		}
	}
	if g, w := got[codes:], a.want[codes:]; len(g) > 0 {
		if s, t := I2SScale(g), I2SScale(w); a.exact && s != t || !(math.Abs(float64(s-t)) <= 1e-6*math.Abs(float64(t))) {
			return replayMismatch("the file has the scale %v, the source gives %v", s, t)
		}
	}
	if !a.exact {
		return nil
	}
	for i := range got {
		if got[i] != a.want[i] {
			return replayMismatch("byte %d of its data is %#02x, which means the same, but the source gives %#02x", a.at+uint64(i), got[i], a.want[i])
		}
	}
	return nil
}

// differentWeight compares two blocks. It returns the first weight that differs, more than the type may round it unless exact, and what it is in
// both; or -1.
func differentWeight(t gguf.Type, got, want []byte, exact bool) (int, string) {
	n := int(t.BlockSize())
	if IsTernary(t) {
		g, s := unpackBlock(t, got, n)
		w, r := unpackBlock(t, want, n)
		for i := range g {
			if g[i] != w[i] {
				return i, fmt.Sprintf("the file has %s, the source gives %s", codeText(g[i]), codeText(w[i]))
			}
		}
		if exact && s != r || !(math.Abs(float64(s-r)) <= 0x1p-10*math.Abs(float64(r))) {
			return 0, fmt.Sprintf("the file has the scale %v, the source gives %v", s, r)
		}
		return -1, ""
	}
	x, y := make([]float32, n), make([]float32, n)
	Decode(x, t, got)
	Decode(y, t, want)
	bound := 0.0
	if !exact {
		bound = rounds(t, y)
	}
	for i := range x {
		if d := math.Abs(float64(x[i]) - float64(y[i])); x[i] != y[i] && !(d <= bound) {
			return i, fmt.Sprintf("the file has %v, the source gives %v", x[i], y[i])
		}
	}
	return -1, ""
}

func codeText(trit int8) string {
	if trit > 1 {
		return "code 3, which is no weight"
	}
	return fmt.Sprintf("%+d", trit)
}

// unpackBlock returns the codes of a block, a code 3 as 2, and its scale, 1 where the scale is not in the block.
func unpackBlock(t gguf.Type, block []byte, n int) ([]int8, float32) {
	trits, scale := make([]int8, n), []float32{1}
	switch t { // codes 3 show as 2
	case gguf.I2_S:
		UnpackI2S(trits, block)
	case gguf.TQ1_0:
		UnpackTQ1(trits, scale, block)
	case gguf.TQ2_0:
		UnpackTQ2(trits, scale, block)
	}
	return trits, scale[0]
}

// rounds is how far apart two encodings of the same weights may be: twice what one may be from the weights. A plain number is half a unit from
// it; a weight of the other types is half a step of the block's largest, of which there are 127, 8 and 32 to each side.
func rounds(t gguf.Type, x []float32) float64 {
	most := 0.0
	for _, v := range x {
		most = max(most, math.Abs(float64(v)))
	}
	switch t {
	case gguf.F16:
		return max(most*0x1p-10, 0x1p-24)
	case gguf.BF16:
		return most * 0x1p-7
	case gguf.Q8_0:
		return most / 127 * 1.01 // the scale is rounded, too
	case gguf.Q4_0:
		return most / 8 * 1.01
	case gguf.Q6_K:
		return most / 16 // the search may settle for a neighbouring scale
	}
	return 0
}
