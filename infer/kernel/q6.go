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
)

// q6Block is a block laid out for the product. In every 64 codes the first halves of the four sub-blocks come first, then the second halves;
// the sub-blocks in the order 0, 2, 1, 3 (see q6Place). So the products of both halves meet in one 16-bit sum, 4*63*127 at most, which is
// then multiplied by the sub-block's scale.
type q6Block struct {
	codes  [q6Weights]byte
	scales [q6Weights / 4]int16 // of the 16-bit sums: each scale four times, in the codes' order
	less32 [q6Subs]int16        // -32 times each scale, in the file's order
}

// q6Input is 256 elements of x for the product.
type q6Input struct {
	q    [q6Weights]int8 // in the codes' order
	sums [q6Subs]int16   // of each sub-block's q
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

func rowsQ6Generic(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) {
	for i := range y {
		var l lanes
		for b := range x {
			l[b%16] = fma32(float32(q6Sum(&w[i*len(x)+b], &x[b])), dw[4*b+i]*dx[b*stride], l[b%16])
		}
		y[i] = l.sum()
	}
}

func inputsQ6Generic(y *[4]float32, w []q6Block, dw []float32, x []q6Input, dx []float32, stride int) {
	for i := range y {
		var l lanes
		for b := range w {
			l[b%16] = fma32(float32(q6Sum(&w[b], &x[i*len(w)+b])), dw[4*b]*dx[b*stride+i], l[b%16])
		}
		y[i] = l.sum()
	}
}

// quantizeQ6 returns d, or NaN (and zeros) for elements of which one is a NaN or an infinity.
func quantizeQ6(in *q6Input, x *[q6Weights]float32) float32 {
	var q [q6Weights]int8
	d := active.quantizeBlock(q[:], x[:])
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
	return d
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

// q6Work is one thread's scratch: four rows of weights.
type q6Work struct {
	blocks []q6Block // [4, blocks]
	d      []float32 // [blocks, 4]
}

// inputsQ6 turns x into j.q6 and j.q6Scale [blocks, n].
func (j *denseJob) inputsQ6() {
	blocks := j.d.cols / q6Weights
	j.q6, j.q6Scale = grow(j.q6, j.n*blocks), grow(j.q6Scale, j.n*blocks)
	for t := range j.n {
		for b := range blocks {
			x := (*[q6Weights]float32)(j.x[(t*blocks+b)*q6Weights:])
			j.q6Scale[b*j.n+t] = quantizeQ6(&j.q6[t*blocks+b], x)
		}
	}
}

// partQ6 unpacks four rows of weights at a time, and they meet all rows of x: four of these at once with a row of weights, the rest one by one
// with all four rows of weights.
func (j *denseJob) partQ6(w *worker, lo, hi int) {
	d, blocks := j.d, j.d.cols/q6Weights
	q := &w.q6
	q.blocks, q.d = grow(q.blocks, 4*blocks), grow(q.d, 4*blocks)
	w.out = grow(w.out, 4)
	y := (*[4]float32)(w.out)
	for ; lo < hi; lo += 4 {
		rows := min(4, hi-lo)
		for r := range rows {
			active.unpackQ6(q.blocks[r*blocks:][:blocks], q.d[r:], d.q6[(lo+r)*blocks*q6Bytes:][:blocks*q6Bytes])
		}
		t := 0
		for ; t+4 <= j.n; t += 4 {
			for r := range rows {
				active.inputsQ6(y, q.blocks[r*blocks:][:blocks], q.d[r:], j.q6[t*blocks:][:4*blocks], j.q6Scale[t:], j.n)
				for i, v := range y {
					j.y[(t+i)*d.rows+lo+r] = v
				}
			}
		}
		for ; t < j.n; t++ {
			active.rowsQ6(y, q.blocks, q.d, j.q6[t*blocks:][:blocks], j.q6Scale[t:], j.n)
			copy(j.y[t*d.rows+lo:][:rows], y[:])
		}
	}
}
