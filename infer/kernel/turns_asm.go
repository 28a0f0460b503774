//go:build !purego && (amd64 || arm64)

package kernel

// ternaryTurns does kernel.ternary by assembly that takes many rows of x at a time, and one; groups is the panel's number of 64 bytes, not 0.
func ternaryTurns(sums []int32, panel []byte, x []int8, stride, many int,
	ofMany func(sums *int32, panel *byte, groups int, x *int8, stride int), ofOne func(sums *int32, panel *byte, groups int, x *int8)) {
	groups := len(panel) / panelBytes
	if groups == 0 {
		clear(sums)
		return
	}
	for ; len(sums) >= many*panelRows; sums, x = sums[many*panelRows:], x[min(many*stride, len(x)):] {
		ofMany(&sums[0], &panel[0], groups, &x[:(many-1)*stride+groups*panelCols][0], stride)
	}
	for ; len(sums) > 0; sums, x = sums[panelRows:], x[min(stride, len(x)):] {
		ofOne(&sums[0], &panel[0], groups, &x[:groups*panelCols][0])
	}
}
