package kernel

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
)

// TestSameEverywhere hashes results of every float routine. The constant is the same on all platforms and for all builds (GOAMD64=v3, arm64 and
// others fuse a*b + c wherever the source lets them): a change here changes the logits of every model.
func TestSameEverywhere(t *testing.T) {
	rng, h := rand.New(rand.NewPCG(3, 4)), fnv.New64a()
	random := func(n int) []float32 { // by exact steps alone
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(int32(rng.Uint32())) / (1 << 28)
		}
		return x
	}
	write := func(x ...float32) {
		for _, v := range x {
			b := math.Float32bits(v)
			h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
		}
	}
	for range 1000 {
		x := float32(int32(rng.Uint32())) / (1 << 25)
		s, c := sincos(x * 1000)
		write(Exp(x), s, c, pow(float32(x*x)+1, 0.3), fma32(x, s, c))
	}
	for _, interleaved := range []bool{false, true} {
		x := random(3 * 64)
		inv, angles := RotaryPowers(64, 1e6), make([]float32, 64)
		for j, power := range inv {
			inv[j] = 1 / power
		}
		r := NewRotary(inv, 1, interleaved)
		r.Angles(angles, 777)
		r.Apply(x, 64, angles)
		write(x...)
	}
	const rows, cols, n = 40, 96, 4
	x, w, g := random(n*cols), random(rows*cols), random(cols)
	y := make([]float32, n*cols)
	RMSNorm(y, x, w[:cols], 1e-6)
	write(y...)
	SiLUMul(g, x[:cols])
	write(g...)
	ReLU2Mul(g, x[:cols])
	write(g...)
	p := NewPool(2)
	defer p.Close()
	y = y[:n*rows]
	for _, d := range denses(t, w, rows, cols) {
		d.MatMul(y, x, n, w[:rows], p)
		write(y...)
	}
	m, err := NewTernary(rows, cols, 0.123, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, trits := NewActivations(n, cols), make([]int8, cols)
	for r := range rows {
		for c := range trits {
			trits[c] = int8(rng.IntN(3) - 1)
		}
		m.SetRow(r, trits)
	}
	if err := a.Quantize(x, n, cols); err != nil {
		t.Fatal(err)
	}
	m.MatMul(y, a, w[:rows], p)
	write(y...)
	o := make([]float32, 32)
	attend(o, x[:32], KV{K: [][]float32{w}, V: [][]float32{w}, Page: 100, Stride: 33}, 100)
	write(o...)
	_, confidence, _ := ArgMaxConfidence(w, 9)
	write(confidence)
	if got, want := h.Sum64(), uint64(0x11a21003a80aeee7); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}
