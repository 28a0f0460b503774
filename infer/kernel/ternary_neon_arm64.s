//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"

// A panel's 64 bytes are four vectors of 4 rows by 4 columns, four 2-bit planes deep.
//
// Without SDOT, SMLAL multiplies the codes of two rows by a row of x's four columns, broadcast, and adds 8 products, each at most
// 2*128 in magnitude and negative at that limit, to 16-bit sums. So 128 products, the planes of 32 groups, fit (-32768) before they are
// widened.

// CODES takes the plane in the low bits of V0-V3 to V4-V7 and moves the next one down; V10 holds threes.
#define CODES \
	VAND V0.B16, V10.B16, V4.B16; \
	VAND V1.B16, V10.B16, V5.B16; \
	VAND V2.B16, V10.B16, V6.B16; \
	VAND V3.B16, V10.B16, V7.B16; \
	VUSHR $2, V0.B16, V0.B16; \
	VUSHR $2, V1.B16, V1.B16; \
	VUSHR $2, V2.B16, V2.B16; \
	VUSHR $2, V3.B16, V3.B16

// MLA16 adds a plane for the columns of x in V_X to the 8 vectors of sums from A on.
#define MLA16(X, A, B, C, D, E, F, G, H) \
	SMLAL(X, 4, A); \
	SMLAL2(X, 4, B); \
	SMLAL(X, 5, C); \
	SMLAL2(X, 5, D); \
	SMLAL(X, 6, E); \
	SMLAL2(X, 6, F); \
	SMLAL(X, 7, G); \
	SMLAL2(X, 7, H)

#define PLANE2 \
	CODES; \
	VLD1R.P 4(R3), [V8.S4]; \
	VLD1R.P 4(R4), [V9.S4]; \
	MLA16(8, 16, 17, 18, 19, 20, 21, 22, 23); \
	MLA16(9, 24, 25, 26, 27, 28, 29, 30, 31)

#define PLANE1 \
	CODES; \
	VLD1R.P 4(R3), [V8.S4]; \
	MLA16(8, 16, 17, 18, 19, 20, 21, 22, 23)

// WIDEN4 adds the 16-bit sums of 4 rows in V_A and V_B to the 32-bit sums in memory at R0.
#define WIDEN4(A, B) \
	SADDLP(A, 4); \
	SADDLP(B, 5); \
	ADDP(5, 4, 4); \
	VLD1 (R0), [V6.S4]; \
	VADD V6.S4, V4.S4, V4.S4; \
	VST1.P [V4.S4], 16(R0)

#define ZERO(V) VEOR V.B16, V.B16, V.B16

// func ternary2NEON(sums *int32, panel *byte, groups int, x *int8, stride int)
//	for t := range 2 { ternaryGeneric(sums[16*t:][:16], panel, x[t*stride:]) }
//	R0 sums, R1 panel, R2 groups left, R3-R4 rows of x, R5 groups of this run
//	V0-V3 bytes of the panel, V4-V7 codes, V8-V9 x, V10 threes, V16-V31 16-bit sums
TEXT ·ternary2NEON(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R0
	MOVD panel+8(FP), R1
	MOVD groups+16(FP), R2
	MOVD x+24(FP), R3
	MOVD stride+32(FP), R4
	ADD R3, R4, R4
	VMOVI $3, V10.B16
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	SUB $64, R0

run:
	MOVD $32, R5
	CMP R5, R2
	CSEL LT, R2, R5, R5
	SUB R5, R2
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)
	ZERO(V24)
	ZERO(V25)
	ZERO(V26)
	ZERO(V27)
	ZERO(V28)
	ZERO(V29)
	ZERO(V30)
	ZERO(V31)

group:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	PLANE2
	PLANE2
	PLANE2
	PLANE2
	SUBS $1, R5
	BNE group

	WIDEN4(16, 17)
	WIDEN4(18, 19)
	WIDEN4(20, 21)
	WIDEN4(22, 23)
	WIDEN4(24, 25)
	WIDEN4(26, 27)
	WIDEN4(28, 29)
	WIDEN4(30, 31)
	SUB $128, R0
	CBNZ R2, run
	RET

