package kernel

import "encoding/binary"

// A Q6_K block: ql[128], qh[64], i8 scales[16], f16 d (FORMATS.md 2.5). Its 256 codes 0..63 are weights code-32; 16 sub-blocks of 16 have a
// scale each.
//
// The product with x: each 256 elements of x become int8, d = amax/127, and then, per block,
//
//	s = Σ_sub scales[sub] * Σ_e (code[sub, e] - 32) * q[sub, e]	exactly, in int32
//
// times the product of both d is added in the canonical order by block, fused, as for Q8_0.
const (
	q6Weights = 256
	q6Bytes   = 210
	q6Subs    = 16
	aheadQ6   = 512 // more than half of the bytes of a block in four rows
)

// q6Block is a block laid out for the product. In every 64 codes the first halves of the four sub-blocks come first, then the second halves;
// the sub-blocks in the order 0, 2, 1, 3 (see q6Place). So the products of both halves meet in one 16-bit sum, 4*63*127 at most, which is
// then multiplied by the sub-block's scale.
type q6Block struct {
	codes  [q6Weights]byte
	scales [q6Weights / 4]int16 // of the 16-bit sums: each scale four times, in the codes' order
	less32 [q6Subs]int16        // -32 times each scale, in the file's order
}

// q6Input is 256 elements of x for dotQ6.
type q6Input struct {
	q    [q6Weights]int8 // in the codes' order
	sums [q6Subs]int16   // of each sub-block's q
}

// q6Eight is a block of eight rows of x for dotsQ6, laid out like q8Eight but four columns at a time, by sub-block. The 16 products of a
// sub-block end as two 16-bit sums, of its even pairs of columns and of its odd ones, times the scale: less32 are -32 times the same sums of q,
// so that adding them makes codes weights. The sums with weights are at most 8*32*127 and fit; on the way to them 16 bits may wrap.
type q6Eight [q6Subs]struct {
	q      [4][8][4]int8
	less32 [8][2]int16
}

// q6Place is where element e of a block lies in q6Block.codes and q6Input.q.
func q6Place(e int) int {
	sub := e / 16 % 4
	return e&^63 + e%16/8*32 + (sub%2*2+sub/2)*8 + e%8
}

func unpackQ6Generic(dst []q6Block, d []float32, w []byte) {
	for b := range dst {
		block, out := (*[q6Bytes]byte)(w[b*q6Bytes:]), &dst[b]
		for e := range q6Weights {
			out.codes[q6Place(e)] = q6Code(block, e)
		}
		for i := range out.scales {
			first := i / 16 * 4 // sub-block of these 16 scales
			out.scales[i] = int16(int8(block[192+first+[4]int{0, 2, 1, 3}[i/4%4]]))
		}
		for s := range out.less32 {
			out.less32[s] = -32 * int16(int8(block[192+s]))
		}
		d[4*b] = fromF16(binary.LittleEndian.Uint16(block[208:]))
	}
}

// q6Code is code e = 128h + 32k + l: the low bits are in ql[64h + 32(k%2) + l], the low nibble for k < 2, the high ones in bits 2k of qh[32h+l].
func q6Code(block *[q6Bytes]byte, e int) byte {
	h, k, l := e/128, e/32%4, e%32
	return block[64*h+32*(k%2)+l]>>(k/2*4)&15 | block[128+32*h+l]>>(2*k)&3<<4
}

// q6Sum is the exact sum of a block.
func q6Sum(w *q6Block, x *q6Input) (sum int32) {
	for i, scale := range w.scales {
		at := i/16*64 + i%16*2
		pair := int32(0)
		for _, e := range [4]int{at, at + 1, at + 32, at + 33} {
			pair += int32(w.codes[e]) * int32(x.q[e])
		}
		sum += pair * int32(scale)
	}
	for s, less := range w.less32 {
		sum += int32(less) * int32(x.sums[s])
	}
	return sum
}

func dotQ6Generic(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32) {
	for r := range y {
		var l lanes
		for b := range x {
			l[b%16] = fma32(float32(q6Sum(&w[r*len(x)+b], &x[b])), dw[4*b+r]*dx[b], l[b%16])
		}
		y[r] = l.sum()
	}
}

