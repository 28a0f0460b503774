//go:build !purego

#include "textflag.h"

// The ternary product of ternary_avx2_amd64.s with VPDPBUSD in place of VPMADDUBSW and VPADDW: 32-bit sums a row, nothing to widen.

// DPBUSD is VPDPBUSD Y_X, Y_CODES, Y_ACC as AVX-VNNI has it, registers by number: VEX.256.66.0F38.W0 50 /r. Go's assembler has the EVEX form of
// AVX-512 alone.
#define DPBUSD(X, CODES, ACC) \
	BYTE $0xC4; \
	BYTE $(0xE2 ^ (ACC>>3)<<7 ^ (X>>3)<<5); \
	BYTE $(0x05 | (15-CODES)<<3); \
	BYTE $0x50; \
	BYTE $(0xC0 | (ACC&7)<<3 | (X&7))

// ROW adds one plane of a group, codes in Y3 and Y4, for the row of x at BASE.
#define ROW(BASE, OFFSET, LO, HI) \
	VPBROADCASTD OFFSET(BASE), Y5; \
	DPBUSD(5, 3, LO); \
	DPBUSD(5, 4, HI)

#define PLANE4(OFFSET) \
	VPAND Y0, Y2, Y3; \
	VPAND Y1, Y2, Y4; \
	ROW(R8, OFFSET, 8, 9); \
	ROW(R9, OFFSET, 10, 11); \
	ROW(R10, OFFSET, 12, 13); \
	ROW(R11, OFFSET, 14, 15)

#define PLANE1(OFFSET, LO, HI) \
	VPAND Y0, Y2, Y3; \
	VPAND Y1, Y2, Y4; \
	ROW(R8, OFFSET, LO, HI)

#define NEXTPLANE \
	VPSRLW $2, Y0, Y0; \
	VPSRLW $2, Y1, Y1

#define CODEMASK \
	MOVL $0x03030303, AX; \
	VMOVD AX, X2; \
	VPBROADCASTD X2, Y2

#define ZERO8 \
	VPXOR Y8, Y8, Y8; \
	VPXOR Y9, Y9, Y9; \
	VPXOR Y10, Y10, Y10; \
	VPXOR Y11, Y11, Y11; \
	VPXOR Y12, Y12, Y12; \
	VPXOR Y13, Y13, Y13; \
	VPXOR Y14, Y14, Y14; \
	VPXOR Y15, Y15, Y15

// func ternary4AVXVNNI(sums *int32, panel *byte, groups int, x *int8, stride int)
//	for t := range 4 { ternaryGeneric(sums[16*t:][:16], panel, x[t*stride:]) }
//	DI sums, SI panel, CX groups left, R8-R11 rows of x
//	Y0-Y1 bytes of the panel, Y2 threes, Y3-Y4 codes, Y5 x, Y8-Y15 sums
TEXT ·ternary4AVXVNNI(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	MOVQ stride+32(FP), AX
	LEAQ (R8)(AX*1), R9
	LEAQ (R8)(AX*2), R10
	LEAQ (R9)(AX*2), R11
	CODEMASK
	ZERO8

group:
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1
	PLANE4(0)
	NEXTPLANE
	PLANE4(4)
	NEXTPLANE
	PLANE4(8)
	NEXTPLANE
	PLANE4(12)
	ADDQ $64, SI
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $16, R10
	ADDQ $16, R11
	DECQ CX
	JNZ group

	VMOVDQU Y8, 0(DI)
	VMOVDQU Y9, 32(DI)
	VMOVDQU Y10, 64(DI)
	VMOVDQU Y11, 96(DI)
	VMOVDQU Y12, 128(DI)
	VMOVDQU Y13, 160(DI)
	VMOVDQU Y14, 192(DI)
	VMOVDQU Y15, 224(DI)
	VZEROUPPER
	RET

// func ternary1AVXVNNI(sums *int32, panel *byte, groups int, x *int8)
//	ternaryGeneric(sums[:16], panel, x), registers as in ternary4AVXVNNI; sums for each plane, so that none waits for another
TEXT ·ternary1AVXVNNI(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	CODEMASK
	ZERO8

group:
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1
	PLANE1(0, 8, 9)
	NEXTPLANE
	PLANE1(4, 10, 11)
	NEXTPLANE
	PLANE1(8, 12, 13)
	NEXTPLANE
	PLANE1(12, 14, 15)
	ADDQ $64, SI
	ADDQ $16, R8
	DECQ CX
	JNZ group

	VPADDD Y10, Y8, Y8
	VPADDD Y11, Y9, Y9
	VPADDD Y14, Y12, Y12
	VPADDD Y15, Y13, Y13
	VPADDD Y12, Y8, Y8
	VPADDD Y13, Y9, Y9
	VMOVDQU Y8, 0(DI)
	VMOVDQU Y9, 32(DI)
	VZEROUPPER
	RET

// func peakAVXVNNI(turns int)
//	384 multiply-adds a turn: 12 times VPDPBUSD into 12 sums
TEXT ·peakAVXVNNI(SB), NOSPLIT, $0-8
	MOVQ turns+0(FP), CX

loop:
	DPBUSD(0, 1, 4)
	DPBUSD(0, 1, 5)
	DPBUSD(0, 1, 6)
	DPBUSD(0, 1, 7)
	DPBUSD(0, 1, 8)
	DPBUSD(0, 1, 9)
	DPBUSD(0, 1, 10)
	DPBUSD(0, 1, 11)
	DPBUSD(0, 1, 12)
	DPBUSD(0, 1, 13)
	DPBUSD(0, 1, 14)
	DPBUSD(0, 1, 15)
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET
