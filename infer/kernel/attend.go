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

// Attend computes one query row of one head: o [d] = softmax(q·k/sqrt(d)) v over positions [0, n). scores [n] is scratch.
//
//	s[j] = (q·k[j]) * f32(1/sqrt(d))
//	e[j] = exp(s[j] - max s), summed in lanes by position
//	o    = Σ_j (e[j]/sum) * v[j], upward
func Attend(o, q []float32, kv KV, n int, scores []float32) {
	d, stride := len(q), kv.Stride
	if len(o) != d || n <= 0 || d == 0 || stride < d || kv.Page <= 0 {
		panic("kernel: Attend: lengths disagree")
	}
	scores = scores[:n]
	most := max(1, mulAddsPerCall/d) // positions in one call
	for j, step := 0, 0; j < n; j += step {
		page, at := j/kv.Page, kv.Offset+j%kv.Page*stride
		step = min(most, kv.Page-j%kv.Page, n-j)
		if s := scores[j:][:step]; kv.K16 != nil {
			active.dotF16(s, q, kv.K16[page][at:], stride)
		} else {
			active.dotF32(s, q, kv.K[page][at:], stride)
		}
	}
	top := float32(math.Inf(-1)) // the largest product is the largest score: rounding keeps order
	for _, s := range scores {
		if s > top {
			top = s
		}
	}
	scale := float32(1 / math.Sqrt(float64(d)))
	sum := softmaxTerms(scores, scale, top*scale)
	for j := range scores {
		scores[j] /= sum
	}
	clear(o)
	for j, step := 0, 0; j < n; j += step {
		page, at := j/kv.Page, kv.Offset+j%kv.Page*stride
		step = min(most, kv.Page-j%kv.Page, n-j)
		if p := scores[j:][:step]; kv.V16 != nil {
			active.mixF16(o, p, kv.V16[page][at:], stride)
		} else {
			active.mixF32(o, p, kv.V[page][at:], stride)
		}
	}
}
