//go:build purego || !amd64

package quant

func q6Fit(fits *q6Fits, x *[16]float32, m float32) { q6FitGeneric(fits, x, m) }
