package kernel

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"
)

var seedFlag = flag.Uint64("kernel.seed", 0, "seed of random tests; 0 picks one")

// newRand logs its seed, so that a failure can be repeated with -kernel.seed.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// requireKernel skips an implementation that this processor cannot run, but fails if WF_TEST_KERNELS (names with commas) promises it.
func requireKernel(t testing.TB, k kernel) {
	if k.supported {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("WF_TEST_KERNELS"), ","), k.name) {
		t.Fatalf("WF_TEST_KERNELS names %s, and this processor cannot run it", k.name)
	}
	t.Skipf("this processor cannot run %s", k.name)
}

// TestKernelsNamed fails when WF_TEST_KERNELS names what this build does not have at all.
func TestKernelsNamed(t *testing.T) {
	for name := range strings.SplitSeq(os.Getenv("WF_TEST_KERNELS"), ",") {
		if name != "" && !slices.ContainsFunc(kernels, func(k kernel) bool { return k.name == name }) {
			t.Errorf("WF_TEST_KERNELS names %q, which this build does not have", name)
		}
	}
	if !slices.ContainsFunc(kernels, func(k kernel) bool { return k.name == Name() }) {
		t.Errorf("Name() = %q is not in the table", Name())
	}
}

func eachKernel(t *testing.T, f func(t *testing.T, k kernel)) {
	for _, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			requireKernel(t, k)
			f(t, k)
		})
	}
}

// sameBits compares float32 bit for bit, any NaN being as good as another.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func requireSame(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if !sameBits(got[i], want[i]) {
			t.Fatalf("%s: element %d is %g (%08x), want %g (%08x)", what, i, got[i], math.Float32bits(got[i]), want[i],
				math.Float32bits(want[i]))
		}
	}
}

// floats are numbers of many magnitudes, with zeros of both signs, subnormals and (rarely) products that overflow or underflow.
func floats(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch rng.IntN(40) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = float32(math.Copysign(0, -1))
		case 2:
			x[i] = math.Float32frombits(rng.Uint32()&0x807FFFFF | uint32(rng.IntN(2))<<23)
		case 3:
			x[i] = float32(rng.NormFloat64() * 1e12)
		case 4:
			x[i] = float32(rng.NormFloat64() * 1e-25)
		default:
			x[i] = float32(rng.NormFloat64())
		}
	}
	return x
}

// halves are f16 bit patterns of every kind that is finite.
func halves(rng *rand.Rand, n int) []uint16 {
	x := make([]uint16, n)
	for i := range x {
		for x[i] = uint16(rng.Uint32()); x[i]&0x7C00 == 0x7C00; x[i] = uint16(rng.Uint32()) {
		}
	}
	return x
}

// bfloats are bf16 bit patterns of floats.
func bfloats(rng *rand.Rand, n int) []uint16 {
	x := make([]uint16, n)
	for i, v := range floats(rng, n) {
		x[i] = uint16(math.Float32bits(v) >> 16)
	}
	return x
}

func int8s(rng *rand.Rand, n int) []int8 {
	x := make([]int8, n)
	for i := range x {
		x[i] = int8(rng.Uint32())
	}
	return x
}

func filled[T any](n int, v ...T) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = v[i%len(v)]
	}
	return x
}

var oddLengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 64, 100, 128, 160, 255, 257}

func TestDots(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, n := range oddLengths {
			for _, rows := range []int{0, 1, 2, 3, 4, 5, 9} {
				stride := n + rng.IntN(3)
				size := max(0, (rows-1)*stride+n)
				x := guarded(t, floats(rng, n))
				got, want := guarded(t, make([]float32, rows)), make([]float32, rows)

				w := guarded(t, floats(rng, size))
				k.dotF32(got, x, w, stride)
				dotF32Generic(want, x, w, stride)
				requireSame(t, "dotF32", got, want)

				h := guarded(t, halves(rng, size))
				k.dotF16(got, x, h, stride)
				dotF16Generic(want, x, h, stride)
				requireSame(t, "dotF16", got, want)

				b := guarded(t, bfloats(rng, size))
				k.dotBF16(got, x, b, stride)
				dotBF16Generic(want, x, b, stride)
				requireSame(t, "dotBF16", got, want)
			}
			x := guarded(t, floats(rng, n))
			requireSame(t, "squares", []float32{k.squares(x)}, []float32{squaresGeneric(x)})
		}
	})
}

