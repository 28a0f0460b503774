package kernel

import "encoding/binary"

// A Q8_0 block: f16 d; i8 q[32] (FORMATS.md 2.2).
//
// The product with x: each 32 elements of x become int8, d = amax/127, and the exact sum of a block's products, times the product of both d,
// is added in the canonical order by block, fused.
const (
	q8Weights = 32
	q8Bytes   = 2 + q8Weights
	aheadQ8   = 128 // most of the bytes of a block in four rows
)

// q8Block is a block laid out for dotsQ8. A product of bytes fills 16 bits, so nothing is gained by keeping bytes.
type q8Block [q8Weights]int16

// q8Eight is a block of eight rows of x: 2 columns of each, then the next 2. So a vector of 32-bit lanes has a row in each lane, the same two
// weights meet all of them, and no sum goes across lanes.
type q8Eight [q8Weights / 2][8][2]int16

// set fills row t from a block of x that has been quantised.
func (x *q8Eight) set(t int, q []int8) {
	for c := range x {
		x[c][t] = [2]int16{int16(q[2*c]), int16(q[2*c+1])}
	}
}

func dotQ8Generic(y []float32, x []int8, d []float32, w []byte) {
	for i := range y {
		var l lanes
		q8Blocks(&l, x, d, w[i*len(d)*q8Bytes:])
		y[i] = l.sum()
	}
}

// q8Blocks adds blocks to the lanes of one row, the first to lane 0.
func q8Blocks(l *lanes, x []int8, d []float32, w []byte) {
	for b, dx := range d {
		block, xs := (*[q8Bytes]byte)(w[b*q8Bytes:]), (*[q8Weights]int8)(x[b*q8Weights:])
		sum := int32(0)
		for e, v := range xs {
			sum += int32(v) * int32(int8(block[2+e]))
		}
		l[b%16] = fma32(float32(sum), dx*fromF16(binary.LittleEndian.Uint16(block[:])), l[b%16])
	}
}

func unpackQ8Generic(dst []q8Block, d []float32, w []byte) {
	for b := range dst {
		block, out := (*[q8Bytes]byte)(w[b*q8Bytes:]), &dst[b]
		for e, q := range block[2:] {
			out[e] = int16(int8(q))
		}
		d[4*b] = fromF16(binary.LittleEndian.Uint16(block[:]))
	}
}

func dotsQ8Generic(y *[8][4]float32, w []q8Block, dw []float32, x []q8Eight, dx [][8]float32, _ []byte) {
	for t := range y {
		for r := range y[t] {
			var l lanes
			for b := range x {
				sum := int32(0)
				for e, q := range w[r*len(x)+b] {
					sum += int32(q) * int32(x[b][e/2][t][e%2])
				}
				l[b%16] = fma32(float32(sum), dw[4*b+r]*dx[b][t], l[b%16])
			}
			y[t][r] = l.sum()
		}
	}
}

// q8Row decodes a row of blocks.
func q8Row(dst []float32, w []byte) {
	for ; len(dst) > 0; dst, w = dst[q8Weights:], w[q8Bytes:] {
		block := (*[q8Bytes]byte)(w)
		scale := fromF16(binary.LittleEndian.Uint16(block[:]))
		for e, q := range block[2:] {
			dst[e] = scale * float32(int8(q))
		}
	}
}

// inputQ8 quantises row t of x.
func (j *denseJob) inputQ8(w *worker, t int) {
	q, blocks := w.block[:q8Weights], j.d.cols/q8Weights
	for b := range blocks {
		at, scale := b*q8Weights, float32(0)
		if t < j.n {
			scale = active.quantizeBlock(q, j.x[t*j.d.cols+at:][:q8Weights])
		} else {
			clear(q)
		}
		if rest := t - 8*j.eights(); rest >= 0 {
			copy(j.restQ8[rest*j.d.cols+at:], q)
			j.restScales[rest*blocks+b] = scale
			continue
		}
		j.eightsQ8[t/8*blocks+b].set(t%8, q)
		j.eightScales[t/8*blocks+b][t%8] = scale
	}
}

// partQ8 unpacks four rows of weights at a time, and they meet all eights of x; what rows of x are left take the weights as they are.
func (j *denseJob) partQ8(w *worker, lo, hi int) {
	d, blocks, step := j.d, j.d.cols/q8Weights, 4
	if j.eights() == 0 {
		step = denseGrain
	}
	w.q8, w.scales = grow(w.q8, 4*blocks), grow(w.scales, 4*blocks)
	for ; lo < hi; lo += step {
		rows := min(step, hi-lo)
		raw := d.q8[lo*blocks*q8Bytes:][:rows*blocks*q8Bytes]
		for r := 0; r < rows && j.eights() > 0; r++ {
			active.unpackQ8(w.q8[r*blocks:][:blocks], w.scales[r:], raw[r*blocks*q8Bytes:][:blocks*q8Bytes])
		}
		next := d.q8[(lo+rows)*blocks*q8Bytes:]
		for e := range j.eights() {
			active.dotsQ8(&w.y, w.q8, w.scales, j.eightsQ8[e*blocks:][:blocks], j.eightScales[e*blocks:][:blocks], next)
			next = next[min(blocks*aheadQ8, len(next)):]
			j.put(&w.y, e, lo, rows)
		}
		for i := range j.rest() {
			t := 8*j.eights() + i
			active.dotQ8(j.y[t*d.rows+lo:][:rows], j.restQ8[i*d.cols:][:d.cols], j.restScales[i*blocks:][:blocks], raw)
		}
	}
}
