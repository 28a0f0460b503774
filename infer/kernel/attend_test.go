package kernel

import (
	"fmt"
	"testing"
)

// attend is Attend for one row of one head.
func attend(o, q []float32, kv KV, n int) {
	Attend(o, q, Heads{N: 1, Dim: len(q)}, kv, []int{n}, make([]float32, AttendScratch(n, len(q))))
}

// TestAttendTogether: a query gets the same bits alone as with the other heads and rows, whatever each of them sees, on every kernel.
func TestAttendTogether(t *testing.T) {
	rng := newRand(t)
	defer func(k kernel) { active = k }(active)
	for _, c := range []struct{ heads, rows, dim, stride, page int }{
		{4, 8, 128, 128, 32}, {4, 1, 128, 128, 32}, {1, 5, 64, 70, 100}, {3, 7, 32, 32, 7}, {5, 3, 20, 20, 32}, {20, 2, 16, 16, 64}, {2, 1, 48, 48, 1},
	} {
		ends, most := make([]int, c.rows), 0
		for i := range ends {
			ends[i] = 1 + rng.IntN(150)
			most = max(most, ends[i])
		}
		if rng.IntN(2) == 0 {
			ends = filled(c.rows, most)
		}
		full, half := KV{Offset: 3, Page: c.page, Stride: c.stride}, KV{Offset: 3, Page: c.page, Stride: c.stride}
		for j := 0; j < most; j += c.page {
			size := full.Offset + (min(c.page, most-j)-1)*c.stride + c.dim
			full.K, full.V = append(full.K, guarded(t, floats(rng, size))), append(full.V, guarded(t, floats(rng, size)))
			half.K16, half.V16 = append(half.K16, guarded(t, halves(rng, size))), append(half.V16, guarded(t, halves(rng, size)))
		}
		heads := Heads{N: c.heads, Dim: c.dim, Stride: c.heads*c.dim + 5}
		q := floats(rng, (c.rows-1)*heads.Stride+c.heads*c.dim)
		for _, kv := range []KV{full, half} {
			active = generic
			want := make([]float32, len(q))
			for r := range c.rows {
				for h := range c.heads {
					at := r*heads.Stride + h*c.dim
					attend(want[at:][:c.dim], q[at:][:c.dim], kv, ends[r])
				}
			}
			eachKernel(t, func(t *testing.T, k kernel) {
				active = k
				got := guarded(t, make([]float32, len(q)))
				Attend(got, guarded(t, q), heads, kv, ends, guarded(t, make([]float32, AttendScratch(most, c.dim))))
				requireSame(t, fmt.Sprint(c), got, want)
			})
		}
	}
}

func TestDotsAndMixes(t *testing.T) {
	rng := newRand(t)
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, n := range []int{1, 16, 20, 64, 512, 528, 1100, 1536} {
			for range 3 {
				xs, rows := 1+rng.IntN(40), rng.IntN(30)
				stride, yStride := n+rng.IntN(3), rows+rng.IntN(3)
				x, w := guarded(t, floats(rng, xs*n)), guarded(t, floats(rng, max(0, (rows-1)*stride+n)))
				got := guarded(t, make([]float32, (xs-1)*yStride+rows))
				want := make([]float32, len(got))
				k.dots(got, yStride, x, w, stride, rows, n)
				dotsGeneric(want, yStride, x, w, stride, rows, n)
				requireSame(t, fmt.Sprint("dots ", xs, rows, n), got, want)

				p, start := guarded(t, floats(rng, (xs-1)*yStride+rows)), floats(rng, xs*n)
				got, want = guarded(t, start), append(want[:0], start...)
				k.mixes(got, p, yStride, w, stride, rows, n)
				mixesGeneric(want, p, yStride, w, stride, rows, n)
				requireSame(t, fmt.Sprint("mixes ", xs, rows, n), got, want)
			}
		}
	})
}
