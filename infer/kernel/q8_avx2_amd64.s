//go:build !purego

#include "textflag.h"
#include "ahead_amd64.h"
#include "eights_avx2_amd64.h"

// BLOCK leaves in Y 8 partial sums of a block's 32 products. Y14 holds ones. |w| is at most 128 and |x| 127, so pairs of products fit
// 16 bits.
#define BLOCK(B, Y) \
	VMOVDQU (34*B+2)(R8), Y8; \
	VPABSB Y8, Y9; \
	VMOVDQU (32*B)(SI), Y10; \
	VPSIGNB Y8, Y10, Y10; \
	VPMADDUBSW Y10, Y9, Y9; \
	VPMADDWD Y14, Y9, Y

// EIGHT adds 8 blocks to 8 lanes: LANES += float32(sums) * (d * dw), fused.
#define EIGHT(LANES) \
	AHEAD256(R8); \
	BLOCK(0, Y0); \
	BLOCK(1, Y1); \
	BLOCK(2, Y2); \
	BLOCK(3, Y3); \
	BLOCK(4, Y4); \
	BLOCK(5, Y5); \
	BLOCK(6, Y6); \
	BLOCK(7, Y7); \
	VPHADDD Y1, Y0, Y0; \
	VPHADDD Y3, Y2, Y2; \
	VPHADDD Y5, Y4, Y4; \
	VPHADDD Y7, Y6, Y6; \
	VPHADDD Y2, Y0, Y0; \
	VPHADDD Y6, Y4, Y4; \
	VPERM2I128 $0x20, Y4, Y0, Y1; \
	VPERM2I128 $0x31, Y4, Y0, Y2; \
	VPADDD Y2, Y1, Y1; \
	VCVTDQ2PS Y1, Y1; \
	VPXOR X2, X2, X2; \
	VPINSRW $0, 0(R8), X2, X2; \
	VPINSRW $1, 34(R8), X2, X2; \
	VPINSRW $2, 68(R8), X2, X2; \
	VPINSRW $3, 102(R8), X2, X2; \
	VPINSRW $4, 136(R8), X2, X2; \
	VPINSRW $5, 170(R8), X2, X2; \
	VPINSRW $6, 204(R8), X2, X2; \
	VPINSRW $7, 238(R8), X2, X2; \
	VCVTPH2PS X2, Y2; \
	VMULPS (R9), Y2, Y2; \
	VFMADD231PS Y2, Y1, LANES; \
	ADDQ $272, R8; \
	ADDQ $256, SI; \
	ADDQ $32, R9

// func dotRowsQ8(y *float32, x *int8, d *float32, w *byte, rows, blocks int)
//	dotQ8Generic: for each row, lane b%16 takes block b
//	DI y, SI x, R9 d, R8 w, CX rows left, BX blocks left of the row
//	Y12-Y13 lanes, Y14 ones; the last blocks, fewer than 16, go one by one through the lanes at R10 in the frame
TEXT ·dotRowsQ8(SB), NOSPLIT, $64-48
	MOVQ y+0(FP), DI
	MOVQ w+24(FP), R8
	MOVQ rows+32(FP), CX
	VPCMPEQW Y14, Y14, Y14
	VPABSW Y14, Y14

row:
	MOVQ x+8(FP), SI
	MOVQ d+16(FP), R9
	MOVQ blocks+40(FP), BX
	VXORPS Y12, Y12, Y12
	VXORPS Y13, Y13, Y13

sixteen:
	CMPQ BX, $16
	JLT rest
	EIGHT(Y12)
	EIGHT(Y13)
	SUBQ $16, BX
	JMP sixteen

rest:
	TESTQ BX, BX
	JZ tree
	VMOVUPS Y12, 0(SP)
	VMOVUPS Y13, 32(SP)
	MOVQ SP, R10

