//go:build !purego

#include "textflag.h"

// A panel's 64 bytes are one vector of 16 rows by 4 columns, four 2-bit planes deep. VPDPBUSD multiplies the codes (unsigned) of a row's four
// columns by a row of x's four, broadcast, and adds them to a 32-bit sum a row: exact, with nothing to widen.

// CODES leaves the four planes of the 64 bytes at SI in Z0-Z3; Z4 holds bytes of 3.
#define CODES \
	VMOVDQU32 (SI), Z3; \
	VPSRLW $2, Z3, Z1; \
	VPSRLW $4, Z3, Z2; \
	VPANDD Z3, Z4, Z0; \
	VPSRLW $6, Z3, Z3; \
	VPANDD Z1, Z4, Z1; \
	VPANDD Z2, Z4, Z2; \
	VPANDD Z3, Z4, Z3; \
	ADDQ $64, SI

#define CODEMASK \
	MOVL $0x03030303, AX; \
	VPBROADCASTD AX, Z4

// PLANE16 adds plane N, codes in Z, for 16 rows of x: R8 + {0..8} times the stride, and R9, which is 8 strides on.
#define PLANE16(N, Z) \
	VPDPBUSD.BCST (4*N)(R8), Z, Z16; \
	VPDPBUSD.BCST (4*N)(R8)(R10*1), Z, Z17; \
	VPDPBUSD.BCST (4*N)(R8)(R10*2), Z, Z18; \
	VPDPBUSD.BCST (4*N)(R8)(R11*1), Z, Z19; \
	VPDPBUSD.BCST (4*N)(R8)(R10*4), Z, Z20; \
	VPDPBUSD.BCST (4*N)(R8)(R12*1), Z, Z21; \
	VPDPBUSD.BCST (4*N)(R8)(R11*2), Z, Z22; \
	VPDPBUSD.BCST (4*N)(R8)(R13*1), Z, Z23; \
	VPDPBUSD.BCST (4*N)(R9), Z, Z24; \
	VPDPBUSD.BCST (4*N)(R9)(R10*1), Z, Z25; \
	VPDPBUSD.BCST (4*N)(R9)(R10*2), Z, Z26; \
	VPDPBUSD.BCST (4*N)(R9)(R11*1), Z, Z27; \
	VPDPBUSD.BCST (4*N)(R9)(R10*4), Z, Z28; \
	VPDPBUSD.BCST (4*N)(R9)(R12*1), Z, Z29; \
	VPDPBUSD.BCST (4*N)(R9)(R11*2), Z, Z30; \
	VPDPBUSD.BCST (4*N)(R9)(R13*1), Z, Z31

// PLANE4 does the same for 4 rows of x.
#define PLANE4(N, Z, A, B, C, D) \
	VPDPBUSD.BCST (4*N)(R8), Z, A; \
	VPDPBUSD.BCST (4*N)(R8)(R10*1), Z, B; \
	VPDPBUSD.BCST (4*N)(R8)(R10*2), Z, C; \
	VPDPBUSD.BCST (4*N)(R8)(R11*1), Z, D

#define ZERO4(A, B, C, D) \
	VPXORD A, A, A; \
	VPXORD B, B, B; \
	VPXORD C, C, C; \
	VPXORD D, D, D

#define STORE4(OFFSET, A, B, C, D) \
	VMOVDQU32 A, (OFFSET)(DI); \
	VMOVDQU32 B, (OFFSET+64)(DI); \
	VMOVDQU32 C, (OFFSET+128)(DI); \
	VMOVDQU32 D, (OFFSET+192)(DI)

// SUM4 adds the sums of four planes: A += B + C + D.
#define SUM4(A, B, C, D) \
	VPADDD B, A, A; \
	VPADDD D, C, C; \
	VPADDD C, A, A

