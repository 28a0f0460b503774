//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"

// EXP4 computes 4 times Exp(x*scale - max) into V3 by the steps of Exp, nothing fused, and adds them to V_LANES.
#define EXP4(LANES) \
	VLD1.P 16(R2), [V0.S4]; \
	FMUL(14, 0, 0); \
	FSUB(15, 0, 0); \
	FMIN(16, 0, 0); \
	FMAX(17, 0, 0); \
	FMUL(18, 0, 1); \
	FADD(19, 1, 1); \
	FSUB(19, 1, 2); \
	FMUL(20, 2, 3); \
	FSUB(3, 0, 0); \
	FMUL(21, 2, 3); \
	FSUB(3, 0, 0); \
	FMUL(22, 0, 3); \
	FADD(23, 3, 3); \
	FMUL(0, 3, 3); \
	FADD(24, 3, 3); \
	FMUL(0, 3, 3); \
	FADD(25, 3, 3); \
	FMUL(0, 3, 3); \
	FADD(26, 3, 3); \
	FMUL(0, 3, 3); \
	FADD(27, 3, 3); \
	FMUL(0, 0, 2); \
	FMUL(2, 3, 3); \
	FADD(0, 3, 3); \
	FADD(28, 3, 3); \
	VSUB V19.S4, V1.S4, V1.S4; \
	SSHR1(1, 2); \
	VSUB V2.S4, V1.S4, V1.S4; \
	VSHL $23, V2.S4, V2.S4; \
	VSHL $23, V1.S4, V1.S4; \
	VADD V28.S4, V2.S4, V2.S4; \
	VADD V28.S4, V1.S4, V1.S4; \
	FMUL(2, 3, 3); \
	FMUL(1, 3, 3); \
	VST1.P [V3.S4], 16(R1); \
	FADD(3, LANES, LANES)

// func exp16NEON(l *lanes, e, x *float32, n int, scale, max float32, c *[13]float32)
//	for i, v := range x { e[i] = Exp(v*scale - max); l[i%16] += e[i] }
//	R0 l, R1 e, R2 x, R3 n, R4 constants
//	V14 scale, V15 max, V16-V28 constants in the order of expConstants, V4-V7 lanes
TEXT ·exp16NEON(SB), NOSPLIT, $0-48
	MOVD l+0(FP), R0
	MOVD e+8(FP), R1
	MOVD x+16(FP), R2
	MOVD n+24(FP), R3
	MOVW scale+32(FP), R4
	VDUP R4, V14.S4
	MOVW max+36(FP), R4
	VDUP R4, V15.S4
	MOVD c+40(FP), R4
	VLD1R.P 4(R4), [V16.S4]
	VLD1R.P 4(R4), [V17.S4]
	VLD1R.P 4(R4), [V18.S4]
	VLD1R.P 4(R4), [V19.S4]
	VLD1R.P 4(R4), [V20.S4]
	VLD1R.P 4(R4), [V21.S4]
	VLD1R.P 4(R4), [V22.S4]
	VLD1R.P 4(R4), [V23.S4]
	VLD1R.P 4(R4), [V24.S4]
	VLD1R.P 4(R4), [V25.S4]
	VLD1R.P 4(R4), [V26.S4]
	VLD1R.P 4(R4), [V27.S4]
	VLD1R.P 4(R4), [V28.S4]
	VLD1 (R0), [V4.S4, V5.S4, V6.S4, V7.S4]

loop:
	EXP4(4)
	EXP4(5)
	EXP4(6)
	EXP4(7)
	SUBS $16, R3
	BNE loop

	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R0)
	RET
