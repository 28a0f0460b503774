//go:build !purego

#include "textflag.h"

// A tile is the six sums of two rows of x and three rows of w, 16 lanes each: every number that is loaded meets two or three others.
//	SI, R13 rows of x, R8-R10 rows of w, R12 element, AX n
//	Y0-Y1 lanes of x0*w0, Y2-Y3 x0*w1, Y4-Y5 x0*w2, Y6-Y7 x1*w0, Y8-Y9 x1*w1, Y10-Y11 x1*w2; Y12-Y13 x, Y14-Y15 w

#define CLEAR \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7; \
	VXORPS Y8, Y8, Y8; \
	VXORPS Y9, Y9, Y9; \
	VXORPS Y10, Y10, Y10; \
	VXORPS Y11, Y11, Y11

// EIGHT adds 8 elements to half the lanes.
#define EIGHT(OFFSET, A, B, C, D, E, F) \
	VMOVUPS OFFSET(SI)(R12*4), Y12; \
	VMOVUPS OFFSET(R13)(R12*4), Y13; \
	VMOVUPS OFFSET(R8)(R12*4), Y14; \
	VMOVUPS OFFSET(R9)(R12*4), Y15; \
	VFMADD231PS Y14, Y12, A; \
	VFMADD231PS Y14, Y13, D; \
	VMOVUPS OFFSET(R10)(R12*4), Y14; \
	VFMADD231PS Y15, Y12, B; \
	VFMADD231PS Y15, Y13, E; \
	VFMADD231PS Y14, Y12, C; \
	VFMADD231PS Y14, Y13, F

#define SIXTEEN \
	EIGHT(0, Y0, Y2, Y4, Y6, Y8, Y10); \
	EIGHT(32, Y1, Y3, Y5, Y7, Y9, Y11); \
	ADDQ $16, R12; \
	CMPQ R12, AX

// JOIN does the tree's first two steps for two sums: 16 lanes in A, AHI and in B, BHI to A = 4 of a, 4 of b.
#define JOIN(A, AHI, B, BHI, XB) \
	VADDPS AHI, A, A; \
	VADDPS BHI, B, B; \
	VINSERTF128 $1, XB, A, Y12; \
	VPERM2F128 $0x31, B, A, Y13; \
	VADDPS Y13, Y12, A

// PARTS leaves 4 lanes of each sum at DI: x0's and x1's with the first row of w, then the second and the third. partSums does the rest of the
// tree for many at once, where it does not hold up the next tile.
#define PARTS \
	JOIN(Y0, Y1, Y6, Y7, X6); \
	JOIN(Y2, Y3, Y8, Y9, X8); \
	JOIN(Y4, Y5, Y10, Y11, X10); \
	VMOVUPS Y0, 0(DI); \
	VMOVUPS Y2, 32(DI); \
	VMOVUPS Y4, 64(DI)

// func dotTiles(parts *part, x *float32, xStride int, w *float32, wStride, tiles, n int)
//	parts of the sums of two rows of x and 3*tiles rows of w, one after another
//	DI parts, BX wStride in bytes, CX tiles left
TEXT ·dotTiles(SB), NOSPLIT, $0-56
	MOVQ parts+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ xStride+16(FP), R13
	LEAQ (SI)(R13*4), R13
	MOVQ w+24(FP), R8
	MOVQ wStride+32(FP), BX
	SHLQ $2, BX
	MOVQ tiles+40(FP), CX
	MOVQ n+48(FP), AX

tile:
	LEAQ (R8)(BX*1), R9
	LEAQ (R8)(BX*2), R10
	XORQ R12, R12
	CLEAR

sixteen:
	SIXTEEN
	JLT sixteen

	PARTS
	ADDQ $96, DI
	LEAQ (R10)(BX*1), R8
	DECQ CX
	JNZ tile
	VZEROUPPER
	RET

#define LOADLANES \
	VMOVUPS 0(DI), Y0; \
	VMOVUPS 32(DI), Y1; \
	VMOVUPS 64(DI), Y2; \
	VMOVUPS 96(DI), Y3; \
	VMOVUPS 128(DI), Y4; \
	VMOVUPS 160(DI), Y5; \
	VMOVUPS 192(DI), Y6; \
	VMOVUPS 224(DI), Y7; \
	VMOVUPS 256(DI), Y8; \
	VMOVUPS 288(DI), Y9; \
	VMOVUPS 320(DI), Y10; \
	VMOVUPS 352(DI), Y11

// func laneTiles(l *lanes, x *float32, xStride int, w *float32, wStride, tiles, n int)
//	the same, but adds to the lanes of each tile: x0*w0, x0*w1, x0*w2, x1*w0, x1*w1, x1*w2
TEXT ·laneTiles(SB), NOSPLIT, $0-56
	MOVQ l+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ xStride+16(FP), R13
	LEAQ (SI)(R13*4), R13
	MOVQ w+24(FP), R8
	MOVQ wStride+32(FP), BX
	SHLQ $2, BX
	MOVQ tiles+40(FP), CX
	MOVQ n+48(FP), AX

tile:
	LEAQ (R8)(BX*1), R9
	LEAQ (R8)(BX*2), R10
	XORQ R12, R12
	LOADLANES

