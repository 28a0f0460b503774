//go:build goexperiment.simd && amd64

package infer_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"simd/archsimd"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/infer/synthetic"
	"github.com/wrinklefree/wf/quant"
)

// constrained is an operation whose order of rounding is laid down, so that logits are equal everywhere: written twice for AVX2, once in that order
// and once as one likes. Both do their work on the same operands, which are made once.
type constrained struct {
	name              string
	functions         string // a regular expression for what the profile calls them
	canonical, freely func()
}

// BenchmarkExactness says what bit-identical logits cost:
//
//	GOEXPERIMENT=simd go test ./infer -run '^$' -bench Exactness -benchtime 1x
//
// A profile of block steps of the 2B shape over 512 positions, with the choice of tokens, says what share of a step each operation has; the ratio of
// its two forms, timed in turn, says how much of that share another order would save. The rest of a step is integer sums, which are exact in
// any order, and steps that nobody would do in another order: the weighted sum of values has one chain of additions for each of a head's elements,
// enough to keep the processor busy. One thread, since more of them wait for each other.
func BenchmarkExactness(b *testing.B) {
	ops := constrainedOps()
	for b.Loop() {
		shares := profileStep(b)
		total := 0.0
		fmt.Printf("%-40s %14s %18s %14s\n", "", "share of a step", "free/canonical", "cost of a step")
		for _, op := range ops {
			pattern, share := regexp.MustCompile(op.functions), 0.0
			for name, s := range shares {
				if pattern.MatchString(name) {
					share += s
				}
			}
			ratio := op.ratio()
			cost := share * max(0, 1-ratio)
			total += cost
			fmt.Printf("%-40s %13.2f %% %18.3f %12.2f %%\n", op.name, 100*share, ratio, 100*cost)
		}
		fmt.Printf("%-40s %47.2f %%\n", "bit-identical logits", 100*total)
		b.ReportMetric(100*total, "%")
	}
}

// ratio is the time of the free form over that of the canonical: the best of each, for others may have the processor in between.
func (op constrained) ratio() float64 {
	sample := func(f func(), n int) float64 {
		began := time.Now()
		for range n {
			f()
		}
		return time.Since(began).Seconds()
	}
	n := max(1, int(1e-4/sample(op.canonical, 1)))
	canonical, free := math.Inf(1), math.Inf(1)
	for range 1000 {
		canonical, free = min(canonical, sample(op.canonical, n)), min(free, sample(op.freely, n))
	}
	return free / canonical
}

