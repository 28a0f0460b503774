package quant

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/x448/float16"

	"github.com/wrinklefree/wf/gguf"
)

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func floats(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	Decode(x, gguf.F32, b)
	return x
}

// sameBits compares bit for bit: a zero's sign counts.
func sameBits(t *testing.T, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("value %d is %v (%08x), want %v (%08x)", i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// TestGolden holds every type against gguf-py (testdata/make.py).
func TestGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		X, Ternary string
		Types      map[string]struct{ Data, Values string }
	}
	if err := json.Unmarshal(file, &golden); err != nil {
		t.Fatal(err)
	}
	x, ternary := floats(fromHex(t, golden.X)), floats(fromHex(t, golden.Ternary))
	var d Detector
	d.Add(ternary)
	scale, ok := d.Ternary()
	if !ok || scale != 0.0173 {
		t.Fatalf("the ternary input has scale %v, %v", scale, ok)
	}
	trits := make([]int8, len(ternary))
	Ternarize(trits, ternary, scale)
	encode := map[string]func() []byte{
		"F16":   func() []byte { return Encode(nil, gguf.F16, x) },
		"BF16":  func() []byte { return Encode(nil, gguf.BF16, x) },
		"Q8_0":  func() []byte { return Encode(nil, gguf.Q8_0, x) },
		"Q4_0":  func() []byte { return Encode(nil, gguf.Q4_0, x) },
		"TQ1_0": func() []byte { return PackTQ1(nil, trits, scale) },
		"TQ2_0": func() []byte { return PackTQ2(nil, trits, scale) },
	}
	if len(golden.Types) != len(encode)+1 {
		t.Fatalf("testdata has %d types", len(golden.Types))
	}
	for name, want := range golden.Types {
		t.Run(name, func(t *testing.T) {
			typ, _ := gguf.ParseType(name)
			data := fromHex(t, want.Data)
			if f := encode[name]; f != nil {
				if got := f(); !bytes.Equal(got, data) {
					t.Errorf("encoded\n%x, want\n%x", got, data)
				}
			} else if name != "Q6_K" {
				t.Fatal("nothing encodes it")
			}
			got := make([]float32, len(x))
			Decode(got, typ, data)
			sameBits(t, got, floats(fromHex(t, want.Values)))
		})
	}
}

// TestHalf holds the conversions against x448/float16, for all halves and a spread of floats that has every exponent and every tie.
func TestHalf(t *testing.T) {
	check := func(f float32) {
		if got, want := toHalf(f), float16.Fromfloat32(f).Bits(); got != want {
			t.Fatalf("toHalf(%v, %08x) = %04x, want %04x", f, math.Float32bits(f), got, want)
		}
	}
	for h := range 1 << 16 {
		want := float16.Frombits(uint16(h))
		got := fromHalf(uint16(h))
		if want.IsNaN() {
			if got == got {
				t.Fatalf("fromHalf(%04x) = %v, want NaN", h, got)
			}
			continue
		}
		if got != want.Float32() || math.Signbit(float64(got)) != want.Signbit() {
			t.Fatalf("fromHalf(%04x) = %v, want %v", h, got, want)
		}
		bits := math.Float32bits(got)
		for _, delta := range []uint32{0, 0xfff, 0x1000, 0x1001, 0x1fff} { // below, at and above the middle to the next half
			check(math.Float32frombits(bits + delta))
		}
	}
	for bits := uint64(0); bits < 1<<32; bits += 4099 {
		check(math.Float32frombits(uint32(bits)))
	}
}

func TestFloatTable(t *testing.T) { // FORMATS 2.1
	for _, c := range []struct {
		x         float32
		bf16, f16 uint16
	}{
		{0.1, 0x3dcd, 0x2e66},
		{1.00390625, 0x3f80, 0x3c04},
		{1.01171875, 0x3f82, 0x3c0c},
		{-2.5, 0xc020, 0xc100},
		{65519.996, 0x4780, 0x7bff},
		{65520, 0x4780, 0x7c00},
		{math.MaxFloat32, 0x7f80, 0x7c00},
		{math.SmallestNonzeroFloat32, 0, 0},
		{0x1p-24, 0x3380, 1},
		{0x1p-25, 0x3300, 0},
		{0x1.000002p-25, 0x3300, 1},
	} {
		if got := toBF16(c.x); got != c.bf16 {
			t.Errorf("toBF16(%v) = %04x, want %04x", c.x, got, c.bf16)
		}
		if got := toHalf(c.x); got != c.f16 {
			t.Errorf("toHalf(%v) = %04x, want %04x", c.x, got, c.f16)
		}
	}
	if got := toBF16(math.Float32frombits(0x7f800001)); got != 0x7fc0 {
		t.Errorf("a NaN became %04x", got)
	}
	if got := toBF16(math.Float32frombits(0xffffffff)); got != 0xffff {
		t.Errorf("a NaN became %04x", got)
	}
}