sixteen:
	SIXTEEN
	JLT sixteen

	VMOVUPS Y0, 0(DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VMOVUPS Y4, 128(DI)
	VMOVUPS Y5, 160(DI)
	VMOVUPS Y6, 192(DI)
	VMOVUPS Y7, 224(DI)
	VMOVUPS Y8, 256(DI)
	VMOVUPS Y9, 288(DI)
	VMOVUPS Y10, 320(DI)
	VMOVUPS Y11, 352(DI)
	ADDQ $384, DI
	LEAQ (R10)(BX*1), R8
	DECQ CX
	JNZ tile
	VZEROUPPER
	RET

// func laneParts(parts *part, l *lanes, tiles int)
//	parts of the tiles' lanes
TEXT ·laneParts(SB), NOSPLIT, $0-24
	MOVQ parts+0(FP), R8
	MOVQ l+8(FP), DI
	MOVQ tiles+16(FP), CX

tile:
	LOADLANES
	XCHGQ R8, DI
	PARTS
	ADDQ $96, DI
	XCHGQ R8, DI
	ADDQ $384, DI
	DECQ CX
	JNZ tile
	VZEROUPPER
	RET

// func partSums(y *float32, yStride int, parts *part, n int)
//	for j := range n { for i := range 2 { y[i*yStride+j] = the sum of part j's four lanes for row i of x: 0 and 2, 1 and 3, then both } }
//	n is at least 4; the last four go twice if it is not a multiple
//	DI y, DX yStride in bytes, SI parts, CX parts left
TEXT ·partSums(SB), NOSPLIT, $0-32
	MOVQ y+0(FP), DI
	MOVQ yStride+8(FP), DX
	SHLQ $2, DX
	MOVQ parts+16(FP), SI
	MOVQ n+24(FP), CX

four:
	VMOVUPS 0(SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VUNPCKLPS Y1, Y0, Y4
	VUNPCKHPS Y1, Y0, Y5
	VADDPS Y5, Y4, Y4
	VUNPCKLPS Y3, Y2, Y6
	VUNPCKHPS Y3, Y2, Y7
	VADDPS Y7, Y6, Y6
	VSHUFPS $0x44, Y6, Y4, Y0
	VSHUFPS $0xEE, Y6, Y4, Y1
	VADDPS Y1, Y0, Y0
	VMOVUPS X0, (DI)
	VEXTRACTF128 $1, Y0, (DI)(DX*1)
	ADDQ $128, SI
	ADDQ $16, DI
	SUBQ $4, CX
	JZ done
	CMPQ CX, $4
	JGE four
	SUBQ $4, CX // back by 4 minus what is left
	LEAQ (DI)(CX*4), DI
	SHLQ $5, CX
	ADDQ CX, SI
	MOVQ $4, CX
	JMP four

done:
	VZEROUPPER
	RET

// MIX adds 16 columns of a row, in Y8 and Y9, times the P of one of four sums.
#define MIX(P, LO, HI, T) \
	VBROADCASTSS (P)(R12*4), T; \
	VFMADD231PS Y8, T, LO; \
	VFMADD231PS Y9, T, HI

// func mixTiles(o *float32, oStride int, p *float32, pStride int, v *float32, stride, rows, n int)
//	for i := range 4 { for j := range rows { for c := range n { o[i*oStride+c] = fma(p[i*pStride+j], v[j*stride+c], o[i*oStride+c]) } } }
//	n is a multiple of 16, which go through all rows in registers. A line of 16 numbers of each row is not what a processor expects to be read
//	next, so it is told, two lines ahead
//	DI o, DX oStride in bytes, SI, R9-R11 p, R8 v at the columns, AX v in the row, R13 stride in bytes, CX rows, BX columns left, R12 row
TEXT ·mixTiles(SB), NOSPLIT, $0-64
	MOVQ o+0(FP), DI
	MOVQ oStride+8(FP), DX
	SHLQ $2, DX
	MOVQ p+16(FP), SI
	MOVQ pStride+24(FP), AX
	LEAQ (SI)(AX*4), R9
	LEAQ (R9)(AX*4), R10
	LEAQ (R10)(AX*4), R11
	MOVQ v+32(FP), R8
	MOVQ stride+40(FP), R13
	SHLQ $2, R13
	MOVQ rows+48(FP), CX
	MOVQ n+56(FP), BX

tile:
	LEAQ (DI)(DX*2), AX
	VMOVUPS 0(DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 0(DI)(DX*1), Y2
	VMOVUPS 32(DI)(DX*1), Y3
	VMOVUPS 0(AX), Y4
	VMOVUPS 32(AX), Y5
	VMOVUPS 0(AX)(DX*1), Y6
	VMOVUPS 32(AX)(DX*1), Y7
	MOVQ R8, AX
	XORQ R12, R12

row:
	VMOVUPS 0(AX), Y8
	VMOVUPS 32(AX), Y9
	PREFETCHT0 128(AX)
	MIX(SI, Y0, Y1, Y10)
	MIX(R9, Y2, Y3, Y11)
	MIX(R10, Y4, Y5, Y12)
	MIX(R11, Y6, Y7, Y13)
	ADDQ R13, AX
	INCQ R12
	CMPQ R12, CX
	JLT row

	LEAQ (DI)(DX*2), AX
	VMOVUPS Y0, 0(DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 0(DI)(DX*1)
	VMOVUPS Y3, 32(DI)(DX*1)
	VMOVUPS Y4, 0(AX)
	VMOVUPS Y5, 32(AX)
	VMOVUPS Y6, 0(AX)(DX*1)
	VMOVUPS Y7, 32(AX)(DX*1)
	ADDQ $64, DI
	ADDQ $64, R8
	SUBQ $16, BX
	JNZ tile
	VZEROUPPER
	RET
