//go:build !purego

#include "textflag.h"
#include "eights_avx2_amd64.h"

// The layout of q6Block and q6Eight.
#define SCALES 256
#define BLOCK 416
#define LESS32 128
#define SUBS 160

// FIRST begins the 16-bit sums of a row of w with 4 columns of x in Y0, AT bytes into the sub-block; ROW adds 4 columns. Y1 holds less32.
#define FIRST(W, AT, SUM) \
	VPBROADCASTD AT(W), SUM; \
	VPMADDUBSW Y0, SUM, SUM; \
	VPADDW Y1, SUM, SUM

#define ROW(W, AT, SUM) \
	VPBROADCASTD AT(W), Y2; \
	VPMADDUBSW Y0, Y2, Y2; \
	VPADDW Y2, SUM, SUM

#define COLUMNS(X, AT) \
	VMOVDQU X(SI), Y0; \
	ROW(R8, AT, Y4); \
	ROW(R9, AT, Y5); \
	ROW(R10, AT, Y6); \
	ROW(R11, AT, Y7)

// SCALE multiplies the 16-bit sums of a row by the sub-block's scale and adds them to the block's.
#define SCALE(W, P, SUM, ALL) \
	VPBROADCASTD (SCALES+8*P)(W)(AX*1), Y2; \
	VPMADDWD Y2, SUM, SUM; \
	VPADDD SUM, ALL, ALL

// SUBBLOCK adds sub-block S of four, which is the P-th of the codes (q6Place).
#define SUBBLOCK(S, P) \
	VMOVDQU (SUBS*S+LESS32)(SI), Y1; \
	VMOVDQU (SUBS*S)(SI), Y0; \
	FIRST(R8, 8*P, Y4); \
	FIRST(R9, 8*P, Y5); \
	FIRST(R10, 8*P, Y6); \
	FIRST(R11, 8*P, Y7); \
	COLUMNS(SUBS*S+32, 8*P+4); \
	COLUMNS(SUBS*S+64, 8*P+32); \
	COLUMNS(SUBS*S+96, 8*P+36); \
	SCALE(R8, P, Y4, Y8); \
	SCALE(R9, P, Y5, Y9); \
	SCALE(R10, P, Y6, Y10); \
	SCALE(R11, P, Y7, Y11)

// func dotsBlocksQ6(y *[8][4]float32, w *q6Block, dw *float32, x *q6Eight, dx *[8]float32, next *byte, blocks int)
//	dotsQ6Generic; DI next, AX scales from codes, Y4-Y7 16-bit sums
TEXT ·dotsBlocksQ6(SB), 0, $2048-56
	MOVQ w+8(FP), R8
	MOVQ dw+16(FP), R13
	MOVQ x+24(FP), SI
	MOVQ dx+32(FP), DX
	MOVQ next+40(FP), DI
	MOVQ blocks+48(FP), CX
	IMUL3Q $BLOCK, CX, AX
	LEAQ (R8)(AX*1), R9
	LEAQ (R8)(AX*2), R10
	LEAQ (R9)(AX*2), R11
	CLEARLANES
	TESTQ CX, CX
	JZ done

block:
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	XORQ AX, AX

subs:
	PREFETCHT1 0(DI)
	PREFETCHT1 64(DI)
	ADDQ $128, DI
	SUBBLOCK(0, 0)
	SUBBLOCK(1, 2)
	SUBBLOCK(2, 1)
	SUBBLOCK(3, 3)
	ADDQ $(4*SUBS), SI
	ADDQ $64, R8
	ADDQ $64, R9
	ADDQ $64, R10
	ADDQ $64, R11
	SUBQ $32, AX // a group of scales is 32 bytes, of codes 64
	CMPQ AX, $-128
	JNE subs

	ADDLANES
	ADDQ $(BLOCK-256), R8
	ADDQ $(BLOCK-256), R9
	ADDQ $(BLOCK-256), R10
	ADDQ $(BLOCK-256), R11
	DECQ CX
	JNZ block

done:
	TREES
	MOVQ y+0(FP), DI
	STORE
	VZEROUPPER
	RET
