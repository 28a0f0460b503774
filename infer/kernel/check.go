package kernel

import (
	"fmt"
	"math"
	"slices"
)

// CheckResult is the verdict on one function of one row of the table.
type CheckResult struct {
	Kernel, Function string
	Err              error // nil: the same bits as generic
}

// Check runs every kernel that this processor supports on fixed data and compares it with generic, bit for bit.
func Check() []CheckResult {
	var results []CheckResult
	d := newCheckData()
	for i := range kernels {
		if k := &kernels[i]; k.supported {
			for _, c := range checks {
				results = append(results, CheckResult{k.name, c.function, compare(c.run(k, d), c.run(&generic, d))})
			}
		}
	}
	return results
}

func compare(got, want []float32) error {
	for i, v := range want {
		if g := math.Float32bits(got[i]); g != math.Float32bits(v) && (v == v || got[i] == got[i]) { // any NaN is as good as another
			return fmt.Errorf("kernel: number %d is %#08x, and generic's is %#08x", i, g, math.Float32bits(v))
		}
	}
	return nil
}

// checkData is the same on every machine.
type checkData struct {
	floats  []float32
	halves  []uint16 // finite
	int8s   []int8   // -127 to 127
	weights []byte   // Q8_0 blocks
	q6      []byte   // Q6_K blocks
	panel   []byte   // codes 0 to 2
}

// Odd sizes, so that loops end in the middle of a vector.
const (
	checkCols   = 333
	checkRows   = 7
	checkBlocks = 21
)

func newCheckData() *checkData {
	d := &checkData{}
	state := uint64(1)
	next := func() uint32 { // Knuth's MMIX generator; the low bits are poor
		state = state*6364136223846793005 + 1442695040888963407
		return uint32(state >> 32)
	}
	for range checkRows * checkCols {
		v := next()
		d.floats = append(d.floats, float32(int32(v))/(1<<28))
		d.halves = append(d.halves, uint16(v)&^0x4000)
		d.int8s = append(d.int8s, max(int8(v>>8), -127))
	}
	for range checkRows * checkBlocks {
		d.weights = append(d.weights, byte(next()>>24), 0x20)
		for range q8Weights {
			d.weights = append(d.weights, byte(next()>>24))
		}
	}
	for range 4 * checkBlocks {
		for range q6Bytes - 2 {
			d.q6 = append(d.q6, byte(next()>>24))
		}
		d.q6 = append(d.q6, byte(next()>>24), 0x20)
	}
	for range checkBlocks * panelBytes {
		v := next()
		d.panel = append(d.panel, byte((v>>8)%3|(v>>12)%3<<2|(v>>16)%3<<4|(v>>20)%3<<6))
	}
	return d
}

type checkOf struct {
	function string // the field of kernel
	run      func(k *kernel, d *checkData) []float32
}

// checks holds a run for each function of kernel; it returns all that the function computes.
var checks = []checkOf{
	{"ternary", func(k *kernel, d *checkData) []float32 {
		sums := make([]int32, checkRows*panelRows)
		k.ternary(sums, d.panel, d.int8s, panelCols*checkBlocks-3)
		return numbers(sums)
	}},
	{"finish", func(k *kernel, d *checkData) []float32 {
		y, sums := make([]float32, 3*panelRows), make([]int32, 3*panelRows)
		for i := range sums {
			sums[i] = int32(d.int8s[i]) << 8
		}
		k.finish(y, panelRows, panelRows, sums, []int32{-12345, 0, 678}, 0.7, []float32{1.3, 5, 700})
		return y
	}},
	{"magnitude", func(k *kernel, d *checkData) []float32 { return []float32{math.Float32frombits(k.magnitude(d.floats))} }},
	{"round", func(k *kernel, d *checkData) []float32 {
		q := make([]int8, checkCols)
		sum := k.round(q, d.floats[:checkCols], 15.8)
		return append(numbers(q), float32(sum))
	}},
	{"dotF32", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkRows)
		k.dotF32(y, d.floats[:checkCols], d.floats, checkCols)
		return y
	}},
	{"dotF16", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkRows)
		k.dotF16(y, d.floats[:checkCols], d.halves, checkCols)
		return y
	}},
	{"dotBF16", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkRows)
		k.dotBF16(y, d.floats[:checkCols], d.halves, checkCols)
		return y
	}},
	{"dots", func(k *kernel, d *checkData) []float32 {
		const n, rows, stride = 544, 4, 560 // longer than one piece of a row
		y := make([]float32, 4*rows)
		k.dots(y, rows, d.floats[:4*n], d.floats[5:], stride, rows, n)
		return y
	}},
	{"squares", func(k *kernel, d *checkData) []float32 { return []float32{k.squares(d.floats)} }},
	{"dotQ8", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkRows)
		k.dotQ8(y, d.int8s[:checkBlocks*q8Weights], d.floats[:checkBlocks], d.weights)
		return y
	}},
	{"unpackQ8", func(k *kernel, d *checkData) []float32 {
		w, dw := d.blocksQ8(k)
		for _, b := range w {
			for _, q := range b {
				dw = append(dw, float32(q))
			}
		}
		return dw
	}},
	{"dotsQ8", func(k *kernel, d *checkData) []float32 {
		y, x, dx := new([8][4]float32), make([]q8Eight, checkBlocks), d.eightScales()
		for i := range 8 * checkBlocks {
			x[i/8].set(i%8, d.int8s[i*11:])
		}
		w, dw := d.blocksQ8(&generic)
		k.dotsQ8(y, w, dw, x, dx, nil)
		return slices.Concat(y[0][:], y[1][:], y[6][:], y[7][:])
	}},
	{"unpackQ6", func(k *kernel, d *checkData) []float32 {
		w, dw := d.blocksQ6(k)
		for _, b := range w {
			for i, c := range b.codes {
				dw = append(dw, float32(c), float32(b.scales[i/4]), float32(b.less32[i/16]))
			}
		}
		return dw
	}},
	{"dotQ6", func(k *kernel, d *checkData) []float32 {
		y := new([4]float32)
		w, dw := d.blocksQ6(&generic)
		x, dx := make([]q6Input, checkBlocks), make([]float32, checkBlocks)
		for i := range x {
			dx[i] = d.floats[i]
			x[i].set((*[q6Weights]int8)(d.int8s[i*17:]))
		}
		k.dotQ6(y, w, dw, x, dx)
		return y[:]
	}},
	{"dotsQ6", func(k *kernel, d *checkData) []float32 {
		y, x, dx := new([8][4]float32), make([]q6Eight, checkBlocks), d.eightScales()
		for i := range 8 * checkBlocks {
			x[i/8].set(i%8, (*[q6Weights]int8)(d.int8s[i*11:]))
		}
		w, dw := d.blocksQ6(&generic)
		k.dotsQ6(y, w, dw, x, dx, nil)
		return slices.Concat(y[0][:], y[1][:], y[6][:], y[7][:])
	}},
	{"decodeF16", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkCols)
		k.decodeF16(y, d.halves[:checkCols])
		return y
	}},
	{"decodeBF16", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkCols)
		k.decodeBF16(y, d.halves[:checkCols])
		return y
	}},
	{"mixF32", func(k *kernel, d *checkData) []float32 {
		o := make([]float32, checkCols)
		k.mixF32(o, d.floats[:checkRows], d.floats, checkCols)
		return o
	}},
	{"mixF16", func(k *kernel, d *checkData) []float32 {
		o := make([]float32, checkCols)
		k.mixF16(o, d.floats[:checkRows], d.halves, checkCols)
		return o
	}},
	{"mixes", func(k *kernel, d *checkData) []float32 {
		o := make([]float32, 5*64)
		k.mixes(o, d.floats, 9, d.floats[100:], 65, checkRows, 64)
		return o
	}},
	{"top", func(k *kernel, d *checkData) []float32 { return []float32{k.top(d.floats[1:])} }},
	{"divide", func(k *kernel, d *checkData) []float32 {
		x := slices.Clone(d.floats)
		k.divide(x, 0.7)
		return x
	}},
	{"scale", func(k *kernel, d *checkData) []float32 {
		y := make([]float32, checkCols)
		k.scale(y, d.floats[:checkCols], d.floats[checkCols:][:checkCols], 0.7)
		return y
	}},
	{"add", func(k *kernel, d *checkData) []float32 {
		x := slices.Clone(d.floats[:checkCols])
		k.add(x, d.floats[checkCols:][:checkCols])
		return x
	}},
	{"gate", func(k *kernel, d *checkData) []float32 {
		g := slices.Clone(d.floats[:checkCols])
		k.gate(g, d.floats[checkCols:][:checkCols], d.floats[2*checkCols:][:checkCols])
		return g
	}},
	{"relu", func(k *kernel, d *checkData) []float32 {
		g := slices.Clone(d.floats[:checkCols])
		k.relu(g, d.floats[checkCols:][:checkCols])
		return g
	}},
	{"exp", func(k *kernel, d *checkData) []float32 {
		var l lanes
		e := make([]float32, checkCols)
		k.exp(&l, e, d.floats[:checkCols], 3, 5)
		return append(e, l[:]...)
	}},
}

// blocksQ6 unpacks four rows.
func (d *checkData) blocksQ6(k *kernel) (w []q6Block, dw []float32) {
	w, dw = make([]q6Block, 4*checkBlocks), make([]float32, 4*checkBlocks)
	for r := range 4 {
		k.unpackQ6(w[r*checkBlocks:][:checkBlocks], dw[r:], d.q6[r*checkBlocks*q6Bytes:][:checkBlocks*q6Bytes])
	}
	return w, dw
}

// blocksQ8 unpacks four rows.
func (d *checkData) blocksQ8(k *kernel) (w []q8Block, dw []float32) {
	w, dw = make([]q8Block, 4*checkBlocks), make([]float32, 4*checkBlocks)
	for r := range 4 {
		k.unpackQ8(w[r*checkBlocks:][:checkBlocks], dw[r:], d.weights[r*checkBlocks*q8Bytes:][:checkBlocks*q8Bytes])
	}
	return w, dw
}

func (d *checkData) eightScales() [][8]float32 {
	dx := make([][8]float32, checkBlocks)
	for b := range dx {
		dx[b] = [8]float32(d.floats[8*b:])
	}
	return dx
}

// numbers writes whole numbers below 2^24 as float32.
func numbers[T int8 | int32](x []T) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
