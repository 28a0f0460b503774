//go:build !purego

#include "textflag.h"
#include "ahead_amd64.h"

// The layout of q6Block and q6Input.
#define SCALES 256
#define LESS32 384
#define BLOCK 416
#define SUMS 256
#define INPUT 288

// JOIN leaves codes in LOW: its low nibbles and bits 4-5 of HIGH. Y14 holds bytes of 0x0F, Y15 of 0x30.
#define JOIN(LOW, HIGH) \
	VPAND Y14, LOW, LOW; \
	VPAND Y15, HIGH, HIGH; \
	VPOR HIGH, LOW, LOW

// HALF unpacks 128 codes, H = 0 or 1.
#define HALF(H) \
	VMOVDQU (64*H)(SI), Y0; \
	VMOVDQU (64*H+32)(SI), Y1; \
	VMOVDQU (128+32*H)(SI), Y6; \
	VPSRLW $4, Y0, Y2; \
	VPSRLW $4, Y1, Y3; \
	VPSLLW $4, Y6, Y4; \
	JOIN(Y0, Y4); \
	VPSLLW $2, Y6, Y5; \
	JOIN(Y1, Y5); \
	VPSRLW $2, Y6, Y5; \
	JOIN(Y2, Y6); \
	JOIN(Y3, Y5); \
	VPUNPCKLQDQ Y1, Y0, Y4; \
	VPUNPCKHQDQ Y1, Y0, Y5; \
	VMOVDQU Y4, (128*H)(DI); \
	VMOVDQU Y5, (128*H+32)(DI); \
	VPUNPCKLQDQ Y3, Y2, Y4; \
	VPUNPCKHQDQ Y3, Y2, Y5; \
	VMOVDQU Y4, (128*H+64)(DI); \
	VMOVDQU Y5, (128*H+96)(DI)

// SPREAD writes the scales of 64 codes: the bytes go to the upper halves of words and come down with their signs.
#define SPREAD(C) \
	VPBROADCASTD (192+4*C)(SI), Y0; \
	VPSHUFB Y13, Y0, Y0; \
	VPSRAW $8, Y0, Y0; \
	VMOVDQU Y0, (SCALES+32*C)(DI)

// ROWS64 adds 64 products, q in Y0 and Y1, for the block at BASE.
#define ROWS64(C, BASE, ACC) \
	VMOVDQU (64*C)(BASE), Y4; \
	VMOVDQU (64*C+32)(BASE), Y5; \
	VPMADDUBSW Y0, Y4, Y4; \
	VPMADDUBSW Y1, Y5, Y5; \
	VPADDW Y5, Y4, Y4; \
	VPMADDWD (SCALES+32*C)(BASE), Y4, Y4; \
	VPADDD Y4, ACC, ACC

#define ROWS256(C) \
	VMOVDQU (64*C)(SI), Y0; \
	VMOVDQU (64*C+32)(SI), Y1; \
	ROWS64(C, R8, Y8); \
	ROWS64(C, R9, Y9); \
	ROWS64(C, R10, Y10); \
	ROWS64(C, R11, Y11)

// dotBlocksQ6 makes four sums at a time: each block gives an exact sum, which goes, times both scales, to the lane of the block.

// CLEARLANES zeroes the frame: 16 lanes of four sums, 16 bytes each. BX is the lane's offset.
#define CLEARLANES \
	XORQ BX, BX; \
	VPXOR Y0, Y0, Y0; \
	VMOVDQU Y0, 0(SP); \
	VMOVDQU Y0, 32(SP); \
	VMOVDQU Y0, 64(SP); \
	VMOVDQU Y0, 96(SP); \
	VMOVDQU Y0, 128(SP); \
	VMOVDQU Y0, 160(SP); \
	VMOVDQU Y0, 192(SP); \
	VMOVDQU Y0, 224(SP)

// FOURSUMS turns Y8-Y11 into four float32 sums in X8.
#define FOURSUMS \
	VPHADDD Y9, Y8, Y8; \
	VPHADDD Y11, Y10, Y10; \
	VPHADDD Y10, Y8, Y8; \
	VEXTRACTI128 $1, Y8, X4; \
	VPADDD X4, X8, X8; \
	VCVTDQ2PS X8, X8

// ADDLANE adds X8, times the scales in X5 and X6, to the lane and goes on to the next.
#define ADDLANE \
	VMULPS X5, X6, X5; \
	VMOVUPS (SP)(BX*1), X7; \
	VFMADD231PS X5, X8, X7; \
	VMOVUPS X7, (SP)(BX*1); \
	ADDQ $16, BX; \
	ANDQ $240, BX