// profileStep runs block steps of a synthetic model and returns the share of processor time of each function.
func profileStep(b *testing.B) map[string]float64 {
	const prefix, block, steps = 512, 32, 12
	shape, _ := synthetic.Find("bitnet-2b")
	types := quant.Types{Type: gguf.I2_S, TokenEmbedding: gguf.Q8_0, HasTokenEmbedding: true, OutputTensor: gguf.Q8_0, HasOutputTensor: true}
	f, err := shape.File(types, "test")
	if err != nil {
		b.Fatal(err)
	}
	file, err := synthetic.InMemory(f)
	if err != nil {
		b.Fatal(err)
	}
	m, err := infer.LoadFile(file, infer.Options{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	cache, err := m.NewCache(prefix + block)
	if err != nil {
		b.Fatal(err)
	}
	s := &infer.Segment{Cache: cache, Mask: infer.Mask{Block: block}}
	for i := range prefix {
		s.IDs = append(s.IDs, int32((i*7919+100)%m.Config().Vocab))
	}
	pass := func() {
		if err := m.Forward([]*infer.Segment{s}); err != nil {
			b.Fatal(err)
		}
	}
	pass()
	s.Start, s.IDs = prefix, s.IDs[:block]
	for i := range block {
		s.Logits = append(s.Logits, i)
	}
	pass()
	path := filepath.Join(b.TempDir(), "cpu.pprof")
	out, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		b.Fatal(err)
	}
	for range steps {
		pass()
		for i := range block {
			kernel.ArgMaxConfidence(s.Out[i*m.Config().Vocab:][:m.Config().Vocab], 0)
		}
	}
	pprof.StopCPUProfile()
	text, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=1000", "-nodefraction=0", os.Args[0], path).Output()
	if err != nil {
		b.Fatal(err)
	}
	shares := map[string]float64{}
	for line := range bytes.Lines(text) { // flat, flat%, sum%, cum, cum%, name
		if f := strings.Fields(string(line)); len(f) >= 6 && strings.HasSuffix(f[1], "%") {
			if v, err := strconv.ParseFloat(strings.TrimSuffix(f[1], "%"), 64); err == nil {
				shares[f[5]] = v / 100
			}
		}
	}
	return shares
}

type vector = archsimd.Float32x8

func load(x []float32) vector { return archsimd.LoadFloat32x8((*[8]float32)(x)) }

// What is scalar in Go is SSE, which waits long for AVX registers: so everything here is a vector, also a single sum.
type sum = archsimd.Float32x4

// quarter does the first two steps of the canonical tree for 16 lanes in two vectors: lanes 8 apart, then 4 apart.
func quarter(a, b vector) sum {
	s := a.Add(b)
	return s.GetLo().Add(s.GetHi())
}

// tree does the other two for four sums: lanes 2 apart, then 1 apart.
func tree(a, b, c, d sum) sum {
	ab, cd := a.SelectFromPair(0, 1, 4, 5, b).Add(a.SelectFromPair(2, 3, 6, 7, b)), c.SelectFromPair(0, 1, 4, 5, d).Add(c.SelectFromPair(2, 3, 6, 7, d))
	return ab.SelectFromPair(0, 2, 4, 6, cd).Add(ab.SelectFromPair(1, 3, 5, 7, cd))
}

// pairs are the sums of four vectors in the order that is quickest.
func pairs(a, b, c, d vector) sum {
	s := a.AddPairsGrouped(b).AddPairsGrouped(c.AddPairsGrouped(d))
	return s.GetLo().Add(s.GetHi())
}

// constrainedOps have the sizes of the 2B shape: 2560 numbers in a row, 128 in a head.
func constrainedOps() []constrained {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	row, sink := random(2560), new([4]float32)
	scores := new(attention)
	for i := range scores.q {
		for c := range scores.q[i] {
			scores.q[i][c] = [2][8]float32{[8]float32(random(8)), [8]float32(random(8))}
		}
	}
	for i := range scores.k {
		for c := range scores.k[i] {
			scores.k[i][c] = [2][8]float32{[8]float32(random(8)), [8]float32(random(8))}
		}
	}
	logits, terms := random(4096), make([]float32, 4096)
	products := new(q8)
	for row := range 4 {
		for b := range q8Blocks {
			for c := range 8 {
				products.w[row][b][c], products.magnitude[row][b][c] = 0x21f503fe, 0x210b0302 // 33 -11 3 -2
			}
		}
	}
	for b := range q8Blocks {
		for c := range 8 {
			for i := range 32 {
				products.x[b][c][i] = int8(rng.IntN(255) - 127)
			}
			products.dx[b][c] = 0.5
		}
		for row := range 4 {
			products.dw[b][row] = [8]float32(random(8))
		}
	}
	return []constrained{
		{
			"RMSNorm: sum of squares", `kernel\.dotRowsF32$`,
			func() { squaresCanonical(row).Store(sink) },
			func() { squaresFree(row).Store(sink) },
		},
		{
			"attention: scores", `kernel\.(dotTiles|partSums|laneTiles)$`, scores.canonical, scores.freely,
		},
		{
			"softmax and confidence: exp and its sum", `kernel\.exp\d+$`,
			func() { expCanonical(terms, logits).Store(sink) },
			func() { expFree(terms, logits).Store(sink) },
		},
		{
			"head: Q8_0 products", `kernel\.(dotsBlocksQ8|dotRowsQ8)$`, products.canonical, products.freely,
		},
	}
}

func squaresCanonical(x []float32) sum {
	var a, b vector
	for ; len(x) >= 16; x = x[16:] {
		u, v := load(x), load(x[8:])
		a, b = u.MulAdd(u, a), v.MulAdd(v, b)
	}
	s := quarter(a, b)
	return tree(s, s, s, s)
}

func squaresFree(x []float32) sum {
	var a, b, c, d, e, f, g, h vector
	for ; len(x) >= 64; x = x[64:] {
		x0, x1, x2, x3, x4, x5, x6, x7 := load(x), load(x[8:]), load(x[16:]), load(x[24:]), load(x[32:]), load(x[40:]), load(x[48:]), load(x[56:])
		a, b, c, d = x0.MulAdd(x0, a), x1.MulAdd(x1, b), x2.MulAdd(x2, c), x3.MulAdd(x3, d)
		e, f, g, h = x4.MulAdd(x4, e), x5.MulAdd(x5, f), x6.MulAdd(x6, g), x7.MulAdd(x7, h)
	}
	s := quarter(a.Add(b).Add(c.Add(d)), e.Add(f).Add(g.Add(h)))
	return tree(s, s, s, s)
}

// attention is what the scores of 16 queries and 48 keys take.
type attention struct {
	q      [16][8][2][8]float32
	k      [48][8][2][8]float32
	parts  [16 * 48 / 4][4][4]float32
	scores [16 * 48 / 4][4]float32
}

// canonical computes two rows by three at once, for 16 lanes of 6 sums are 12 registers. Like the kernel, it leaves half of the tree for later.
func (a *attention) canonical() {
	n := 0
	store := func(s sum) {
		s.Store(&a.parts[n/4][n%4])
		n++
	}
	for i := 0; i < 16; i += 2 {
		for j := 0; j < 48; j += 3 {
			q0, q1, k0, k1, k2 := &a.q[i], &a.q[i+1], &a.k[j], &a.k[j+1], &a.k[j+2]
			var a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5 vector
			for c := range 8 {
				u, v := archsimd.LoadFloat32x8(&q0[c][0]), archsimd.LoadFloat32x8(&q1[c][0])
				w := archsimd.LoadFloat32x8(&k0[c][0])
				a0, a3 = u.MulAdd(w, a0), v.MulAdd(w, a3)
				w = archsimd.LoadFloat32x8(&k1[c][0])
				a1, a4 = u.MulAdd(w, a1), v.MulAdd(w, a4)
				w = archsimd.LoadFloat32x8(&k2[c][0])
				a2, a5 = u.MulAdd(w, a2), v.MulAdd(w, a5)
				u, v = archsimd.LoadFloat32x8(&q0[c][1]), archsimd.LoadFloat32x8(&q1[c][1])
				w = archsimd.LoadFloat32x8(&k0[c][1])
				b0, b3 = u.MulAdd(w, b0), v.MulAdd(w, b3)
				w = archsimd.LoadFloat32x8(&k1[c][1])
				b1, b4 = u.MulAdd(w, b1), v.MulAdd(w, b4)
				w = archsimd.LoadFloat32x8(&k2[c][1])
				b2, b5 = u.MulAdd(w, b2), v.MulAdd(w, b5)
			}
			store(quarter(a0, b0))
			store(quarter(a1, b1))
			store(quarter(a2, b2))
			store(quarter(a3, b3))
			store(quarter(a4, b4))
			store(quarter(a5, b5))
		}
	}
	for i := range a.parts {
		p := &a.parts[i]
		tree(archsimd.LoadFloat32x4(&p[0]), archsimd.LoadFloat32x4(&p[1]), archsimd.LoadFloat32x4(&p[2]), archsimd.LoadFloat32x4(&p[3])).Store(&a.scores[i])
	}
}

// freely has lanes of one register a sum, so twelve sums at once: four rows by three.
func (a *attention) freely() {
	n := 0
	for i := 0; i < 16; i += 4 {
		for j := 0; j < 48; j += 3 {
			q0, q1, q2, q3, k0, k1, k2 := &a.q[i], &a.q[i+1], &a.q[i+2], &a.q[i+3], &a.k[j], &a.k[j+1], &a.k[j+2]
			var a0, a1, a2, b0, b1, b2, c0, c1, c2, d0, d1, d2 vector
			for c := range 8 {
				u, v, w := archsimd.LoadFloat32x8(&k0[c][0]), archsimd.LoadFloat32x8(&k1[c][0]), archsimd.LoadFloat32x8(&k2[c][0])
				r := archsimd.LoadFloat32x8(&q0[c][0])
				a0, a1, a2 = r.MulAdd(u, a0), r.MulAdd(v, a1), r.MulAdd(w, a2)
				r = archsimd.LoadFloat32x8(&q1[c][0])
				b0, b1, b2 = r.MulAdd(u, b0), r.MulAdd(v, b1), r.MulAdd(w, b2)
				r = archsimd.LoadFloat32x8(&q2[c][0])
				c0, c1, c2 = r.MulAdd(u, c0), r.MulAdd(v, c1), r.MulAdd(w, c2)
				r = archsimd.LoadFloat32x8(&q3[c][0])
				d0, d1, d2 = r.MulAdd(u, d0), r.MulAdd(v, d1), r.MulAdd(w, d2)
				u, v, w = archsimd.LoadFloat32x8(&k0[c][1]), archsimd.LoadFloat32x8(&k1[c][1]), archsimd.LoadFloat32x8(&k2[c][1])
				r = archsimd.LoadFloat32x8(&q0[c][1])
				a0, a1, a2 = r.MulAdd(u, a0), r.MulAdd(v, a1), r.MulAdd(w, a2)
				r = archsimd.LoadFloat32x8(&q1[c][1])
				b0, b1, b2 = r.MulAdd(u, b0), r.MulAdd(v, b1), r.MulAdd(w, b2)
				r = archsimd.LoadFloat32x8(&q2[c][1])
				c0, c1, c2 = r.MulAdd(u, c0), r.MulAdd(v, c1), r.MulAdd(w, c2)
				r = archsimd.LoadFloat32x8(&q3[c][1])
				d0, d1, d2 = r.MulAdd(u, d0), r.MulAdd(v, d1), r.MulAdd(w, d2)
			}
			pairs(a0, b0, c0, d0).Store(&a.scores[n])
			pairs(a1, b1, c1, d1).Store(&a.scores[n+1])
			pairs(a2, b2, c2, d2).Store(&a.scores[n+2])
			n += 3
		}
	}
}

var (
	expMax, expMin, log2E, magic   = all(89), all(-104), all(0x1.715476p0), all(12582912)
	ln2Hi, ln2Lo, minus            = all(355. / 512), all(-0.00021219444), all(-1)
	expC0, expC1, expC2            = all(0.5), all(0.16666667), all(0.041666463)
	expC3, expC4, expC5, expOne    = all(0.0083333105), all(0.0013933731), all(0.0001989108), all(1)
	expBias, magicBits             = archsimd.BroadcastInt32x8(127), archsimd.BroadcastInt32x8(int32(math.Float32bits(12582912)))
	minusLn2Hi, minusLn2Lo, lowest = all(-355. / 512), all(0.00021219444), all(-87)
)

func all(v float32) vector { return archsimd.BroadcastFloat32x8(v) }

// expCanonical is kernel.Exp of x-3, by its steps: nothing is fused, and 2^k has two factors so that the smallest results are right.
func expCanonical(e, x []float32) sum {
	var a, b vector
	top := all(3)
	for i := 0; i+16 <= len(x) && i+16 <= len(e); i += 16 {
		u, v := expStep(load(x[i:]), top), expStep(load(x[i+8:]), top)
		u.Store((*[8]float32)(e[i:]))
		v.Store((*[8]float32)(e[i+8:]))
		a, b = a.Add(u), b.Add(v)
	}
	s := quarter(a, b)
	return tree(s, s, s, s)
}

func expStep(x, top vector) vector {
	x = x.Sub(top).Min(expMax).Max(expMin)
	t := x.Mul(log2E).Add(magic)
	k := t.Sub(magic)
	r := x.Sub(k.Mul(ln2Hi)).Sub(k.Mul(ln2Lo))
	p := expC5.Mul(r).Add(expC4)
	p = p.Mul(r).Add(expC3)
	p = p.Mul(r).Add(expC2)
	p = p.Mul(r).Add(expC1)
	p = p.Mul(r).Add(expC0)
	y := p.Mul(r.Mul(r)).Add(r).Add(expOne)
	n := t.AsInt32x8().Sub(magicBits)
	half := n.ShiftAllRight(1)
	return y.Mul(half.Add(expBias).ShiftAllLeft(23).AsFloat32x8()).Mul(n.Sub(half).Add(expBias).ShiftAllLeft(23).AsFloat32x8())
}

// expFree fuses what it can and lets results below 2^-125 be that.
func expFree(e, x []float32) sum {
	var a, b vector
	top := all(3)
	for i := 0; i+16 <= len(x) && i+16 <= len(e); i += 16 {
		u, v := expFreeStep(load(x[i:]), top), expFreeStep(load(x[i+8:]), top)
		u.Store((*[8]float32)(e[i:]))
		v.Store((*[8]float32)(e[i+8:]))
		a, b = a.Add(u), b.Add(v)
	}
	s := quarter(a, b)
	return tree(s, s, s, s)
}

func expFreeStep(x, top vector) vector {
	x = x.Sub(top).Max(lowest)
	t := x.MulAdd(log2E, magic)
	k := t.Sub(magic)
	r := k.MulAdd(minusLn2Lo, k.MulAdd(minusLn2Hi, x))
	p := expC5.MulAdd(r, expC4)
	p = p.MulAdd(r, expC3)
	p = p.MulAdd(r, expC2)
	p = p.MulAdd(r, expC1)
	p = p.MulAdd(r, expC0)
	y := p.MulAdd(r.Mul(r), r).Add(expOne)
	return y.Mul(t.AsInt32x8().Sub(magicBits).Add(expBias).ShiftAllLeft(23).AsFloat32x8())
}

var ones = archsimd.BroadcastInt16x16(1)

const q8Blocks = 2560 / 32

// q8 is four rows of weights and eight of x, as the kernel lays them out: four columns of a row of weights meet, in the lanes of a vector, the same
// columns of eight rows of x.
type q8 struct {
	w, magnitude [4][q8Blocks][8]int32     // four int8 each
	x            [q8Blocks][8][32]int8     // by block and columns: eight rows
	dw           [q8Blocks][4][8]float32   // a weight's scale, eight times
	dx           [q8Blocks][8]float32      // by row
	lanes        [16][4]archsimd.Float32x8 // of the canonical order
	y            [4][8]float32
}

// block returns the sums of a block's products, for four rows of weights.
func (q *q8) block(b int) (s0, s1, s2, s3 archsimd.Int32x8) {
	for c := range 8 {
		x := archsimd.LoadInt8x32(&q.x[b][c])
		s0 = s0.Add(q.products(0, b, c, x))
		s1 = s1.Add(q.products(1, b, c, x))
		s2 = s2.Add(q.products(2, b, c, x))
		s3 = s3.Add(q.products(3, b, c, x))
	}
	return s0, s1, s2, s3
}

func (q *q8) products(row, b, c int, x archsimd.Int8x32) archsimd.Int32x8 {
	w, m := archsimd.BroadcastInt32x8(q.w[row][b][c]).AsInt8x32(), archsimd.BroadcastInt32x8(q.magnitude[row][b][c]).AsUint8x32()
	return m.DotProductPairsSaturated(x.CopySign(w)).DotProductPairs(ones)
}

// scaled returns a block's sums as floats with their scales, in that order.
func (q *q8) scaled(row, b int, s archsimd.Int32x8) (v, d vector) {
	return s.ConvertToFloat32(), archsimd.LoadFloat32x8(&q.dw[b][row]).Mul(archsimd.LoadFloat32x8(&q.dx[b]))
}

// canonical adds block b to lane b%16 of each sum. These are 64 vectors, which live in memory.
func (q *q8) canonical() {
	clear(q.lanes[:])
	for b := range q8Blocks {
		lane := &q.lanes[b%16]
		s0, s1, s2, s3 := q.block(b)
		v, d := q.scaled(0, b, s0)
		lane[0] = v.MulAdd(d, lane[0])
		v, d = q.scaled(1, b, s1)
		lane[1] = v.MulAdd(d, lane[1])
		v, d = q.scaled(2, b, s2)
		lane[2] = v.MulAdd(d, lane[2])
		v, d = q.scaled(3, b, s3)
		lane[3] = v.MulAdd(d, lane[3])
	}
	for half := 8; half > 0; half /= 2 {
		for l := range half {
			for row := range 4 {
				q.lanes[l][row] = q.lanes[l][row].Add(q.lanes[l+half][row])
			}
		}
	}
	for row := range 4 {
		q.lanes[0][row].Store(&q.y[row])
	}
}

// freely adds all blocks to one register.
func (q *q8) freely() {
	var y0, y1, y2, y3 vector
	for b := range q8Blocks {
		s0, s1, s2, s3 := q.block(b)
		v, d := q.scaled(0, b, s0)
		y0 = v.MulAdd(d, y0)
		v, d = q.scaled(1, b, s1)
		y1 = v.MulAdd(d, y1)
		v, d = q.scaled(2, b, s2)
		y2 = v.MulAdd(d, y2)
		v, d = q.scaled(3, b, s3)
		y3 = v.MulAdd(d, y3)
	}
	y0.Store(&q.y[0])
	y1.Store(&q.y[1])
	y2.Store(&q.y[2])
	y3.Store(&q.y[3])
}
