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

//go:noescape
func scale8(y, x, w *float32, n int, r float32)

func scaleAVX2(y, x, w []float32, r float32) {
	n := len(x) &^ 7
	if n > 0 {
		_, _ = y[:n], w[:n]
		scale8(&y[0], &x[0], &w[0], n, r)
	}
	scaleGeneric(y[n:], x[n:], w[n:], r)
}

//go:noescape
func add8(x, y *float32, n int)

func addAVX2(x, y []float32) {
	n := len(x) &^ 7
	if n > 0 {
		_ = y[:n]
		add8(&x[0], &y[0], n)
	}
	addGeneric(x[n:], y[n:])
}

//go:noescape
func gate8(x, e, u *float32, n int)

func gateAVX2(g, e, u []float32) {
	n := len(g) &^ 7
	if n > 0 {
		_, _ = e[:n], u[:n]
		gate8(&g[0], &e[0], &u[0], n)
	}
	gateGeneric(g[n:], e[n:], u[n:])
}

//go:noescape
func relu8(x, u *float32, n int)

func reluAVX2(g, u []float32) {
	n := len(g) &^ 7
	if n > 0 {
		_ = u[:n]
		relu8(&g[0], &u[0], n)
	}
	reluGeneric(g[n:], u[n:])
}
