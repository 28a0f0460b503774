package kernel

// kernel is one implementation of everything that is worth assembly. The arguments have been checked by the callers; slices do not overlap.
// A call may take some tens of microseconds at most, since assembly cannot be preempted: callers cut their work accordingly.
type kernel struct {
	name      string
	supported bool // every processor feature that it uses

	// ternary computes sums[16*t+r] = Σ_c code(r, c) * x[t*stride+c], exactly, for the 16 rows of one panel (see Ternary for its bytes) and
	// len(sums)/16 rows of x. The panel has cols/16*64 bytes; x is read up to cols, a multiple of 16.
	ternary func(sums []int32, panel []byte, x []int8, stride int)
	// finish computes y[t*stride+r] = (f32(sums[16*t+r]-shift[t])*scale)/a[t] for all t of a and the rows r of a panel, at most 16.
	finish func(y []float32, stride, rows int, sums, shift []int32, scale float32, a []float32)
	// magnitude returns the largest x[i] without its sign, as a bit pattern: these order as the numbers do, infinity and NaN above all.
	magnitude func(x []float32) uint32
	// round computes q = clamp(RNE(x*a), -128, 127) and returns Σ q; |x*a| is below 2^22.
	round func(q []int8, x []float32, a float32) int32

	// dotX computes y[i] = x · w[i*stride : i*stride+len(x)] for all i of y.
	dotF32  func(y, x, w []float32, stride int)
	dotF16  func(y, x []float32, w []uint16, stride int)
	dotBF16 func(y, x []float32, w []uint16, stride int)
	// dots computes y[i*yStride+j] = x_i · w[j*wStride:][:n] for all rows x_i of x [len(x)/n, n] and j < rows.
	dots func(y []float32, yStride int, x, w []float32, wStride, rows, n int)
	// squares returns x · x.
	squares func(x []float32) float32
	// dotQ8 computes y[i] = Σ_b d[b]*dw[b] * Σ_e x[32b+e]*w[b][e] for all i of y, |x| <= 127, rows of Q8_0 blocks one after another in w.
	dotQ8 func(y []float32, x []int8, d []float32, w []byte)
	// dotQ6 computes the like, y[r], for four rows of weights w [4, blocks], their scales dw [blocks, 4], and one row x with its scales.
	dotQ6 func(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32)
	// dotsX computes y[t][r] for the same four rows of weights and an eight of rows x. The caller will read at next soon: an implementation may
	// fetch len(x)*aheadX bytes of it ahead.
	dotsQ8 func(y *[8][4]float32, w []q8Block, dw []float32, x []q8Eight, dx [][8]float32, next []byte)
	dotsQ6 func(y *[8][4]float32, w []q6Block, dw []float32, x []q6Eight, dx [][8]float32, next []byte)
	// unpackX lays one row of blocks out as dst; block b's scale d goes to d[4*b].
	unpackQ8 func(dst []q8Block, d []float32, w []byte)
	unpackQ6 func(dst []q6Block, d []float32, w []byte)
	// decodeX: dst[i] = float32(w[i]), exactly.
	decodeF16  func(dst []float32, w []uint16)
	decodeBF16 func(dst []float32, w []uint16)

	// mixX adds rows: o[i] = fma(p[j], v[j*stride+i], o[i]) for j upward.
	mixF32 func(o, p, v []float32, stride int)
	mixF16 func(o, p []float32, v []uint16, stride int)

	// mixes adds rows to all rows of o [len(o)/n, n]: o_i[c] = fma(p[i*pStride+j], v[j*stride+c], o_i[c]) for j < rows upward.
	mixes func(o, p []float32, pStride int, v []float32, stride, rows, n int)

	// top returns the largest x[i], NaN apart; -Inf if there is none.
	top func(x []float32) float32
	// divide computes x[i] /= by.
	divide func(x []float32, by float32)
	// scale computes y[i] = x[i] * r * w[i]; add x[i] += y[i]; gate g[i] = g[i] / (1+e[i]) * u[i]; relu g[i] = max(g[i], 0)² * u[i]. All slices
	// have one length; y of scale may be x.
	scale func(y, x, w []float32, r float32)
	add   func(x, y []float32)
	gate  func(g, e, u []float32)
	relu  func(g, u []float32)
	// exp writes e[i] = Exp(x[i]*scale - max) and adds it to lane i%16. e may be x.
	exp func(l *lanes, e, x []float32, scale, max float32)

	peaks []peakLoop // of the instructions that it adds to the rows below it
}

var generic = kernel{
	name: "generic", supported: true,
	ternary: ternaryGeneric, finish: finishGeneric, magnitude: magnitudeGeneric, round: roundGeneric,
	dotF32: dotF32Generic, dotF16: dotF16Generic, dotBF16: dotBF16Generic, squares: squaresGeneric,
	dotQ8: dotQ8Generic, dotsQ8: dotsQ8Generic, unpackQ8: unpackQ8Generic, dotQ6: dotQ6Generic, dotsQ6: dotsQ6Generic, unpackQ6: unpackQ6Generic,
	decodeF16: decodeF16Generic, decodeBF16: decodeBF16Generic,
	dots: dotsGeneric, mixF32: mixF32Generic, mixF16: mixF16Generic, mixes: mixesGeneric,
	top: topGeneric, divide: divideGeneric, scale: scaleGeneric, add: addGeneric, gate: gateGeneric, relu: reluGeneric, exp: expGeneric,
}

// active is the implementation in use; kernels lists what this build has, best first.
var active = firstSupported(kernels)

// withTernary is a row that differs from another in the ternary product, and needs one feature more.
func withTernary(k kernel, name string, has bool, ternary func([]int32, []byte, []int8, int), peak peakLoop) kernel {
	k.name, k.supported, k.ternary, k.peaks = name, k.supported && has, ternary, []peakLoop{peak}
	return k
}

func firstSupported(kernels []kernel) kernel {
	for _, k := range kernels {
		if k.supported {
			return k
		}
	}
	panic("kernel: generic is always supported")
}

// Features names what this processor has of the features that rows of the table ask for.
func Features() []string {
	var names []string
	for _, f := range features {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}

type feature struct {
	name string
	has  bool
}

// Name returns the name of the implementation in use, as in "avx2" or "generic".
func Name() string { return active.name }
