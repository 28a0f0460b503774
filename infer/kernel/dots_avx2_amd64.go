//go:build !purego

package kernel

//go:noescape
func dotTiles(y *float32, yStride int, x *float32, xStride int, w *float32, wStride, tiles, n int)

//go:noescape
func laneTiles(l *lanes, x *float32, xStride int, w *float32, wStride, tiles, n int)

//go:noescape
func tileSums(y *float32, yStride int, l *lanes, tiles int)

// Long rows go in pieces of dotsPiece elements, so that dotsTiles times three pieces of w stay in the first cache while dotsX pieces of x,
// which stay in the second, pass by.
const (
	dotsPiece = 512
	dotsTiles = 4
	dotsX     = 32
)

func dotsAVX2(y []float32, yStride int, x, w []float32, wStride, rows, n int) {
	if n%16 != 0 || rows < 3 || len(x) < 2*n {
		for i := range len(x) / n {
			dotF32AVX2(y[i*yStride:][:rows], x[i*n:][:n], w, wStride)
		}
		return
	}
	_, _ = w[(rows-1)*wStride+n-1], y[(len(x)/n-1)*yStride+rows-1]
	for lo := 0; lo < rows; {
		tiles := min(dotsTiles, (rows-lo)/3)
		if tiles == 0 { // the last one or two rows: a tile that begins earlier gives the same sums once more
			tiles, lo = 1, rows-3
		}
		if n <= dotsPiece {
			tiles = max(1, (rows-lo)/3)
			for i := 0; i < len(x)/n; i += 2 {
				i = min(i, len(x)/n-2)
				dotTiles(&y[i*yStride+lo], yStride, &x[i*n], n, &w[lo*wStride], wStride, tiles, n)
			}
		} else {
			for i := 0; i < len(x)/n; i += dotsX {
				longDots(y[i*yStride+lo:], yStride, x[i*n:min((i+dotsX)*n, len(x))], w[lo*wStride:], wStride, tiles, n)
			}
		}
		lo += 3 * tiles
	}
}

// longDots does at most dotsTiles tiles for at most dotsX rows of x.
func longDots(y []float32, yStride int, x, w []float32, wStride, tiles, n int) {
	var l [dotsX / 2 * dotsTiles * 6]lanes
	rows := len(x) / n
	if rows == 1 {
		dotF32AVX2(y[:3*tiles], x, w, wStride)
		return
	}
	for k := 0; k < n; k += dotsPiece {
		for i := 0; i < rows; i += 2 {
			at := min(i, rows-2)
			laneTiles(&l[i/2*tiles*6], &x[at*n+k], n, &w[k], wStride, tiles, min(dotsPiece, n-k))
		}
	}
	for i := 0; i < rows; i += 2 {
		tileSums(&y[min(i, rows-2)*yStride], yStride, &l[i/2*tiles*6], tiles)
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
