//go:build !purego

package kernel

// ternary16VNNI, ternary4VNNI and ternary1VNNI do kernel.ternary for 16 rows of x, 4 and 1; groups is the panel's number of 64 bytes, not 0.
//
//go:noescape
func ternary16VNNI(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary4VNNI(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary1VNNI(sums *int32, panel *byte, groups int, x *int8)

func ternaryAVX512VNNI(sums []int32, panel []byte, x []int8, stride int) {
	groups := len(panel) / panelBytes
	if groups == 0 {
		clear(sums)
		return
	}
	for ; len(sums) >= 16*panelRows; sums, x = sums[16*panelRows:], x[min(16*stride, len(x)):] {
		ternary16VNNI(&sums[0], &panel[0], groups, &x[:15*stride+groups*panelCols][0], stride)
	}
	for ; len(sums) >= 4*panelRows; sums, x = sums[4*panelRows:], x[min(4*stride, len(x)):] {
		ternary4VNNI(&sums[0], &panel[0], groups, &x[:3*stride+groups*panelCols][0], stride)
	}
	for ; len(sums) > 0; sums, x = sums[panelRows:], x[min(stride, len(x)):] {
		ternary1VNNI(&sums[0], &panel[0], groups, &x[:groups*panelCols][0])
	}
}

// ternary4AVXVNNI and ternary1AVXVNNI do it for 4 rows of x and for 1.
//
//go:noescape
func ternary4AVXVNNI(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary1AVXVNNI(sums *int32, panel *byte, groups int, x *int8)

func ternaryAVXVNNI(sums []int32, panel []byte, x []int8, stride int) {
	groups := len(panel) / panelBytes
	if groups == 0 {
		clear(sums)
		return
	}
	for ; len(sums) >= 4*panelRows; sums, x = sums[4*panelRows:], x[min(4*stride, len(x)):] {
		ternary4AVXVNNI(&sums[0], &panel[0], groups, &x[:3*stride+groups*panelCols][0], stride)
	}
	for ; len(sums) > 0; sums, x = sums[panelRows:], x[min(stride, len(x)):] {
		ternary1AVXVNNI(&sums[0], &panel[0], groups, &x[:groups*panelCols][0])
	}
}

func peakVNNI(turns int)
func peakAVXVNNI(turns int)
