package quant

import (
	"math/rand/v2"
	"testing"

	"github.com/wrinklefree/wf/gguf"
)

// BenchmarkCodecs counts bytes as float32 weights: 4 GB/s is a billion weights a second.
func BenchmarkCodecs(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, ternary, trits := normals(rng, chunk, 0.02), ternaryWeights(rng, chunk, 0.02), make([]int8, chunk)
	measure := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * chunk)
			for b.Loop() {
				f()
			}
		})
	}
	var buf []byte
	for _, t := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q6_K} {
		data := Encode(nil, t, x)
		measure("encode/"+t.String(), func() { buf = Encode(buf[:0], t, x) })
		measure("decode/"+t.String(), func() { Decode(x, t, data) })
	}
	for _, t := range []gguf.Type{gguf.I2_S, gguf.TQ1_0, gguf.TQ2_0} {
		measure("pack/"+t.String(), func() { buf = Pack(buf[:0], t, trits, 0.02) })
	}
	data := PackI2S(nil, trits)
	measure("unpack/I2_S", func() { UnpackI2S(trits, data) })
	measure("absmean", func() { new(AbsMean).Add(x) })
	measure("ternarize", func() { Ternarize(trits, x, 0.016) })
	measure("detect", func() { new(Detector).Add(ternary) })
	measure("range/F16", func() { (&Range{Type: gguf.F16}).Add(x) })
	measure("range/BF16", func() { (&Range{Type: gguf.BF16}).Add(x) })
	halves := Encode(nil, gguf.BF16, x)
	measure("halves/absmean", func() { new(AbsMean).AddHalves(gguf.BF16, halves) })
	for _, t := range []gguf.Type{gguf.F16, gguf.I2_S} {
		r := RecodeTernary(gguf.BF16, t, 0.016, 0.016)
		measure("halves/ternary/"+t.String(), func() { buf, _, _ = r.Append(buf[:0], halves) })
	}
	r := RecodeValues(gguf.BF16, gguf.F16)
	measure("halves/F16", func() { buf, _, _ = r.Append(buf[:0], halves) })
	measure("halves/table", func() { RecodeTernary(gguf.BF16, gguf.F16, 0.016, 0.016) })
}
