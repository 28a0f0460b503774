package kernel

import "math/big"

// powBits is the precision of the steps; 60 bits more than a float64 has leave no doubt about the rounding to float32.
const powBits = 113

// pow returns base^exp rounded to nearest, for base > 0. It runs dim/2 times a model and has to give the same on every platform, which
// math.Pow does not promise (its Exp is assembly on some), so it is exp(exp * ln base) in package big: whole numbers only.
func pow(base, exp float32) float32 {
	x := mul(bigLn(float64(base)), num(float64(exp)))
	// e^x = (e^(x/2^16))^(2^16); twelve terms of the series are plenty for the inner one.
	x.SetMantExp(x, -16)
	sum, term := num(1), num(1)
	for i := 1; i <= 12; i++ {
		term = new(big.Float).Quo(mul(term, x), num(float64(i)))
		sum.Add(sum, term)
	}
	for range 16 {
		sum = mul(sum, sum)
	}
	f, _ := sum.Float32()
	return f
}

// Ln returns the natural logarithm of x > 0, for the same reason.
func Ln(x float64) float64 {
	f, _ := bigLn(x).Float64()
	return f
}

// bigLn takes x apart into m * 2^k: ln x = ln m + k ln 2.
func bigLn(x float64) *big.Float {
	m := num(x)
	k := m.MantExp(m)
	ln := mantissaLn(m)
	return ln.Sub(ln, mul(num(float64(k)), mantissaLn(num(0.5)))) // ln 2 = -ln 1/2
}

// mantissaLn returns ln m for m in [1/2, 1): 2 atanh((m-1)/(m+1)), whose series has ratio at most 1/9.
func mantissaLn(m *big.Float) *big.Float {
	t := new(big.Float).Quo(new(big.Float).Sub(m, num(1)), new(big.Float).Add(m, num(1)))
	sum, power := num(0), t
	for i := 1; i < 80; i += 2 {
		sum.Add(sum, new(big.Float).Quo(power, num(float64(i))))
		power = mul(power, mul(t, t))
	}
	return sum.Add(sum, sum)
}

func num(v float64) *big.Float       { return new(big.Float).SetPrec(powBits).SetFloat64(v) }
func mul(a, b *big.Float) *big.Float { return new(big.Float).Mul(a, b) }
