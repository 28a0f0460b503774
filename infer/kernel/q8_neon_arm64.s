//go:build !purego

#include "textflag.h"
#include "neon_arm64.h"
#include "eights_neon_arm64.h"

// BLOCK leaves in V_D four partial sums of a block's 32 products. |w| is at most 128 and |x| 127, so two
// products fit 16 bits.
#define BLOCK(LANE, D) \
	VLD1.P 2(R2), V4.H[LANE]; \
	VLD1.P 32(R2), [V0.B16, V1.B16]; \
	VLD1.P 32(R1), [V2.B16, V3.B16]; \
	SMULL(2, 0, 5); \
	SMLAL2(2, 0, 5); \
	SADDLP(5, D); \
	SMULL(3, 1, 5); \
	SMLAL2(3, 1, 5); \
	SADALP(5, D)

// FOUR adds 4 blocks to 4 lanes: V_LANES += float32(sums) * (d * dw), fused.
#define FOUR(LANES) \
	BLOCK(0, 16); \
	BLOCK(1, 17); \
	BLOCK(2, 18); \
	BLOCK(3, 19); \
	ADDP(17, 16, 16); \
	ADDP(19, 18, 18); \
	ADDP(18, 16, 16); \
	SCVTF(16, 16); \
	FCVTL(4, 4); \
	VLD1.P 16(R3), [V6.S4]; \
	FMUL(6, 4, 4); \
	VFMLA V4.S4, V16.S4, LANES.S4

// func dotLanesQ8NEON(l *lanes, x *int8, d *float32, w *byte, blocks int)
//	q8Blocks; blocks is a multiple of 16, not 0
//	R0 l, R1 x, R2 w, R3 d, R4 blocks; V20-V23 lanes
TEXT ·dotLanesQ8NEON(SB), NOSPLIT, $0-40
	MOVD l+0(FP), R0
	MOVD x+8(FP), R1
	MOVD d+16(FP), R3
	MOVD w+24(FP), R2
	MOVD blocks+32(FP), R4
	VLD1 (R0), [V20.S4, V21.S4, V22.S4, V23.S4]

loop:
	FOUR(V20)
	FOUR(V21)
	FOUR(V22)
	FOUR(V23)
	SUBS $16, R4
	BNE loop

	VST1 [V20.S4, V21.S4, V22.S4, V23.S4], (R0)
	RET

// COLUMNS4 adds 4 columns of x at R2 times those of w at R1.
#define COLUMNS4 \
	VLD1R.P 4(R1), [V0.S4]; \
	VLD1R.P 4(R1), [V1.S4]; \
	VLD1.P 64(R2), [V2.H8, V3.H8, V4.H8, V5.H8]; \
	SMLAL4(0, 2, 16); \
	SMLAL4H(0, 2, 17); \
	SMLAL4(0, 3, 18); \
	SMLAL4H(0, 3, 19); \
	SMLAL4(1, 4, 16); \
	SMLAL4H(1, 4, 17); \
	SMLAL4(1, 5, 18); \
	SMLAL4H(1, 5, 19)

// func dotsBlocksQ8NEON(y *[8][4]float32, w *q8Block, dw *float32, x *q8Eight, dx *[8]float32, blocks int)
//	dotsQ8Generic; blocks is not 0
TEXT ·dotsBlocksQ8NEON(SB), NOSPLIT, $520-48
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
	COLUMNS4
	COLUMNS4
	COLUMNS4
	COLUMNS4
	COLUMNS4
	COLUMNS4
	COLUMNS4
	COLUMNS4
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