func checkSum(t *testing.T, name string, data []byte, want string) {
	t.Helper()
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != want {
		t.Errorf("%s: sha256 is %x, want %s; the bytes are\n%x", name, got, want, data)
	}
}

// TestWorkedExamples has the vectors of FORMATS 2.8 and 2.9.
func TestWorkedExamples(t *testing.T) {
	trits := make([]int8, 256)
	for i := range trits {
		trits[i] = int8(i%3) - 1
	}
	tail := I2STail(0.75)
	checkSum(t, "TQ1_0", PackTQ1(nil, trits, 0.75), "b2997cfdf95e0d498a7bbce9fdb5e507ceca35ac8192da6e9d8007555a32f207")
	checkSum(t, "TQ2_0", PackTQ2(nil, trits, 0.75), "f8e3677626d6f186121bd7a012de97af67de0ca9272324d6dbba70c9c335198a")
	i2s := append(PackI2S(nil, trits), tail[:]...)
	checkSum(t, "I2_S", i2s, "cc0d50af7f9745c94202021f86e564012d35731ffccc95a7365973693446695d")
	if want := strings.Repeat("244992", 21) + "24" + "0000403f" + strings.Repeat("00", 28); hex.EncodeToString(i2s) != want {
		t.Errorf("I2_S is %x, want %s", i2s, want)
	}
	if s := I2SScale(i2s[64:]); s != 0.75 {
		t.Errorf("the scale reads back as %v", s)
	}

	x := make([]float32, 32)
	for i := range x {
		x[i] = float32(i-15) / 8
	}
	q8, q4 := Encode(nil, gguf.Q8_0, x), Encode(nil, gguf.Q4_0, x)
	checkSum(t, "Q8_0", q8, "5d4d79d271a9e68bf1013e8f8074e4c4a87f49ae20f5c0dd7f4b2c295856af77")
	checkSum(t, "Q4_0", q4, "cdb4a5b836b42760c9a239fcd0eabbc9d04af727e021137d1a0c6c4685d26a86")
	if got := hex.EncodeToString(q4); got != "00b48f7f7f6e6e5d5d4c4c3b3b2a2a191908" {
		t.Errorf("Q4_0 is %s", got)
	}
	if got := hex.EncodeToString(Encode(nil, gguf.Q4_0, make([]float32, 32))); got != "0080"+strings.Repeat("88", 16) {
		t.Errorf("an all-zero Q4_0 block is %s", got)
	}

	x = make([]float32, 256)
	for i := range x {
		l := 4*(i%16) + (i/16)%4 - 32
		if i%16 == 0 {
			l = -32
		}
		x[i] = float32(l*(i/16+1)) / 16
	}
	q6 := Encode(nil, gguf.Q6_K, x)
	checkSum(t, "Q6_K", q6, "6d270c6d50d23722e6da83260c41c262b6d276c06ab335805894e5ea2d3b437f")
	back := make([]float32, 256)
	Decode(back, gguf.Q6_K, q6)
	sameBits(t, back, x)
}

func TestConstantBlocks(t *testing.T) { // FORMATS 2.8, second table
	for _, c := range []struct {
		trit                   int8
		tq1, tq1High, tq2, i2s byte
		d                      string
	}{
		{+1, 0xff, 0xfd, 0xaa, 0xaa, "003a"},
		{0, 0x80, 0x7f, 0x55, 0x55, "0000"},
		{-1, 0, 0, 0, 0, "003a"},
	} {
		trits := bytes.Repeat([]byte{byte(c.trit)}, 256)
		signed := make([]int8, 256)
		for i := range trits {
			signed[i] = int8(trits[i])
		}
		repeat := func(b byte, n int) string { return hex.EncodeToString(bytes.Repeat([]byte{b}, n)) }
		if got, want := hex.EncodeToString(PackTQ1(nil, signed, 0.75)), repeat(c.tq1, 48)+repeat(c.tq1High, 4)+c.d; got != want {
			t.Errorf("TQ1_0 of %d is %s, want %s", c.trit, got, want)
		}
		if got, want := hex.EncodeToString(PackTQ2(nil, signed, 0.75)), repeat(c.tq2, 64)+c.d; got != want {
			t.Errorf("TQ2_0 of %d is %s, want %s", c.trit, got, want)
		}
		if got, want := hex.EncodeToString(PackI2S(nil, signed)), repeat(c.i2s, 64); got != want {
			t.Errorf("I2_S of %d is %s, want %s", c.trit, got, want)
		}
	}
}

