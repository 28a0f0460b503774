#include "neon_arm64.h"

// The bodies of the float loops, once for each type of row. Before including this a file defines
//
//	SIZE     bytes of an element
//	LOAD(R)  V4-V7 = 16 elements at R as float32; R moves on
//
// Lengths are multiples of 16.

// FMAROW adds 16 products, x in V0-V3, to the lanes of one row.
#define FMAROW(R, A, B, C, D) \
	LOAD(R); \
	VFMLA V4.S4, V0.S4, A.S4; \
	VFMLA V5.S4, V1.S4, B.S4; \
	VFMLA V6.S4, V2.S4, C.S4; \
	VFMLA V7.S4, V3.S4, D.S4

// FOLD does the tree's first two steps: 16 lanes in V_A..V_D to 4 in V_A.
#define FOLD(A, B, C, D) \
	FADD(C, A, A); \
	FADD(D, B, B); \
	FADD(B, A, A)

#define ZERO4(A, B, C, D) \
	VEOR A.B16, A.B16, A.B16; \
	VEOR B.B16, B.B16, B.B16; \
	VEOR C.B16, C.B16, C.B16; \
	VEOR D.B16, D.B16, D.B16

// DOTROWS is the body of dotRowsXNEON(y, x *float32, w *T, rows, stride, n int):
//
//	for i := range rows { y[i] = canonical sum of x[:n] * w[i*stride:][:n] }
//
//	R0 y, R1 x, R2 rows of w, R3 rows left, R4 stride in bytes, R5 n, R6 x in the row, R7 elements left, R8-R11 in the rows of w
//	V0-V3 x, V4-V7 w, V16-V31 lanes of four sums
#define DOTROWS \
	MOVD y+0(FP), R0; \
	MOVD x+8(FP), R1; \
	MOVD w+16(FP), R2; \
	MOVD rows+24(FP), R3; \
	MOVD stride+32(FP), R4; \
	MOVD $SIZE, R6; \
	MUL R6, R4, R4; \
	MOVD n+40(FP), R5; \
more: \
	CBZ R3, done; \
	MOVD R1, R6; \
	MOVD R5, R7; \
	MOVD R2, R8; \
	ZERO4(V16, V17, V18, V19); \
	CMP $4, R3; \
	BLT one; \
	ADD R4, R8, R9; \
	ADD R4, R9, R10; \
	ADD R4, R10, R11; \
	ADD R4, R11, R2; \
	ZERO4(V20, V21, V22, V23); \
	ZERO4(V24, V25, V26, V27); \
	ZERO4(V28, V29, V30, V31); \
four: \
	CBZ R7, tree4; \
	VLD1.P 64(R6), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	FMAROW(R8, V16, V17, V18, V19); \
	FMAROW(R9, V20, V21, V22, V23); \
	FMAROW(R10, V24, V25, V26, V27); \
	FMAROW(R11, V28, V29, V30, V31); \
	SUB $16, R7; \
	JMP four; \
tree4: \
	FOLD(16, 17, 18, 19); \
	FOLD(20, 21, 22, 23); \
	FOLD(24, 25, 26, 27); \
	FOLD(28, 29, 30, 31); \
	VZIP1 V20.D2, V16.D2, V0.D2; \
	VZIP2 V20.D2, V16.D2, V1.D2; \
	VZIP1 V28.D2, V24.D2, V2.D2; \
	VZIP2 V28.D2, V24.D2, V3.D2; \
	FADD(1, 0, 0); \
	FADD(3, 2, 2); \
	FADDP(2, 0, 0); \
	VST1.P [V0.S4], 16(R0); \
	SUB $4, R3; \
	JMP more; \
one: \
	CBZ R7, tree; \
	VLD1.P 64(R6), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	FMAROW(R8, V16, V17, V18, V19); \
	SUB $16, R7; \
	JMP one; \
tree: \
	FOLD(16, 17, 18, 19); \
	VEXT $8, V16.B16, V16.B16, V17.B16; \
	FADD(17, 16, 16); \
	FADDP2(16, 16); \
	FMOVS F16, (R0); \
	ADD $4, R0; \
	ADD R4, R2; \
	SUB $1, R3; \
	JMP more; \
