//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"

// Loops over numbers alone. Lengths are multiples of 16, not 0.

// RELU squares V_X where it is positive; V8 holds zeros. FMAX keeps NaN.
#define RELU(X) \
	FMAX(8, X, X); \
	FMUL(X, X, X)

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

// func scale16NEON(y, x, w *float32, n int, r float32)
//	for i, v := range x { y[i] = v * r * w[i] }
TEXT ·scale16NEON(SB), NOSPLIT, $0-36
	MOVD y+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R2
	MOVD n+24(FP), R3
	MOVW r+32(FP), R4
	VDUP R4, V8.S4

loop:
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	FMUL(8, 0, 0)
	FMUL(8, 1, 1)
	FMUL(8, 2, 2)
	FMUL(8, 3, 3)
	FMUL(4, 0, 0)
	FMUL(5, 1, 1)
	FMUL(6, 2, 2)
	FMUL(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R3
	BNE loop
	RET

// func add16NEON(x, y *float32, n int)
//	for i, v := range y { x[i] += v }
TEXT ·add16NEON(SB), NOSPLIT, $0-24
	MOVD x+0(FP), R0
	MOVD y+8(FP), R1
	MOVD n+16(FP), R2

loop:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	FADD(4, 0, 0)
	FADD(5, 1, 1)
	FADD(6, 2, 2)
	FADD(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R2
	BNE loop
	RET

// func gate16NEON(x, e, u *float32, n int)
//	for i, v := range u { x[i] = x[i] / (1 + e[i]) * v }
TEXT ·gate16NEON(SB), NOSPLIT, $0-32
	MOVD x+0(FP), R0
	MOVD e+8(FP), R1
	MOVD u+16(FP), R2
	MOVD n+24(FP), R3
	FMOVS $1.0, F8
	VDUP V8.S[0], V8.S4

loop:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	FADD(4, 8, 4)
	FADD(5, 8, 5)
	FADD(6, 8, 6)
	FADD(7, 8, 7)
	FDIV(4, 0, 0)
	FDIV(5, 1, 1)
	FDIV(6, 2, 2)
	FDIV(7, 3, 3)
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	FMUL(4, 0, 0)
	FMUL(5, 1, 1)
	FMUL(6, 2, 2)
	FMUL(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R3
	BNE loop
	RET

// func relu16NEON(x, u *float32, n int)
//	for i, v := range u { r := max(x[i], 0); x[i] = r * r * v }
TEXT ·relu16NEON(SB), NOSPLIT, $0-24
	MOVD x+0(FP), R0
	MOVD u+8(FP), R1
	MOVD n+16(FP), R2
	VEOR V8.B16, V8.B16, V8.B16

loop:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	RELU(0)
	RELU(1)
	RELU(2)
	RELU(3)
	FMUL(4, 0, 0)
	FMUL(5, 1, 1)
	FMUL(6, 2, 2)
	FMUL(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R2
	BNE loop
	RET

// func top16NEON(x *float32, n int) float32
//	for _, v := range x { if v > top { top = v } } // FMAXNM passes over NaN
TEXT ·top16NEON(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	MOVW $0xFF800000, R2 // -Inf
	VDUP R2, V4.S4
	VDUP R2, V5.S4

loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	FMAXNM(0, 4, 4)
	FMAXNM(1, 5, 5)
	FMAXNM(2, 4, 4)
	FMAXNM(3, 5, 5)
	SUBS $16, R1
	BNE loop

	FMAXNM(5, 4, 4)
	VEXT $8, V4.B16, V4.B16, V5.B16
	FMAXNM(5, 4, 4)
	VEXT $4, V4.B16, V4.B16, V5.B16
	FMAXNM(5, 4, 4)
	FMOVS F4, ret+16(FP)
	RET
