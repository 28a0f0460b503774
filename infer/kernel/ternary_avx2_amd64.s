//go:build !purego

#include "textflag.h"

// A panel's 64 bytes are two vectors of 8 rows by 4 columns, four 2-bit planes deep. VPMADDUBSW multiplies the codes (unsigned) of a row's
// four columns by a row of x's four, broadcast, and leaves two 16-bit sums a row, each at most 2*2*128 = 512 in magnitude and negative at
// that limit. So 64 of them, the planes of 16 groups, fit 16 bits (-32768) before VPMADDWD by ones widens them.

// PLANE adds one plane of a group, codes in Y3 and Y4, for the row of x at BASE.
#define PLANE(BASE, OFFSET, LO, HI) \
	VPBROADCASTD OFFSET(BASE)(R12*1), Y5; \
	VPMADDUBSW Y5, Y3, Y6; \
	VPMADDUBSW Y5, Y4, Y7; \
	VPADDW Y6, LO, LO; \
	VPADDW Y7, HI, HI

#define PLANE4(OFFSET) \
	VPAND Y0, Y2, Y3; \
	VPAND Y1, Y2, Y4; \
	PLANE(R8, OFFSET, Y8, Y9); \
	PLANE(R9, OFFSET, Y10, Y11); \
	PLANE(R10, OFFSET, Y12, Y13); \
	PLANE(R11, OFFSET, Y14, Y15)

#define PLANE1(OFFSET) \
	VPAND Y0, Y2, Y3; \
	VPAND Y1, Y2, Y4; \
	PLANE(R8, OFFSET, Y8, Y9)

#define NEXTPLANE \
	VPSRLW $2, Y0, Y0; \
	VPSRLW $2, Y1, Y1

// WIDEN adds 16 sums of 16 bits to 8 of 32 bits in memory; Y3 holds ones.
#define WIDEN(ACC, OFFSET) \
	VPMADDWD Y3, ACC, Y6; \
	VPADDD OFFSET(DI), Y6, Y6; \
	VMOVDQU Y6, OFFSET(DI)

// CODEMASK and ONES fill a vector with bytes of 3 and words of 1.
#define CODEMASK(Y) \
	VPCMPEQB Y, Y, Y; \
	VPABSB Y, Y; \
	VPADDB Y, Y, Y; \
	VPCMPEQB Y5, Y5, Y5; \
	VPSUBB Y5, Y, Y
#define ONES(Y) \
	VPCMPEQW Y, Y, Y; \
	VPABSW Y, Y

