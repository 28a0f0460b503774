//go:build !purego

package kernel

//go:noescape
func divide16NEON(x *float32, n int, by float32)

func divideNEON(x []float32, by float32) {
	n := len(x) &^ 15
	if n > 0 {
		divide16NEON(&x[0], n, by)
	}
	divideGeneric(x[n:], by)
}
