package kernel

import (
	"math"

	"github.com/x448/float16"
)

func ternaryGeneric(sums []int32, panel []byte, x []int8, stride int) {
	cols := len(panel) / panelBytes * panelCols
	for t := range len(sums) / panelRows {
		sum := (*[panelRows]int32)(sums[t*panelRows:])
		*sum = [panelRows]int32{}
		row := x[t*stride:][:cols]
		for g := range cols / panelCols {
			block := (*[panelBytes]byte)(panel[g*panelBytes:])
			xs := (*[panelCols]int8)(row[g*panelCols:])
			for r := range sum {
				s := int32(0)
				for c := range 4 {
					b := int32(block[4*r+c])
					s += b&3*int32(xs[c]) + b>>2&3*int32(xs[4+c]) + b>>4&3*int32(xs[8+c]) + b>>6*int32(xs[12+c])
				}
				sum[r] += s
			}
		}
	}
}

func finishGeneric(y []float32, stride, rows int, sums, shift []int32, scale float32, a []float32) {
	for t, by := range a {
		for r, s := range sums[t*panelRows:][:rows] {
			y[t*stride+r] = float32(s-shift[t]) * scale / by
		}
	}
}

func magnitudeGeneric(x []float32) (m uint32) {
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^(1<<31))
	}
	return m
}

func roundGeneric(q []int8, x []float32, a float32) (sum int32) {
	for i, v := range x {
		n := int32(float32(v*a) + roundMagic - roundMagic)
		n = min(max(n, -128), 127)
		q[i] = int8(n)
		sum += n
	}
	return sum
}

func dotF32Generic(y, x, w []float32, stride int) {
	for i := range y {
		var l lanes
		for j, v := range w[i*stride:][:len(x)] {
			l[j%16] = fma32(x[j], v, l[j%16])
		}
		y[i] = l.sum()
	}
}

func dotF16Generic(y, x []float32, w []uint16, stride int) {
	for i := range y {
		var l lanes
		for j, v := range w[i*stride:][:len(x)] {
			l[j%16] = fma32(x[j], fromF16(v), l[j%16])
		}
		y[i] = l.sum()
	}
}

func dotBF16Generic(y, x []float32, w []uint16, stride int) {
	for i := range y {
		var l lanes
		for j, v := range w[i*stride:][:len(x)] {
			l[j%16] = fma32(x[j], fromBF16(v), l[j%16])
		}
		y[i] = l.sum()
	}
}

func dotsGeneric(y []float32, yStride int, x, w []float32, wStride, rows, n int) {
	for i := range len(x) / n {
		dotF32Generic(y[i*yStride:][:rows], x[i*n:][:n], w, wStride)
	}
}

func squaresGeneric(x []float32) float32 {
	var y [1]float32
	dotF32Generic(y[:], x, x, 0)
	return y[0]
}

func decodeF16Generic(dst []float32, w []uint16) {
	for i, v := range w {
		dst[i] = fromF16(v)
	}
}

func decodeBF16Generic(dst []float32, w []uint16) {
	for i, v := range w {
		dst[i] = fromBF16(v)
	}
}

func fromF16(v uint16) float32  { return float16.Frombits(v).Float32() }
func fromBF16(v uint16) float32 { return math.Float32frombits(uint32(v) << 16) }

func mixF32Generic(o, p, v []float32, stride int) {
	for j, pj := range p {
		for i, vi := range v[j*stride:][:len(o)] {
			o[i] = fma32(pj, vi, o[i])
		}
	}
}

func mixF16Generic(o, p []float32, v []uint16, stride int) {
	for j, pj := range p {
		for i, vi := range v[j*stride:][:len(o)] {
			o[i] = fma32(pj, fromF16(vi), o[i])
		}
	}
}

func mixesGeneric(o, p []float32, pStride int, v []float32, stride, rows, n int) {
	for i := range len(o) / n {
		mixF32Generic(o[i*n:][:n], p[i*pStride:][:rows], v, stride)
	}
}

func topGeneric(x []float32) float32 {
	top := float32(math.Inf(-1))
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

func divideGeneric(x []float32, by float32) {
	for i := range x {
		x[i] /= by
	}
}

func scaleGeneric(y, x, w []float32, r float32) {
	for i, v := range x {
		y[i] = v * r * w[i]
	}
}

func addGeneric(x, y []float32) {
	for i := range x {
		x[i] += y[i]
	}
}

func gateGeneric(g, e, u []float32) {
	for i := range g {
		g[i] = g[i] / (1 + e[i]) * u[i]
	}
}

func reluGeneric(g, u []float32) {
	for i := range g {
		r := max(g[i], 0)
		g[i] = r * r * u[i]
	}
}

func expGeneric(l *lanes, e, x []float32, scale, max float32) {
	for i, v := range x {
		e[i] = Exp(float32(v*scale) - max)
		l[i%16] += e[i]
	}
}