one:
	BLOCK(0, Y0)
	VEXTRACTI128 $1, Y0, X1
	VPADDD X1, X0, X0
	VPHADDD X0, X0, X0
	VPHADDD X0, X0, X0
	VCVTDQ2PS X0, X0
	MOVWLZX (R8), AX
	VMOVD AX, X2
	VCVTPH2PS X2, X2
	VMULSS (R9), X2, X2
	VMOVSS (R10), X3
	VFMADD231SS X2, X0, X3
	VMOVSS X3, (R10)
	ADDQ $34, R8
	ADDQ $32, SI
	ADDQ $4, R9
	ADDQ $4, R10
	DECQ BX
	JNZ one
	VMOVUPS 0(SP), Y12
	VMOVUPS 32(SP), Y13

tree:
	VADDPS Y13, Y12, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VMOVHLPS X0, X0, X1
	VADDPS X1, X0, X0
	VMOVSHDUP X0, X1
	VADDSS X1, X0, X0
	VMOVSS X0, (DI)
	ADDQ $4, DI
	DECQ CX
	JNZ row
	VZEROUPPER
	RET

// func unpackBlocksQ8(dst *q8Block, d *float32, w *byte, blocks int)
//	unpackQ8Generic; DI dst, R8 d, SI w, CX blocks left
TEXT ·unpackBlocksQ8(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ d+8(FP), R8
	MOVQ w+16(FP), SI
	MOVQ blocks+24(FP), CX

loop:
	VPMOVSXBW 2(SI), Y0
	VPMOVSXBW 18(SI), Y1
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 32(DI)
	MOVWLZX (SI), AX
	VMOVD AX, X0
	VCVTPH2PS X0, X0
	VMOVSS X0, (R8)
	ADDQ $34, SI
	ADDQ $64, DI
	ADDQ $16, R8
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

// ROW leaves in TO the products of 2 columns of x, in Y0, with those of a row of w, C dwords into the block.
#define ROW(W, C, TO) \
	VPBROADCASTD (4*C)(W), Y1; \
	VPMADDWD Y0, Y1, TO

#define ROWADD(W, C, SUM) \
	ROW(W, C, Y1); \
	VPADDD Y1, SUM, SUM

#define COLUMNS(C) \
	VMOVDQU (32*C)(SI), Y0; \
	ROWADD(R8, C, Y8); \
	ROWADD(R9, C, Y9); \
	ROWADD(R10, C, Y10); \
	ROWADD(R11, C, Y11)

// func dotsBlocksQ8(y *[8][4]float32, w *q8Block, dw *float32, x *q8Eight, dx *[8]float32, next *byte, blocks int)
//	dotsQ8Generic; DI next
TEXT ·dotsBlocksQ8(SB), 0, $2048-56
	MOVQ w+8(FP), R8
	MOVQ dw+16(FP), R13
	MOVQ x+24(FP), SI
	MOVQ dx+32(FP), DX
	MOVQ next+40(FP), DI
	MOVQ blocks+48(FP), CX
	MOVQ CX, AX
	SHLQ $6, AX
	LEAQ (R8)(AX*1), R9
	LEAQ (R8)(AX*2), R10
	LEAQ (R9)(AX*2), R11
	CLEARLANES
	TESTQ CX, CX
	JZ done

block:
	PREFETCHT1 0(DI)
	PREFETCHT1 64(DI)
	ADDQ $128, DI
	VMOVDQU (SI), Y0
	ROW(R8, 0, Y8)
	ROW(R9, 0, Y9)
	ROW(R10, 0, Y10)
	ROW(R11, 0, Y11)
	COLUMNS(1)
	COLUMNS(2)
	COLUMNS(3)
	COLUMNS(4)
	COLUMNS(5)
	COLUMNS(6)
	COLUMNS(7)
	COLUMNS(8)
	COLUMNS(9)
	COLUMNS(10)
	COLUMNS(11)
	COLUMNS(12)
	COLUMNS(13)
	COLUMNS(14)
	COLUMNS(15)
	ADDLANES
	ADDQ $512, SI
	ADDQ $64, R8
	ADDQ $64, R9
	ADDQ $64, R10
	ADDQ $64, R11
	DECQ CX
	JNZ block

done:
	TREES
	MOVQ y+0(FP), DI
	STORE
	VZEROUPPER
	RET
