package kernel

import "math"

// RMSNorm computes y = (x*r)*w with r = 1/sqrt(Σx²/n + eps), for each row of n = len(w). y may be x. arXiv:1910.07467.
func RMSNorm(y, x, w []float32, eps float32) {
	n := len(w)
	if len(x) != len(y) || n == 0 || len(x)%n != 0 {
		panic("kernel: RMSNorm: lengths disagree")
	}
	for ; len(x) > 0; x, y = x[n:], y[n:] {
		r := 1 / sqrt(active.squares(x[:n])/float32(n)+eps)
		active.scale(y[:n], x[:n], w, r)
	}
}

// sqrt is exact to the last bit: rounding a float64 root to float32 is the correctly rounded float32 root.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// SiLUMul computes g = silu(g)*u with silu(x) = x/(1+exp(-x)).
func SiLUMul(g, u []float32) {
	w := expWorks.Get().(*expWork)
	defer expWorks.Put(w)
	for len(g) > 0 {
		n := min(len(g), len(w.terms))
		active.exp(&w.lanes, w.terms[:n], g[:n], -1, 0)
		active.gate(g[:n], w.terms[:n], u[:n])
		g, u = g[n:], u[n:]
	}
}

// ReLU2Mul computes g = (max(g,0)*max(g,0))*u. NaN stays NaN.
func ReLU2Mul(g, u []float32) {
	active.relu(g, u[:len(g)])
}

// Add computes x += y.
func Add(x, y []float32) {
	active.add(x, y[:len(x)])
}
