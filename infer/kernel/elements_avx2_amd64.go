//go:build !purego

package kernel

//go:noescape
func top8(x *float32, n int) float32

func topAVX2(x []float32) float32 {
	n := len(x) &^ 7
	top := topGeneric(x[n:])
	if n > 0 {
		if t := top8(&x[0], n); t > top {
			return t
		}
	}
	return top
}

//go:noescape
func divide8(x *float32, n int, by float32)

func divideAVX2(x []float32, by float32) {
	n := len(x) &^ 7
	if n > 0 {
		divide8(&x[0], n, by)
	}
	divideGeneric(x[n:], by)
}