// func ternary1NEON(sums *int32, panel *byte, groups int, x *int8)
//	ternaryGeneric(sums[:16], panel, x), registers as in ternary2NEON
TEXT ·ternary1NEON(SB), NOSPLIT, $0-32
	MOVD sums+0(FP), R0
	MOVD panel+8(FP), R1
	MOVD groups+16(FP), R2
	MOVD x+24(FP), R3
	VMOVI $3, V10.B16
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R0)

run:
	MOVD $32, R5
	CMP R5, R2
	CSEL LT, R2, R5, R5
	SUB R5, R2
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)

group:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	PLANE1
	PLANE1
	PLANE1
	PLANE1
	SUBS $1, R5
	BNE group

	WIDEN4(16, 17)
	WIDEN4(18, 19)
	WIDEN4(20, 21)
	WIDEN4(22, 23)
	SUB $64, R0
	CBNZ R2, run
	RET

// SDOTPLANE4 adds a plane for four rows of x, which lie in V11-V14, by SDOT's form for the plane's columns.
#define SDOTPLANE4(DOT) \
	CODES; \
	DOT(11, 4, 16); \
	DOT(11, 5, 17); \
	DOT(11, 6, 18); \
	DOT(11, 7, 19); \
	DOT(12, 4, 20); \
	DOT(12, 5, 21); \
	DOT(12, 6, 22); \
	DOT(12, 7, 23); \
	DOT(13, 4, 24); \
	DOT(13, 5, 25); \
	DOT(13, 6, 26); \
	DOT(13, 7, 27); \
	DOT(14, 4, 28); \
	DOT(14, 5, 29); \
	DOT(14, 6, 30); \
	DOT(14, 7, 31)

#define SDOTPLANE1(DOT) \
	CODES; \
	DOT(11, 4, 16); \
	DOT(11, 5, 17); \
	DOT(11, 6, 18); \
	DOT(11, 7, 19)

// func ternary4SDOT(sums *int32, panel *byte, groups int, x *int8, stride int)
//	for t := range 4 { ternaryGeneric(sums[16*t:][:16], panel, x[t*stride:]) }
//	R0 sums, R1 panel, R2 groups left, R3-R6 rows of x
//	V0-V3 bytes of the panel, V4-V7 codes, V10 threes, V11-V14 x, V16-V31 sums
TEXT ·ternary4SDOT(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R0
	MOVD panel+8(FP), R1
	MOVD groups+16(FP), R2
	MOVD x+24(FP), R3
	MOVD stride+32(FP), R7
	ADD R7, R3, R4
	ADD R7, R4, R5
	ADD R7, R5, R6
	VMOVI $3, V10.B16
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)
	ZERO(V20)
	ZERO(V21)
	ZERO(V22)
	ZERO(V23)
	ZERO(V24)
	ZERO(V25)
	ZERO(V26)
	ZERO(V27)
	ZERO(V28)
	ZERO(V29)
	ZERO(V30)
	ZERO(V31)

group:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 16(R3), [V11.B16]
	VLD1.P 16(R4), [V12.B16]
	VLD1.P 16(R5), [V13.B16]
	VLD1.P 16(R6), [V14.B16]
	SDOTPLANE4(SDOT0)
	SDOTPLANE4(SDOT1)
	SDOTPLANE4(SDOT2)
	SDOTPLANE4(SDOT3)
	SUBS $1, R2
	BNE group

	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	VST1 [V28.S4, V29.S4, V30.S4, V31.S4], (R0)
	RET

// func ternary1SDOT(sums *int32, panel *byte, groups int, x *int8)
//	ternaryGeneric(sums[:16], panel, x), registers as in ternary4SDOT
TEXT ·ternary1SDOT(SB), NOSPLIT, $0-32
	MOVD sums+0(FP), R0
	MOVD panel+8(FP), R1
	MOVD groups+16(FP), R2
	MOVD x+24(FP), R3
	VMOVI $3, V10.B16
	ZERO(V16)
	ZERO(V17)
	ZERO(V18)
	ZERO(V19)

group:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 16(R3), [V11.B16]
	SDOTPLANE1(SDOT0)
	SDOTPLANE1(SDOT1)
	SDOTPLANE1(SDOT2)
	SDOTPLANE1(SDOT3)
	SUBS $1, R2
	BNE group

	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	RET

// FINISH4 scales the sums in V_S.
#define FINISH4(S, V) \
	VSUB V4.S4, V.S4, V.S4; \
	SCVTF(S, S); \
	FMUL(5, S, S); \
	FDIV(6, S, S)

// func finish16NEON(y *float32, stride int, sums, shift *int32, a *float32, scale float32, n int)
//	for t := range n { for r := range 16 { y[t*stride+r] = float32(sums[16*t+r]-shift[t]) * scale / a[t] } }
TEXT ·finish16NEON(SB), NOSPLIT, $0-56
	MOVD y+0(FP), R0
	MOVD stride+8(FP), R5
	MOVD sums+16(FP), R1
	MOVD shift+24(FP), R3
	MOVD a+32(FP), R4
	MOVW scale+40(FP), R2
	VDUP R2, V5.S4
	MOVD n+48(FP), R6

loop:
	VLD1R.P 4(R3), [V4.S4]
	VLD1R.P 4(R4), [V6.S4]
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	FINISH4(0, V0)
	FINISH4(1, V1)
	FINISH4(2, V2)
	FINISH4(3, V3)
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	ADD R5<<2, R0, R0
	SUBS $1, R6
	BNE loop
	RET

// func magnitude16NEON(x *float32, n int) uint32
//	for _, v := range x { m = max(m, math.Float32bits(v)&^(1<<31)) } // shifted left by a bit, which drops the sign
TEXT ·magnitude16NEON(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	ZERO(V4)
	ZERO(V5)

loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VSHL $1, V0.S4, V0.S4
	VSHL $1, V1.S4, V1.S4
	VSHL $1, V2.S4, V2.S4
	VSHL $1, V3.S4, V3.S4
	VUMAX V0.S4, V4.S4, V4.S4
	VUMAX V1.S4, V5.S4, V5.S4
	VUMAX V2.S4, V4.S4, V4.S4
	VUMAX V3.S4, V5.S4, V5.S4
	SUBS $16, R1
	BNE loop

	VUMAX V5.S4, V4.S4, V4.S4
	UMAXV(4, 4)
	VMOV V4.S[0], R0
	LSRW $1, R0
	MOVW R0, ret+16(FP)
	RET

// func round16NEON(q *int8, x *float32, n int, a float32) int32
//	for i, v := range x { q[i] = int8(RNE(v*a)); sum += q[i] }
TEXT ·round16NEON(SB), NOSPLIT, $0-36
	MOVD q+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	MOVW a+24(FP), R3
	VDUP R3, V6.S4
	ZERO(V7)

loop:
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	FMUL(6, 0, 0)
	FMUL(6, 1, 1)
	FMUL(6, 2, 2)
	FMUL(6, 3, 3)
	FCVTNS(0, 0)
	FCVTNS(1, 1)
	FCVTNS(2, 2)
	FCVTNS(3, 3)
	VADD V0.S4, V7.S4, V7.S4
	VADD V1.S4, V7.S4, V7.S4
	VADD V2.S4, V7.S4, V7.S4
	VADD V3.S4, V7.S4, V7.S4
	SQXTN4(0, 4)
	SQXTN4H(1, 4)
	SQXTN4(2, 5)
	SQXTN4H(3, 5)
	SQXTN8(4, 4)
	SQXTN8H(5, 4)
	VST1.P [V4.B16], 16(R0)
	SUBS $16, R2
	BNE loop

	VADDV V7.S4, V7
	VMOV V7.S[0], R0
	MOVW R0, ret+32(FP)
	RET