func randomTrits(rng *rand.Rand, n int) []int8 {
	trits := make([]int8, n)
	for i := range trits {
		trits[i] = int8(rng.IntN(3)) - 1
	}
	return trits
}

func TestPackUnpack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		n := 256 * (1 + rng.IntN(5))
		want, got, scales := randomTrits(rng, n), make([]int8, n), make([]float32, n/256)
		check := func(name string, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(name, err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: trit %d is %d, want %d", name, i, got[i], want[i])
				}
			}
		}
		check("I2_S", UnpackI2S(got, PackI2S(nil, want)))
		check("TQ2_0", UnpackTQ2(got, scales, PackTQ2(nil, want, 0.5)))
		UnpackTQ1(got, scales, PackTQ1(nil, want, 0.5))
		check("TQ1_0", nil)
		if scales[0] != 0.5 {
			t.Fatalf("scale %v, want 0.5", scales[0])
		}
		// Appending continues a chunk at a time.
		if whole, parts := PackI2S(nil, want), PackI2S(PackI2S(nil, want[:128]), want[128:]); !bytes.Equal(whole, parts) {
			t.Fatal("I2_S in two chunks differs")
		}
	}
}

func TestCode3(t *testing.T) {
	t.Run("R49 code 3", func(t *testing.T) {
		data := PackI2S(nil, make([]int8, 256))
		data[40] |= 3 << 2 // byte 8 of group 1, third plane
		data[63] |= 3
		var bad *CodeError
		err := UnpackI2S(make([]int8, 256), data)
		if bad, _ = err.(*CodeError); bad == nil || bad.Index != 128+64+8 || bad.Count != 2 || bad.Code() != "TENSOR_BAD_TERNARY_CODE" {
			t.Errorf("I2_S: %v", err)
		}
		data = PackTQ2(nil, make([]int8, 512), 1)
		data[66+33] |= 3 << 4
		err = UnpackTQ2(make([]int8, 512), make([]float32, 2), data)
		if bad, _ = err.(*CodeError); bad == nil || bad.Index != 256+128+64+1 || bad.Count != 1 {
			t.Errorf("TQ2_0: %v", err)
		}
	})
}

func TestRoundTrips(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	normal := func(n int, sigma float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64() * sigma)
		}
		return x
	}
	// Relative RMS of the error on N(0, 1): an eighth of a step of 1/127 or 1/8 of the largest of 32, or as FORMATS 2.4 measured.
	for _, c := range []struct {
		typ gguf.Type
		rms float64
	}{{gguf.F32, 0}, {gguf.F16, 3e-4}, {gguf.BF16, 2.5e-3}, {gguf.Q8_0, 0.007}, {gguf.Q4_0, 0.11}, {gguf.Q6_K, 0.0185}} {
		for _, sigma := range []float64{1, 0.02, 100} {
			x := normal(256*64, sigma)
			back := make([]float32, len(x))
			Decode(back, c.typ, Encode(nil, c.typ, x))
			var sum, energy float64
			for i := range x {
				sum += math.Pow(float64(back[i]-x[i]), 2)
				energy += math.Pow(float64(x[i]), 2)
			}
			if rms := math.Sqrt(sum / energy); !(rms <= c.rms) {
				t.Errorf("%v at sigma %v: relative error %v, want at most %v", c.typ, sigma, rms, c.rms)
			}
			if !bytes.Equal(Encode(Encode(nil, c.typ, x[:256]), c.typ, x[256:]), Encode(nil, c.typ, x)) {
				t.Errorf("%v in two chunks differs", c.typ)
			}
		}
	}
	// FORMATS 2.4: Q6_K is within 1.4 % on ternary; 2.3: Q4_0 is an eighth off on one sign.
	trits := randomTrits(rng, 256*64)
	x, back := make([]float32, len(trits)), make([]float32, len(trits))
	scaleTrits(x, trits, 0.0173)
	Decode(back, gguf.Q6_K, Encode(nil, gguf.Q6_K, x))
	for i := range x {
		if !(abs(back[i]-x[i]) <= 0.014*0.0173) {
			t.Fatalf("Q6_K made %v of %v", back[i], x[i])
		}
	}
}

