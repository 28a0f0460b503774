//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"
#include "eights_neon_arm64.h"

// JOIN leaves codes in LOW: its low nibbles and bits 4-5 of HIGH. V30 holds bytes of 0x0F, V31 of 0x30.
#define JOIN(LOW, HIGH) \
	VAND LOW.B16, V30.B16, LOW.B16; \
	VAND HIGH.B16, V31.B16, HIGH.B16; \
	VORR HIGH.B16, LOW.B16, LOW.B16

// HALF unpacks 128 codes: ql at R1, qh at R2; both pass on.
#define HALF \
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]; \
	VLD1.P 32(R2), [V8.B16, V9.B16]; \
	VUSHR $4, V0.B16, V4.B16; \
	VUSHR $4, V1.B16, V5.B16; \
	VUSHR $4, V2.B16, V6.B16; \
	VUSHR $4, V3.B16, V7.B16; \
	VSHL $4, V8.B16, V10.B16; \
	VSHL $4, V9.B16, V11.B16; \
	JOIN(V0, V10); \
	JOIN(V1, V11); \
	VSHL $2, V8.B16, V10.B16; \
	VSHL $2, V9.B16, V11.B16; \
	JOIN(V2, V10); \
	JOIN(V3, V11); \
	VUSHR $2, V8.B16, V10.B16; \
	VUSHR $2, V9.B16, V11.B16; \
	JOIN(V4, V8); \
	JOIN(V5, V9); \
	JOIN(V6, V10); \
	JOIN(V7, V11); \
	VZIP1 V2.D2, V0.D2, V12.D2; \
	VZIP1 V3.D2, V1.D2, V13.D2; \
	VZIP2 V2.D2, V0.D2, V14.D2; \
	VZIP2 V3.D2, V1.D2, V15.D2; \
	VST1.P [V12.B16, V13.B16, V14.B16, V15.B16], 64(R0); \
	VZIP1 V6.D2, V4.D2, V12.D2; \
	VZIP1 V7.D2, V5.D2, V13.D2; \
	VZIP2 V6.D2, V4.D2, V14.D2; \
	VZIP2 V7.D2, V5.D2, V15.D2; \
	VST1.P [V12.B16, V13.B16, V14.B16, V15.B16], 64(R0)

// SPREAD writes the scales of 64 codes, words I to I+3 of V: each four times, in the order 0, 2, 1, 3.
#define SPREAD(V, I, J, K, L) \
	VDUP V.H[I], V0.H8; \
	VDUP V.H[J], V1.H8; \
	VDUP V.H[K], V2.H8; \
	VDUP V.H[L], V3.H8; \
	VZIP1 V2.D2, V0.D2, V4.D2; \
	VZIP1 V3.D2, V1.D2, V5.D2; \
	VST1.P [V4.H8, V5.H8], 32(R0)

// SUMS64 adds 64 products to V24 and V25: codes at R1 and q at R2, whose first and second halves of a sub-block meet in 16-bit sums; scales at R3.
#define SUMS64 \
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]; \
	VLD1.P 64(R2), [V4.B16, V5.B16, V6.B16, V7.B16]; \
	VLD1.P 32(R3), [V8.H8, V9.H8]; \
	SMULL(4, 0, 16); \
	SMLAL(6, 2, 16); \
	SMULL2(4, 0, 17); \
	SMLAL2(6, 2, 17); \
	SMULL(5, 1, 18); \
	SMLAL(7, 3, 18); \
	SMULL2(5, 1, 19); \
	SMLAL2(7, 3, 19); \
	VDUP V8.D[0], V10.D2; \
	VDUP V8.D[1], V11.D2; \
	VDUP V9.D[0], V12.D2; \
	VDUP V9.D[1], V13.D2; \
	SMLAL4(10, 16, 24); \
	SMLAL4H(10, 16, 25); \
	SMLAL4(11, 17, 24); \
	SMLAL4H(11, 17, 25); \
	SMLAL4(12, 18, 24); \
	SMLAL4H(12, 18, 25); \
	SMLAL4(13, 19, 24); \
	SMLAL4H(13, 19, 25)

// func unpackBlocksQ6NEON(dst *q6Block, d *float32, w *byte, blocks int)
//	unpackQ6Generic; R0 dst, R1 ql, R2 qh and scales, R3 d, R4 blocks left
TEXT ·unpackBlocksQ6NEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD d+8(FP), R3
	MOVD w+16(FP), R1
	MOVD blocks+24(FP), R4
	VMOVI $15, V30.B16
	VMOVI $48, V31.B16
	VEOR V29.B16, V29.B16, V29.B16

