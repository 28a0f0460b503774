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

//go:noescape
func scale16NEON(y, x, w *float32, n int, r float32)

func scaleNEON(y, x, w []float32, r float32) {
	n := len(x) &^ 15
	if n > 0 {
		_, _ = y[:n], w[:n]
		scale16NEON(&y[0], &x[0], &w[0], n, r)
	}
	scaleGeneric(y[n:], x[n:], w[n:], r)
}

//go:noescape
func add16NEON(x, y *float32, n int)

func addNEON(x, y []float32) {
	n := len(x) &^ 15
	if n > 0 {
		_ = y[:n]
		add16NEON(&x[0], &y[0], n)
	}
	addGeneric(x[n:], y[n:])
}

//go:noescape
func gate16NEON(x, e, u *float32, n int)

func gateNEON(g, e, u []float32) {
	n := len(g) &^ 15
	if n > 0 {
		_, _ = e[:n], u[:n]
		gate16NEON(&g[0], &e[0], &u[0], n)
	}
	gateGeneric(g[n:], e[n:], u[n:])
}

//go:noescape
func relu16NEON(x, u *float32, n int)

func reluNEON(g, u []float32) {
	n := len(g) &^ 15
	if n > 0 {
		_ = u[:n]
		relu16NEON(&g[0], &u[0], n)
	}
	reluGeneric(g[n:], u[n:])
}

//go:noescape
func top16NEON(x *float32, n int) float32

func topNEON(x []float32) float32 {
	n := len(x) &^ 15
	top := topGeneric(x[n:])
	if n > 0 {
		if t := top16NEON(&x[0], n); t > top {
			return t
		}
	}
	return top
}