func TestDegenerateBlocks(t *testing.T) {
	tiny := math.Float32frombits(1)
	for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q6_K} {
		for _, v := range []float32{0, tiny, -tiny, 1e-38, 1e-20, -1e-16, 1e-15} {
			x := make([]float32, 256)
			for i := range x {
				x[i] = v * float32(i%3-1)
			}
			back := make([]float32, 256)
			Decode(back, typ, Encode(nil, typ, x))
			for i := range back {
				if !(abs(back[i]) <= 1e-6) {
					t.Fatalf("%v of ±%g gives %g", typ, v, back[i])
				}
			}
		}
	}
	if got := roundAway(0.49999997); got != 0 {
		t.Errorf("0.49999997 rounds to %d", got)
	}
	for v, want := range map[float32]int32{0.5: 1, -0.5: -1, 1.5: 2, 2.5: 3, -2.5: -3, 126.5: 127, -127.4: -127} {
		if got := roundAway(v); got != want {
			t.Errorf("roundAway(%v) = %d, want %d", v, got, want)
		}
	}
	for v, want := range map[float32]int32{0.5: 0, 1.5: 2, 2.5: 2, -0.5: 0, -1.5: -2, 31.5: 32} {
		if got := roundEven(v); got != want {
			t.Errorf("roundEven(%v) = %d, want %d", v, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint32(gguf.Q8_0), bytes.Repeat([]byte{0x7c, 0x80}, 17))
	f.Add(uint32(gguf.Q6_K), bytes.Repeat([]byte{0xff}, 210))
	f.Add(uint32(gguf.TQ1_0), bytes.Repeat([]byte{0xff}, 108))
	f.Add(uint32(gguf.TQ2_0), bytes.Repeat([]byte{0xaa}, 66))
	f.Fuzz(func(t *testing.T, id uint32, src []byte) {
		typ := gguf.Type(id)
		if !typ.Known() || typ == gguf.I2_S {
			return
		}
		n := len(src) / int(typ.BlockBytes())
		x := make([]float32, n*int(typ.BlockSize()))
		Decode(x, typ, src[:n*int(typ.BlockBytes())])
		if typ != gguf.TQ1_0 {
			return
		}
		// Whatever the bytes, TQ1_0 is trits, and packing those reads back the same.
		trits, again, scales := make([]int8, len(x)), make([]int8, len(x)), make([]float32, n)
		UnpackTQ1(trits, scales, src[:n*54])
		UnpackTQ1(again, scales, PackTQ1(nil, trits, 1))
		for i, v := range trits {
			if v < -1 || v > 1 || again[i] != v {
				t.Fatalf("weight %d is %d, then %d", i, v, again[i])
			}
		}
	})
}

func FuzzUnpackI2S(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x24\x49\x92\x24", 8)))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, src []byte) {
		src = src[:len(src)/32*32]
		for _, layout := range []Layout{Layout128, Layout64, LayoutSeqMSB, LayoutSeqLSB, 4 * 24} {
			src := src[:len(src)/(layout.Group()/4)*(layout.Group()/4)] // the last is rows of 24, four at a time
			trits := make([]int8, 4*len(src))
			err := layout.Unpack(trits, src)
			first, count := -1, 0
			for i, v := range trits {
				if v == 2 {
					count++
					if first < 0 {
						first = i
					}
				}
			}
			if at, ok := layout.firstBad(src, 0); ok != (count > 0) || ok && int(at) != first {
				t.Fatalf("the first code 3 is at %d, not at %d", first, at)
			}
			if bad, _ := err.(*CodeError); (bad == nil) != (count == 0) || bad != nil && (bad.Index != first || bad.Count != count) {
				t.Fatalf("%d codes 3, first at %d, but %v", count, first, err)
			}
			if count == 0 && layout == Layout128 && !bytes.Equal(PackI2S(nil, trits), src) {
				t.Fatal("packing again gives other bytes")
			}
		}
	})
}