loop:
	ADD $128, R1, R2
	HALF
	HALF
	VLD1.P 16(R2), [V16.B16]
	SXTL(16, 17)
	SXTL2(16, 18)
	SPREAD(V17, 0, 1, 2, 3)
	SPREAD(V17, 4, 5, 6, 7)
	SPREAD(V18, 0, 1, 2, 3)
	SPREAD(V18, 4, 5, 6, 7)
	VSHL $5, V17.H8, V17.H8
	VSHL $5, V18.H8, V18.H8
	VSUB V17.H8, V29.H8, V17.H8
	VSUB V18.H8, V29.H8, V18.H8
	VST1.P [V17.H8, V18.H8], 32(R0)
	VLD1 (R2), V16.H[0]
	FCVTL(16, 16)
	FMOVS F16, (R3)
	ADD $16, R3
	ADD $2, R2, R1
	SUBS $1, R4
	BNE loop
	RET

// func sumsQ6NEON(sums *int32, w *q6Block, x *q6Input, blocks int)
//	for b := range blocks { sums[b] = q6Sum(&w[b], &x[b]) }
//	R0 sums, R1 codes, R2 q, R3 scales, R4 blocks left
TEXT ·sumsQ6NEON(SB), NOSPLIT, $0-32
	MOVD sums+0(FP), R0
	MOVD w+8(FP), R1
	MOVD x+16(FP), R2
	MOVD blocks+24(FP), R4

loop:
	ADD $256, R1, R3
	VEOR V24.B16, V24.B16, V24.B16
	VEOR V25.B16, V25.B16, V25.B16
	SUMS64
	SUMS64
	SUMS64
	SUMS64
	VLD1.P 32(R2), [V0.H8, V1.H8]
	VLD1.P 32(R3), [V2.H8, V3.H8]
	SMLAL4(0, 2, 24)
	SMLAL4H(0, 2, 25)
	SMLAL4(1, 3, 24)
	SMLAL4H(1, 3, 25)
	VADD V25.S4, V24.S4, V24.S4
	VADDV V24.S4, V24
	FMOVS F24, (R0)
	ADD $4, R0
	MOVD R3, R1
	SUBS $1, R4
	BNE loop
	RET

// FIRST begins, and COLUMNS goes on, with the products of 4 columns of x at R2 and of w, AT bytes from R1; four products fit 16 bits.
#define FIRST(AT) \
	ADD $AT, R1, R8; \
	VLD1R (R8), [V0.S4]; \
	VLD1.P 32(R2), [V2.B16, V3.B16]; \
	SMULL(0, 2, 4); \
	SMULL2(0, 2, 5); \
	SMULL(0, 3, 6); \
	SMULL2(0, 3, 7)

#define COLUMNS(AT) \
	ADD $AT, R1, R8; \
	VLD1R (R8), [V0.S4]; \
	VLD1.P 32(R2), [V2.B16, V3.B16]; \
	SMLAL(0, 2, 4); \
	SMLAL2(0, 2, 5); \
	SMLAL(0, 3, 6); \
	SMLAL2(0, 3, 7)

// SUBBLOCK adds a sub-block, the PLACE-th of four in the codes (q6Place); scales at R10.
#define SUBBLOCK(PLACE) \
	FIRST(8*PLACE); \
	COLUMNS(8*PLACE+4); \
	COLUMNS(8*PLACE+32); \
	COLUMNS(8*PLACE+36); \
	ADDP16(5, 4, 4); \
	ADDP16(7, 6, 6); \
	VLD1.P 32(R2), [V2.H8, V3.H8]; \
	VADD V2.H8, V4.H8, V4.H8; \
	VADD V3.H8, V6.H8, V6.H8; \
	ADD $(8*PLACE), R10, R8; \
	VLD1R (R8), [V0.D2]; \
	SMLAL4(0, 4, 16); \
	SMLAL4H(0, 4, 17); \
	SMLAL4(0, 6, 18); \
	SMLAL4H(0, 6, 19)

#define SUBS4 \
	SUBBLOCK(0); \
	SUBBLOCK(2); \
	SUBBLOCK(1); \
	SUBBLOCK(3); \
	ADD $64, R1; \
	ADD $32, R10

// func dotsBlocksQ6NEON(y *[8][4]float32, w *q6Block, dw *float32, x *q6Eight, dx *[8]float32, blocks int)
//	dotsQ6Generic; blocks is not 0
TEXT ·dotsBlocksQ6NEON(SB), NOSPLIT, $520-48
	MOVD y+0(FP), R0
	MOVD w+8(FP), R1
	MOVD dw+16(FP), R3
	MOVD $lanes-512(SP), R7
	MOVD $4, R9

row:
	MOVD x+24(FP), R2
	MOVD dx+32(FP), R4
	MOVD blocks+40(FP), R5
	CLEARLANES

block:
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	ADD $256, R1, R10
	SUBS4
	SUBS4
	SUBS4
	SUBS4
	ADD $160, R1
	ADDLANE
	SUBS $1, R5
	BNE block

	TREE
	ADD $4, R0
	MOVD blocks+40(FP), R5
	LSL $4, R5, R5 // the next row's scale lies beside the first of this row's
	SUB R5, R3, R3
	ADD $4, R3
	SUBS $1, R9
	BNE row
	RET