done: \
	RET

// DOTLANES is the body of dotLanesXNEON(l *lanes, x *float32, w *T, n int): the 16 lanes of one sum, before the tree.
#define DOTLANES \
	MOVD l+0(FP), R0; \
	MOVD x+8(FP), R6; \
	MOVD w+16(FP), R8; \
	MOVD n+24(FP), R7; \
	ZERO4(V16, V17, V18, V19); \
one: \
	CBZ R7, done; \
	VLD1.P 64(R6), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	FMAROW(R8, V16, V17, V18, V19); \
	SUB $16, R7; \
	JMP one; \
done: \
	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R0); \
	RET

// MIX16 adds 16 columns at R9, times V8.
#define MIX16(A, B, C, D) \
	LOAD(R9); \
	VFMLA V4.S4, V8.S4, A.S4; \
	VFMLA V5.S4, V8.S4, B.S4; \
	VFMLA V6.S4, V8.S4, C.S4; \
	VFMLA V7.S4, V8.S4, D.S4

// MIXROWS is the body of mixRowsXNEON(o, p *float32, v *T, rows, stride, n int); rows is not 0:
//
//	for j := range rows { for i := range n { o[i] = fma(p[j], v[j*stride+i], o[i]) } }
//
// 64 columns at a time go through all rows in registers, then 16.
//	R0 o, R1 p, R2 v at the first column of the tile, R3 rows, R4 stride in bytes, R5 columns left
//	R6 p in the row, R7 rows left, R8 v in the row, R9 v in the tile; V8 p, V16-V31 sums
#define MIXROWS \
	MOVD o+0(FP), R0; \
	MOVD p+8(FP), R1; \
	MOVD v+16(FP), R2; \
	MOVD rows+24(FP), R3; \
	MOVD stride+32(FP), R4; \
	MOVD $SIZE, R6; \
	MUL R6, R4, R4; \
	MOVD n+40(FP), R5; \
tile64: \
	CMP $64, R5; \
	BLT tile16; \
	MOVD R0, R9; \
	VLD1.P 64(R9), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	VLD1.P 64(R9), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VLD1.P 64(R9), [V24.S4, V25.S4, V26.S4, V27.S4]; \
	VLD1.P 64(R9), [V28.S4, V29.S4, V30.S4, V31.S4]; \
	MOVD R1, R6; \
	MOVD R3, R7; \
	MOVD R2, R8; \
row64: \
	MOVD R8, R9; \
	VLD1R.P 4(R6), [V8.S4]; \
	MIX16(V16, V17, V18, V19); \
	MIX16(V20, V21, V22, V23); \
	MIX16(V24, V25, V26, V27); \
	MIX16(V28, V29, V30, V31); \
	ADD R4, R8; \
	SUBS $1, R7; \
	BNE row64; \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0); \
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0); \
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0); \
	VST1.P [V28.S4, V29.S4, V30.S4, V31.S4], 64(R0); \
	ADD $(64*SIZE), R2; \
	SUB $64, R5; \
	JMP tile64; \
tile16: \
	CBZ R5, done; \
	VLD1 (R0), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	MOVD R1, R6; \
	MOVD R3, R7; \
	MOVD R2, R8; \
row16: \
	MOVD R8, R9; \
	VLD1R.P 4(R6), [V8.S4]; \
	MIX16(V16, V17, V18, V19); \
	ADD R4, R8; \
	SUBS $1, R7; \
	BNE row16; \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0); \
	ADD $(16*SIZE), R2; \
	SUB $16, R5; \
	JMP tile16; \
done: \
	RET

// DECODEROW is the body of decodeRowXNEON(dst *float32, w *T, n int):
//
//	for i := range n { dst[i] = float32(w[i]) }
#define DECODEROW \
	MOVD dst+0(FP), R0; \
	MOVD w+8(FP), R8; \
	MOVD n+16(FP), R7; \
more: \
	CBZ R7, done; \
	LOAD(R8); \
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0); \
	SUB $16, R7; \
	JMP more; \
done: \
	RET
