//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"

// Loops over numbers alone. Lengths are multiples of 16, not 0.

// func divide16NEON(x *float32, n int, by float32)
//	for i := range x { x[i] /= by }
TEXT ·divide16NEON(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	MOVW by+16(FP), R2
	VDUP R2, V4.S4

loop:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	FDIV(4, 0, 0)
	FDIV(4, 1, 1)
	FDIV(4, 2, 2)
	FDIV(4, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R1
	BNE loop
	RET
