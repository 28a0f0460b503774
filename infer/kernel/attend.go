package kernel

import (
	"math"

	"github.com/x448/float16"
)

// KV are the keys and values of one head, position-major, in pages of equally many positions: position j starts at element
// Offset + j%Page*Stride of page j/Page. Either K and V are set (f32) or K16 and V16 (f16), as the cache holds them.
type KV struct {
	K, V     [][]float32
	K16, V16 [][]uint16
	Offset   int
	Page     int // positions in a page
	Stride   int
}

// ToHalf writes src as f16 (round to nearest even, infinity from 65520 on) for a cache of halves.
func ToHalf(dst []uint16, src []float32) {
	for i, v := range src[:len(dst)] {
		dst[i] = float16.Fromfloat32(v).Bits()
	}
}

// Heads are the query heads that share a head of keys and values.
type Heads struct {
	N, Dim int // how many, and the size of each
	Stride int // from one row to the next in o and q, where a row's heads follow one another
}

// AttendRows is how many rows make good use of a call of Attend: keys and values are read once for all of them.
func (h Heads) AttendRows() int { return max(1, attendQueries/h.N) }

const (
	attendQueries = 16 // queries (a head in a row) that pass over a block of keys together
	attendBlock   = 48 // positions of a block: 24 KiB at 128 elements
)

// AttendScratch is the length of Attend's scratch for up to so many positions.
func AttendScratch(positions, dim int) int {
	return attendQueries*scoresStride(positions) + (2*attendQueries+attendBlock)*dim
}

// scoresStride is from one query's scores to the next's: an odd number of cache lines, so that a block's columns do not fall on each other in
// the cache.
func scoresStride(positions int) int { return (positions+15)/16*16 | 16 }

// Attend computes o = softmax(q·k/sqrt(Dim)) v for rows of query heads; row r sees the positions [0, ends[r]). scratch has at least
// AttendScratch(largest end, Dim) elements. For each query:
//
//	s[j] = (q·k[j]) * f32(1/sqrt(d))
//	e[j] = exp(s[j] - max s), summed in lanes by position
//	o    = Σ_j (e[j]/sum) * v[j], upward
func Attend(o, q []float32, heads Heads, kv KV, ends []int, scratch []float32) {
	if heads.N <= 0 || heads.Dim <= 0 || kv.Stride < heads.Dim || kv.Page <= 0 {
		panic("kernel: Attend: lengths disagree")
	}
	a := attention{Heads: heads, kv: kv, ends: ends}
	for all := len(ends) * heads.N; a.lo < all; a.lo += attendQueries {
		a.run(o, q, min(attendQueries, all-a.lo), scratch)
	}
}

// attention is one turn of Attend, for the queries lo and on of all rows' heads.
type attention struct {
	Heads
	kv   KV
	lo   int
	ends []int // by row

	q, o   []float32 // [queries, Dim]
	scores []float32 // [queries, stride]
	stride int
	block  []float32 // [attendBlock, Dim], where halves become float32
}

// row is the row of query i and end what it sees.
func (a *attention) row(i int) int { return (a.lo + i) / a.N }
func (a *attention) end(i int) int { return a.ends[a.row(i)] }

// at is where query i lies in the caller's o and q.
func (a *attention) at(i int) int { return a.row(i)*a.Stride + (a.lo+i)%a.N*a.Dim }

// run does n queries. All pass together over the positions that all of them see, and then each over its own rest.
func (a *attention) run(o, q []float32, n int, scratch []float32) {
	common, most, d := a.end(0), a.end(0), a.Dim
	for i := range n {
		common, most = min(common, a.end(i)), max(most, a.end(i))
	}
	if common <= 0 {
		panic("kernel: Attend: a row sees nothing")
	}
	take := func(n int) []float32 {
		s := scratch[:n]
		scratch = scratch[n:]
		return s
	}
	a.stride = scoresStride(most)
	a.scores, a.q, a.o, a.block = take(n*a.stride), take(n*d), take(n*d), take(attendBlock*d)
	for i := range n {
		copy(a.q[i*d:][:d], q[a.at(i):])
	}
	a.products(common)
	scale := float32(1 / math.Sqrt(float64(d)))
	for i := range n {
		scores := a.scores[i*a.stride:][:a.end(i)]
		// The largest product is the largest score: rounding keeps order.
		sum := softmaxTerms(scores, scale, active.top(scores)*scale)
		active.divide(scores, sum)
	}
	clear(a.o)
	a.mixtures(common)
	for i := range n {
		copy(o[a.at(i):][:d], a.o[i*d:])
	}
}

// piece returns how many positions from j on, before end, lie together, and where in which page.
func (a *attention) piece(j, end int) (n, page, at int) {
	return min(attendBlock, a.kv.Page-j%a.kv.Page, end-j), j / a.kv.Page, a.kv.Offset + j%a.kv.Page*a.kv.Stride
}

// floats returns n positions of keys or values as float32, and their stride.
func (a *attention) floats(full [][]float32, half [][]uint16, n, page, at int) (rows []float32, stride int) {
	if half == nil {
		return full[page][at:], a.kv.Stride
	}
	if a.kv.Stride == a.Dim {
		active.decodeF16(a.block[:n*a.Dim], half[page][at:][:n*a.Dim])
		return a.block, a.Dim
	}
	for i := range n {
		active.decodeF16(a.block[i*a.Dim:][:a.Dim], half[page][at+i*a.kv.Stride:][:a.Dim])
	}
	return a.block, a.Dim
}

// products fills scores with q·k.
func (a *attention) products(common int) {
	for j, n := 0, 0; j < common; j += n {
		var page, at int
		n, page, at = a.piece(j, common)
		k, stride := a.floats(a.kv.K, a.kv.K16, n, page, at)
		active.dots(a.scores[j:], a.stride, a.q, k, stride, n, a.Dim)
	}
	for i := range len(a.q) / a.Dim {
		q := a.q[i*a.Dim:][:a.Dim]
		for j, n := common, 0; j < a.end(i); j += n {
			var page, at int
			n, page, at = a.piece(j, a.end(i))
			if s := a.scores[i*a.stride+j:][:n]; a.kv.K16 != nil {
				active.dotF16(s, q, a.kv.K16[page][at:], a.kv.Stride)
			} else {
				active.dotF32(s, q, a.kv.K[page][at:], a.kv.Stride)
			}
		}
	}
}

// mixtures adds p·v to o.
func (a *attention) mixtures(common int) {
	for j, n := 0, 0; j < common; j += n {
		var page, at int
		n, page, at = a.piece(j, common)
		v, stride := a.floats(a.kv.V, a.kv.V16, n, page, at)
		active.mixes(a.o, a.scores[j:], a.stride, v, stride, n, a.Dim)
	}
	for i := range len(a.o) / a.Dim {
		o := a.o[i*a.Dim:][:a.Dim]
		for j, n := common, 0; j < a.end(i); j += n {
			var page, at int
			n, page, at = a.piece(j, a.end(i))
			if p := a.scores[i*a.stride+j:][:n]; a.kv.V16 != nil {
				active.mixF16(o, p, a.kv.V16[page][at:], a.kv.Stride)
			} else {
				active.mixF32(o, p, a.kv.V[page][at:], a.kv.Stride)
			}
		}
	}
}