// TREE sums the lanes into X0. Loads are no wider than the stores were, or they would wait for them to reach the cache.
#define TREE \
	PAIR(0, X0); \
	PAIR(64, X4); \
	VADDPS X4, X0, X0; \
	PAIR(32, X2); \
	PAIR(96, X6); \
	VADDPS X6, X2, X2; \
	VADDPS X2, X0, X0; \
	PAIR(16, X1); \
	PAIR(80, X5); \
	VADDPS X5, X1, X1; \
	PAIR(48, X3); \
	PAIR(112, X7); \
	VADDPS X7, X3, X3; \
	VADDPS X3, X1, X1; \
	VADDPS X1, X0, X0

// PAIR adds lanes l and l+8, l being AT/16.
#define PAIR(AT, X) \
	VMOVUPS AT(SP), X; \
	VADDPS (AT+128)(SP), X, X

// Words s0 s0 s0 s0 s2 s2 s2 s2, then s1 and s3, of a dword of four bytes.
DATA spread<>+0(SB)/8, $0x0080008000800080
DATA spread<>+8(SB)/8, $0x0280028002800280
DATA spread<>+16(SB)/8, $0x0180018001800180
DATA spread<>+24(SB)/8, $0x0380038003800380
GLOBL spread<>(SB), RODATA|NOPTR, $32

// func unpackBlocksQ6(dst *q6Block, d *float32, w *byte, blocks int)
//	unpackQ6Generic; DI dst, R8 d, SI w, CX blocks left
TEXT ·unpackBlocksQ6(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ d+8(FP), R8
	MOVQ w+16(FP), SI
	MOVQ blocks+24(FP), CX
	MOVL $0x0F0F0F0F, AX
	VMOVD AX, X14
	VPBROADCASTD X14, Y14
	MOVL $0x30303030, AX
	VMOVD AX, X15
	VPBROADCASTD X15, Y15
	VMOVDQU spread<>(SB), Y13
	VPXOR Y12, Y12, Y12

loop:
	AHEAD256(SI)
	HALF(0)
	HALF(1)
	SPREAD(0)
	SPREAD(1)
	SPREAD(2)
	SPREAD(3)
	VPMOVSXBW 192(SI), Y0
	VPSLLW $5, Y0, Y0
	VPSUBW Y0, Y12, Y0
	VMOVDQU Y0, LESS32(DI)
	MOVWLZX 208(SI), AX
	VMOVD AX, X0
	VCVTPH2PS X0, X0
	VMOVSS X0, (R8)
	ADDQ $BLOCK, DI
	ADDQ $16, R8
	ADDQ $210, SI
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

// func dotBlocksQ6(y *[4]float32, w *q6Block, dw *float32, x *q6Input, dx *float32, blocks int)
//	dotQ6Generic; R8-R11 w, R13 dw, SI x, R12 dx, CX blocks left, Y8-Y11 sums
TEXT ·dotBlocksQ6(SB), NOSPLIT, $256-48
	MOVQ w+8(FP), R8
	MOVQ dw+16(FP), R13
	MOVQ x+24(FP), SI
	MOVQ dx+32(FP), R12
	MOVQ blocks+40(FP), CX
	IMUL3Q $BLOCK, CX, AX
	LEAQ (R8)(AX*1), R9
	LEAQ (R8)(AX*2), R10
	LEAQ (R9)(AX*2), R11
	CLEARLANES
	TESTQ CX, CX
	JZ done

loop:
	VMOVDQU SUMS(SI), Y2
	VPMADDWD LESS32(R8), Y2, Y8
	VPMADDWD LESS32(R9), Y2, Y9
	VPMADDWD LESS32(R10), Y2, Y10
	VPMADDWD LESS32(R11), Y2, Y11
	ROWS256(0)
	ROWS256(1)
	ROWS256(2)
	ROWS256(3)
	FOURSUMS
	VBROADCASTSS (R12), X5
	VMOVUPS (R13), X6
	ADDLANE
	ADDQ $INPUT, SI
	ADDQ $16, R13
	ADDQ $BLOCK, R8
	ADDQ $BLOCK, R9
	ADDQ $BLOCK, R10
	ADDQ $BLOCK, R11
	ADDQ $4, R12
	DECQ CX
	JNZ loop

done:
	TREE
	MOVQ y+0(FP), DI
	VMOVUPS X0, (DI)
	VZEROUPPER
	RET