func dotsQ6Generic(y *[8][4]float32, w []q6Block, dw []float32, x []q6Eight, dx [][8]float32, _ []byte) {
	for t := range y {
		for r := range y[t] {
			var l lanes
			for b := range x {
				l[b%16] = fma32(float32(q6EightSum(&w[r*len(x)+b], &x[b], t)), dw[4*b+r]*dx[b][t], l[b%16])
			}
			y[t][r] = l.sum()
		}
	}
}

// q6EightSum is the exact sum of a block with row t of x.
func q6EightSum(w *q6Block, x *q6Eight, t int) (sum int32) {
	for s := range x {
		in, at := &x[s], q6Place(16*s)
		products := int32(in.less32[t][0]) + int32(in.less32[t][1])
		for e := range 16 {
			products += int32(w.codes[at+e/8*32+e%8]) * int32(in.q[e/4][t][e%4])
		}
		sum += products * int32(w.scales[at%32/2+at/64*16])
	}
	return sum
}

// set fills the input from a block of x that has been quantised.
func (in *q6Input) set(q *[q6Weights]int8) {
	for e := 0; e < q6Weights; e += 8 { // which q6Place leaves together
		*(*[8]int8)(in.q[q6Place(e):]) = [8]int8(q[e:])
	}
	for s := range in.sums {
		sum := int16(0)
		for _, v := range q[16*s:][:16] {
			sum += int16(v)
		}
		in.sums[s] = sum
	}
}

// set fills row t.
func (x *q6Eight) set(t int, q *[q6Weights]int8) {
	for s := range x {
		even, odd := int16(0), int16(0)
		for c := range x[s].q {
			v := [4]int8(q[16*s+4*c:])
			x[s].q[c][t] = v
			even += int16(v[0]) + int16(v[1])
			odd += int16(v[2]) + int16(v[3])
		}
		x[s].less32[t] = [2]int16{-32 * even, -32 * odd}
	}
}

// q6Row decodes a row of blocks: (d*scale)*(code-32), each product rounded.
func q6Row(dst []float32, w []byte) {
	for b := 0; len(dst) > 0; b, dst = b+1, dst[q6Weights:] {
		block := (*[q6Bytes]byte)(w[b*q6Bytes:])
		d := fromF16(binary.LittleEndian.Uint16(block[208:]))
		for e := range q6Weights {
			dst[e] = float32(d*float32(int8(block[192+e/16]))) * float32(int32(q6Code(block, e))-32)
		}
	}
}

// inputQ6 quantises row t of x.
func (j *denseJob) inputQ6(w *worker, t int) {
	blocks := j.d.cols / q6Weights
	for b := range blocks {
		scale := float32(0)
		if t < j.n {
			scale = active.quantizeBlock(w.block[:], j.x[(t*blocks+b)*q6Weights:][:q6Weights])
		} else {
			clear(w.block[:])
		}
		if rest := t - 8*j.eights(); rest >= 0 {
			j.restQ6[rest*blocks+b].set(&w.block)
			j.restScales[rest*blocks+b] = scale
			continue
		}
		j.eightsQ6[t/8*blocks+b].set(t%8, &w.block)
		j.eightScales[t/8*blocks+b][t%8] = scale
	}
}

// partQ6 unpacks four rows of weights at a time, and they meet all eights of x, then what rows are left one by one.
func (j *denseJob) partQ6(w *worker, lo, hi int) {
	d, blocks := j.d, j.d.cols/q6Weights
	w.q6, w.scales = grow(w.q6, 4*blocks), grow(w.scales, 4*blocks)
	for ; lo < hi; lo += 4 {
		rows := min(4, hi-lo)
		for r := range rows {
			active.unpackQ6(w.q6[r*blocks:][:blocks], w.scales[r:], d.q6[(lo+r)*blocks*q6Bytes:][:blocks*q6Bytes])
		}
		next := d.q6[(lo+rows)*blocks*q6Bytes:]
		for e := range j.eights() {
			active.dotsQ6(&w.y, w.q6, w.scales, j.eightsQ6[e*blocks:][:blocks], j.eightScales[e*blocks:][:blocks], next)
			next = next[min(blocks*aheadQ6, len(next)):]
			j.put(&w.y, e, lo, rows)
		}
		for i := range j.rest() {
			active.dotQ6(&w.y[0], w.q6, w.scales, j.restQ6[i*blocks:][:blocks], j.restScales[i*blocks:][:blocks])
			copy(j.y[(8*j.eights()+i)*d.rows+lo:][:rows], w.y[0][:])
		}
	}
}