// func ternary4(sums *int32, panel *byte, groups int, x *int8, stride int)
//	for t := range 4 { ternaryGeneric(sums[16*t:][:16], panel, x[t*stride:]) }
//	The next panel, which lies behind this one, comes from memory meanwhile.
//	DI sums, SI panel, DX its bytes, CX groups left, BX groups of this run, R8-R11 rows of x, R12 column
//	Y0-Y1 bytes of the panel, Y2 threes, Y3-Y4 codes, Y8-Y15 16-bit sums
TEXT ·ternary4(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	MOVQ stride+32(FP), AX
	LEAQ (R8)(AX*1), R9
	LEAQ (R8)(AX*2), R10
	LEAQ (R9)(AX*2), R11
	MOVQ CX, DX
	SHLQ $6, DX
	XORQ R12, R12
	CODEMASK(Y2)
	VPXOR Y3, Y3, Y3
	VMOVDQU Y3, 0(DI)
	VMOVDQU Y3, 32(DI)
	VMOVDQU Y3, 64(DI)
	VMOVDQU Y3, 96(DI)
	VMOVDQU Y3, 128(DI)
	VMOVDQU Y3, 160(DI)
	VMOVDQU Y3, 192(DI)
	VMOVDQU Y3, 224(DI)

run:
	MOVQ $16, BX
	CMPQ CX, BX
	CMOVQLT CX, BX
	SUBQ BX, CX
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	VPXOR Y12, Y12, Y12
	VPXOR Y13, Y13, Y13
	VPXOR Y14, Y14, Y14
	VPXOR Y15, Y15, Y15

group:
	PREFETCHT1 (SI)(DX*1)
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
	ADDQ $16, R12
	DECQ BX
	JNZ group

	ONES(Y3)
	WIDEN(Y8, 0)
	WIDEN(Y9, 32)
	WIDEN(Y10, 64)
	WIDEN(Y11, 96)
	WIDEN(Y12, 128)
	WIDEN(Y13, 160)
	WIDEN(Y14, 192)
	WIDEN(Y15, 224)
	TESTQ CX, CX
	JNZ run
	VZEROUPPER
	RET

// func ternary1(sums *int32, panel *byte, groups int, x *int8)
//	ternaryGeneric(sums[:16], panel, x), registers as in ternary4
TEXT ·ternary1(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), DI
	MOVQ panel+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ x+24(FP), R8
	XORQ R12, R12
	CODEMASK(Y2)
	VPXOR Y3, Y3, Y3
	VMOVDQU Y3, 0(DI)
	VMOVDQU Y3, 32(DI)

run:
	MOVQ $16, BX
	CMPQ CX, BX
	CMOVQLT CX, BX
	SUBQ BX, CX
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9

group:
	PREFETCHT0 4096(SI) // see ahead_amd64.h
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1
	PLANE1(0)
	NEXTPLANE
	PLANE1(4)
	NEXTPLANE
	PLANE1(8)
	NEXTPLANE
	PLANE1(12)
	ADDQ $64, SI
	ADDQ $16, R12
	DECQ BX
	JNZ group

	ONES(Y3)
	WIDEN(Y8, 0)
	WIDEN(Y9, 32)
	TESTQ CX, CX
	JNZ run
	VZEROUPPER
	RET

// func finish16(y *float32, stride int, sums, shift *int32, a *float32, scale float32, n int)
//	for t := range n { for r := range 16 { y[t*stride+r] = float32(sums[16*t+r]-shift[t]) * scale / a[t] } }
//	DI y, DX stride in bytes, SI sums, R8 shift, R9 a, CX left, Y2 shift, Y3 scale, Y4 a
TEXT ·finish16(SB), NOSPLIT, $0-56
	MOVQ y+0(FP), DI
	MOVQ stride+8(FP), DX
	SHLQ $2, DX
	MOVQ sums+16(FP), SI
	MOVQ shift+24(FP), R8
	MOVQ a+32(FP), R9
	VBROADCASTSS scale+40(FP), Y3
	MOVQ n+48(FP), CX

loop:
	VPBROADCASTD (R8), Y2
	VBROADCASTSS (R9), Y4
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1
	VPSUBD Y2, Y0, Y0
	VPSUBD Y2, Y1, Y1
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VMULPS Y3, Y0, Y0
	VMULPS Y3, Y1, Y1
	VDIVPS Y4, Y0, Y0
	VDIVPS Y4, Y1, Y1
	VMOVUPS Y0, 0(DI)
	VMOVUPS Y1, 32(DI)
	ADDQ DX, DI
	ADDQ $64, SI
	ADDQ $4, R8
	ADDQ $4, R9
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

// func magnitude8(x *float32, n int) uint32
//	for _, v := range x { m = max(m, math.Float32bits(v)&^(1<<31)) }
//	SI x, CX n, Y1 maxima, Y2 mask
TEXT ·magnitude8(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VPXOR Y1, Y1, Y1
	VPCMPEQD Y2, Y2, Y2
	VPSRLD $1, Y2, Y2

loop:
	VPAND (SI), Y2, Y0
	VPMAXUD Y0, Y1, Y1
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ loop

	VEXTRACTI128 $1, Y1, X0
	VPMAXUD X0, X1, X1
	VPSHUFD $0x4E, X1, X0
	VPMAXUD X0, X1, X1
	VPSHUFD $0xB1, X1, X0
	VPMAXUD X0, X1, X1
	VMOVD X1, AX
	MOVL AX, ret+16(FP)
	VZEROUPPER
	RET

// The order in which dwords of four packed vectors come out of VPACKSSDW and VPACKSSWB.
DATA unpack<>+0(SB)/8, $0x0000000400000000
DATA unpack<>+8(SB)/8, $0x0000000500000001
DATA unpack<>+16(SB)/8, $0x0000000600000002
DATA unpack<>+24(SB)/8, $0x0000000700000003
GLOBL unpack<>(SB), RODATA|NOPTR, $32

// func round32(q *int8, x *float32, n int, a float32) int32
//	for i, v := range x { q[i] = int8(RNE(v*a)); sum += q[i] } // VCVTPS2DQ rounds as MXCSR says, which Go leaves at nearest even
//	DI q, SI x, CX n, Y0-Y3 numbers, Y6 a, Y7 order, Y8 sums
TEXT ·round32(SB), NOSPLIT, $0-36
	MOVQ q+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS a+24(FP), Y6
	VMOVDQU unpack<>(SB), Y7
	VPXOR Y8, Y8, Y8

loop:
	VMULPS 0(SI), Y6, Y0
	VMULPS 32(SI), Y6, Y1
	VMULPS 64(SI), Y6, Y2
	VMULPS 96(SI), Y6, Y3
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VCVTPS2DQ Y2, Y2
	VCVTPS2DQ Y3, Y3
	VPADDD Y0, Y8, Y8
	VPADDD Y1, Y8, Y8
	VPADDD Y2, Y8, Y8
	VPADDD Y3, Y8, Y8
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKSSWB Y2, Y0, Y0
	VPERMD Y0, Y7, Y0
	VMOVDQU Y0, (DI)
	ADDQ $128, SI
	ADDQ $32, DI
	SUBQ $32, CX
	JNZ loop

	VEXTRACTI128 $1, Y8, X0
	VPADDD X0, X8, X8
	VPSHUFD $0x4E, X8, X0
	VPADDD X0, X8, X8
	VPSHUFD $0xB1, X8, X0
	VPADDD X0, X8, X8
	VMOVD X8, AX
	MOVL AX, ret+32(FP)
	VZEROUPPER
	RET
