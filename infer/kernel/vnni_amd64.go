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
	sixteens := len(sums) / panelRows &^ 15
	ternaryTurns(sums[:sixteens*panelRows], panel, x, stride, 16, ternary16VNNI, ternary1VNNI)
	ternaryTurns(sums[sixteens*panelRows:], panel, x[min(sixteens*stride, len(x)):], stride, 4, ternary4VNNI, ternary1VNNI)
}

// ternary4AVXVNNI and ternary1AVXVNNI do it for 4 rows of x and for 1.
//
//go:noescape
func ternary4AVXVNNI(sums *int32, panel *byte, groups int, x *int8, stride int)

//go:noescape
func ternary1AVXVNNI(sums *int32, panel *byte, groups int, x *int8)

func ternaryAVXVNNI(sums []int32, panel []byte, x []int8, stride int) {
	ternaryTurns(sums, panel, x, stride, 4, ternary4AVXVNNI, ternary1AVXVNNI)
}

func peakVNNI(turns int)
func peakAVXVNNI(turns int)