// func ternary16VNNI(sums *int32, panel *byte, groups int, x *int8, stride int)
//	for t := range 16 { ternaryGeneric(sums[16*t:][:16], panel, x[t*stride:]) }
//	DI sums, SI panel, CX groups left, R8-R9 rows 0 and 8 of x, R10-R13 1, 3, 5 and 7 strides
//	Z0-Z3 codes, Z4 threes, Z16-Z31 sums, one a row of x
TEXT ·ternary16VNNI(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	MOVQ stride+32(FP), R10
	LEAQ (R10)(R10*2), R11
	LEAQ (R10)(R10*4), R12
	LEAQ (R11)(R10*4), R13
	LEAQ (R8)(R10*8), R9
	CODEMASK
	ZERO4(Z16, Z17, Z18, Z19)
	ZERO4(Z20, Z21, Z22, Z23)
	ZERO4(Z24, Z25, Z26, Z27)
	ZERO4(Z28, Z29, Z30, Z31)

group:
	CODES
	PLANE16(0, Z0)
	PLANE16(1, Z1)
	PLANE16(2, Z2)
	PLANE16(3, Z3)
	ADDQ $16, R8
	ADDQ $16, R9
	DECQ CX
	JNZ group

	STORE4(0, Z16, Z17, Z18, Z19)
	STORE4(256, Z20, Z21, Z22, Z23)
	STORE4(512, Z24, Z25, Z26, Z27)
	STORE4(768, Z28, Z29, Z30, Z31)
	VZEROUPPER
	RET

// func ternary4VNNI(sums *int32, panel *byte, groups int, x *int8, stride int)
//	for t := range 4 { ternaryGeneric(sums[16*t:][:16], panel, x[t*stride:]) }
//	registers as in ternary16VNNI; Z16-Z19 sums of plane 0, Z20-Z23 of plane 1, ..., so that none waits for another
TEXT ·ternary4VNNI(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	MOVQ stride+32(FP), R10
	LEAQ (R10)(R10*2), R11
	CODEMASK
	ZERO4(Z16, Z17, Z18, Z19)
	ZERO4(Z20, Z21, Z22, Z23)
	ZERO4(Z24, Z25, Z26, Z27)
	ZERO4(Z28, Z29, Z30, Z31)

group:
	CODES
	PLANE4(0, Z0, Z16, Z17, Z18, Z19)
	PLANE4(1, Z1, Z20, Z21, Z22, Z23)
	PLANE4(2, Z2, Z24, Z25, Z26, Z27)
	PLANE4(3, Z3, Z28, Z29, Z30, Z31)
	ADDQ $16, R8
	DECQ CX
	JNZ group

	SUM4(Z16, Z20, Z24, Z28)
	SUM4(Z17, Z21, Z25, Z29)
	SUM4(Z18, Z22, Z26, Z30)
	SUM4(Z19, Z23, Z27, Z31)
	STORE4(0, Z16, Z17, Z18, Z19)
	VZEROUPPER
	RET

// func ternary1VNNI(sums *int32, panel *byte, groups int, x *int8)
//	ternaryGeneric(sums[:16], panel, x), registers as in ternary16VNNI; a sum for each plane
TEXT ·ternary1VNNI(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	CODEMASK
	ZERO4(Z16, Z17, Z18, Z19)

group:
	CODES
	VPDPBUSD.BCST 0(R8), Z0, Z16
	VPDPBUSD.BCST 4(R8), Z1, Z17
	VPDPBUSD.BCST 8(R8), Z2, Z18
	VPDPBUSD.BCST 12(R8), Z3, Z19
	ADDQ $16, R8
	DECQ CX
	JNZ group

	SUM4(Z16, Z17, Z18, Z19)
	VMOVDQU32 Z16, (DI)
	VZEROUPPER
	RET

// func peakVNNI(turns int)
//	1024 multiply-adds a turn: 16 times VPDPBUSD into 16 sums; what the numbers are does not matter
TEXT ·peakVNNI(SB), NOSPLIT, $0-8
	MOVQ turns+0(FP), CX

loop:
	VPDPBUSD Z0, Z1, Z16
	VPDPBUSD Z0, Z1, Z17
	VPDPBUSD Z0, Z1, Z18
	VPDPBUSD Z0, Z1, Z19
	VPDPBUSD Z0, Z1, Z20
	VPDPBUSD Z0, Z1, Z21
	VPDPBUSD Z0, Z1, Z22
	VPDPBUSD Z0, Z1, Z23
	VPDPBUSD Z0, Z1, Z24
	VPDPBUSD Z0, Z1, Z25
	VPDPBUSD Z0, Z1, Z26
	VPDPBUSD Z0, Z1, Z27
	VPDPBUSD Z0, Z1, Z28
	VPDPBUSD Z0, Z1, Z29
	VPDPBUSD Z0, Z1, Z30
	VPDPBUSD Z0, Z1, Z31
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET
