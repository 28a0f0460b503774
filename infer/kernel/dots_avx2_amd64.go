//go:build !purego

package kernel

// part is what is left of 16 lanes of two sums, for two rows of x and one of w, after two steps of the tree.
type part [2][4]float32

//go:noescape
func dotTiles(parts *part, x *float32, xStride int, w *float32, wStride, tiles, n int)

//go:noescape
func laneTiles(l *lanes, x *float32, xStride int, w *float32, wStride, tiles, n int)

//go:noescape
func laneParts(parts *part, l *lanes, tiles int)

//go:noescape
func partSums(y *float32, yStride int, parts *part, n int)

// Rows of w go dotsW at a time, a multiple of 3. Long rows go in pieces of dotsPiece elements, so that longW pieces of w stay in the first
// cache while longX pieces of x, which stay in the second, pass by.
const (
	dotsW     = 48
	dotsPiece = 512
	longW     = 12
	longX     = 32
)

func dotsAVX2(y []float32, yStride int, x, w []float32, wStride, rows, n int) {
	if n%16 != 0 || rows < 4 || len(x) < 2*n {
		for i := range len(x) / n {
			dotF32AVX2(y[i*yStride:][:rows], x[i*n:][:n], w, wStride)
		}
		return
	}
	_, _ = w[(rows-1)*wStride+n-1], y[(len(x)/n-1)*yStride+rows-1]
	most := dotsW
	if n > dotsPiece {
		most = longW
	}
	for lo := 0; lo < rows; lo += most {
		count := min(most, rows-lo)
		if count < 4 { // rows that begin earlier give the same sums once more
			count, lo = 4, rows-4
		}
		for i := 0; i < len(x)/n; i += longX {
			y, x, w := y[i*yStride+lo:], x[i*n:min((i+longX)*n, len(x))], w[lo*wStride:]
			switch {
			case len(x) == n:
				dotF32AVX2(y[:count], x, w, wStride)
			case n > dotsPiece:
				longDots(y, yStride, x, w, wStride, count, n)
			default:
				shortDots(y, yStride, x, w, wStride, count, n)
			}
		}
	}
}

// shortDots does at least 4 and at most dotsW rows of w for at least two rows of x. A last tile with rows of w left over, or a last pair of rows
// of x, begins earlier.
func shortDots(y []float32, yStride int, x, w []float32, wStride, rows, n int) {
	var parts [dotsW]part
	for i := 0; i < len(x)/n; i += 2 {
		i = min(i, len(x)/n-2)
		dotTiles(&parts[0], &x[i*n], n, &w[0], wStride, rows/3, n)
		if rows%3 > 0 {
			dotTiles(&parts[rows-3], &x[i*n], n, &w[(rows-3)*wStride], wStride, 1, n)
		}
		partSums(&y[i*yStride], yStride, &parts[0], rows)
	}
}

// longDots does the same for at most longW rows of w and longX of x, piece after piece.
func longDots(y []float32, yStride int, x, w []float32, wStride, rows, n int) {
	var l [longX / 2 * longW / 3 * 6]lanes
	var parts [longW]part
	xs, tiles := len(x)/n, (rows+2)/3
	for k := 0; k < n; k += dotsPiece {
		piece := min(dotsPiece, n-k)
		for i := 0; i < xs; i += 2 {
			x, l := &x[min(i, xs-2)*n+k], l[i/2*tiles*6:]
			laneTiles(&l[0], x, n, &w[k], wStride, rows/3, piece)
			if rows%3 > 0 {
				laneTiles(&l[(tiles-1)*6], x, n, &w[(rows-3)*wStride+k], wStride, 1, piece)
			}
		}
	}
	for i := 0; i < xs; i += 2 {
		l := l[i/2*tiles*6:]
		laneParts(&parts[0], &l[0], rows/3)
		if rows%3 > 0 {
			laneParts(&parts[rows-3], &l[(tiles-1)*6], 1)
		}
		partSums(&y[min(i, xs-2)*yStride], yStride, &parts[0], rows)
	}
}

//go:noescape
func mixTiles(o *float32, oStride int, p *float32, pStride int, v *float32, stride, rows, n int)

func mixesAVX2(o, p []float32, pStride int, v []float32, stride, rows, n int) {
	if rows == 0 {
		return
	}
	for n%16 == 0 && len(o) >= 4*n {
		_, _ = p[3*pStride+rows-1], v[(rows-1)*stride+n-1]
		mixTiles(&o[0], n, &p[0], pStride, &v[0], stride, rows, n)
		o, p = o[4*n:], p[min(4*pStride, len(p)):]
	}
	for ; len(o) > 0; o, p = o[n:], p[min(pStride, len(p)):] {
		mixF32AVX2(o[:n], p[:rows], v, stride)
	}
}
