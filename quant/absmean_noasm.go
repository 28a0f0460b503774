//go:build purego || !amd64

package quant

import "github.com/wrinklefree/wf/gguf"

func absSum(lanes *[8]float64, t gguf.Type, raw []byte) { absSumGeneric(lanes, t, raw) }