func TestDecode(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		all := make([]uint16, 1<<16)
		for i := range all {
			all[i] = uint16(i)
		}
		got, want := make([]float32, len(all)), make([]float32, len(all))
		k.decodeF16(got, all)
		for i, v := range all {
			want[i] = float16.Frombits(v).Float32()
		}
		requireSame(t, "decodeF16", got, want)
		k.decodeBF16(got, all)
		for i, v := range all {
			want[i] = math.Float32frombits(uint32(v) << 16)
		}
		requireSame(t, "decodeBF16", got, want)
		for _, n := range oddLengths {
			w, got := guarded(t, all[0x3C00:][:n]), guarded(t, make([]float32, n))
			k.decodeF16(got, w)
			decodeF16Generic(want[:n], w)
			requireSame(t, "decodeF16", got, want[:n])
			k.decodeBF16(got, w)
			decodeBF16Generic(want[:n], w)
			requireSame(t, "decodeBF16", got, want[:n])
		}
	})
}

func TestMix(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, n := range oddLengths {
			for _, rows := range []int{0, 1, 2, 5} {
				stride := n + rng.IntN(3)
				size := max(0, (rows-1)*stride+n)
				p, start := guarded(t, floats(rng, rows)), floats(rng, n)
				got, want := guarded(t, start), slices.Clone(start)
				v := guarded(t, floats(rng, size))
				k.mixF32(got, p, v, stride)
				mixF32Generic(want, p, v, stride)
				requireSame(t, "mixF32", got, want)
				h := guarded(t, halves(rng, size))
				k.mixF16(got, p, h, stride)
				mixF16Generic(want, p, h, stride)
				requireSame(t, "mixF16", got, want)
			}
		}
	})
}

func TestDotQ8(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, blocks := range []int{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 80} {
			for _, rows := range []int{0, 1, 2, 3, 4, 5, 16} {
				w := make([]byte, rows*blocks*q8Bytes)
				for i := range w {
					w[i] = byte(rng.Uint32())
				}
				for b := range rows * blocks {
					h := halves(rng, 1)[0]
					w[b*q8Bytes], w[b*q8Bytes+1] = byte(h), byte(h>>8)
				}
				x := int8s(rng, blocks*q8Weights)
				for i := range x {
					x[i] = max(x[i], -127)
				}
				for _, x := range [][]int8{x, filled(len(x), int8(-127)), filled(len(x), int8(127))} {
					x, d, w := guarded(t, x), guarded(t, floats(rng, blocks)), guarded(t, w)
					got, want := guarded(t, make([]float32, rows)), make([]float32, rows)
					k.dotQ8(got, x, d, w)
					dotQ8Generic(want, x, d, w)
					requireSame(t, "dotQ8", got, want)
				}
			}
		}
	})
}

func TestExpKernel(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, n := range oddLengths {
			x := floats(rng, n)
			for i := range x {
				x[i] *= 30
			}
			for i, v := range []float32{float32(math.Inf(-1)), -104, -103.9, -87.5, 0, 88.7, 88.8, float32(math.Inf(1)), float32(math.NaN())} {
				if i < n {
					x[rng.IntN(n)] = v
				}
			}
			for _, c := range [][2]float32{{1, 0}, {0.3, 3.5}} {
				got, want, gotLanes, wantLanes := guarded(t, x), slices.Clone(x), lanes{}, lanes{}
				k.exp(&gotLanes, got, got, c[0], c[1])
				expGeneric(&wantLanes, want, want, c[0], c[1])
				requireSame(t, "exp", got, want)
				requireSame(t, "exp lanes", gotLanes[:], wantLanes[:])
			}
		}
	})
}
