//go:build !purego

#include "textflag.h"

// EXP computes 8 times Exp(x*scale - max) into Y1 by the steps of Exp, nothing fused, and adds them to LANES.
// VMINPS and VMAXPS return their first operand here if one is NaN, which is x.
#define EXP(OFFSET, LANES) \
	VMULPS OFFSET(SI), Y14, Y0; \
	VSUBPS Y15, Y0, Y0; \
	VMINPS Y0, Y4, Y0; \
	VMAXPS Y0, Y5, Y0; \
	VMULPS Y6, Y0, Y2; \
	VADDPS Y7, Y2, Y2; \
	VSUBPS Y7, Y2, Y3; \
	VMULPS Y8, Y3, Y1; \
	VSUBPS Y1, Y0, Y0; \
	VMULPS Y9, Y3, Y1; \
	VSUBPS Y1, Y0, Y0; \
	VMULPS 192(R8), Y0, Y1; \
	VADDPS 224(R8), Y1, Y1; \
	VMULPS Y0, Y1, Y1; \
	VADDPS 256(R8), Y1, Y1; \
	VMULPS Y0, Y1, Y1; \
	VADDPS 288(R8), Y1, Y1; \
	VMULPS Y0, Y1, Y1; \
	VADDPS 320(R8), Y1, Y1; \
	VMULPS Y0, Y1, Y1; \
	VADDPS 352(R8), Y1, Y1; \
	VMULPS Y0, Y0, Y3; \
	VMULPS Y3, Y1, Y1; \
	VADDPS Y0, Y1, Y1; \
	VADDPS Y10, Y1, Y1; \
	VPSUBD Y7, Y2, Y2; \
	VPSRAD $1, Y2, Y3; \
	VPSUBD Y3, Y2, Y2; \
	VPSLLD $23, Y3, Y3; \
	VPSLLD $23, Y2, Y2; \
	VPADDD Y10, Y3, Y3; \
	VPADDD Y10, Y2, Y2; \
	VMULPS Y3, Y1, Y1; \
	VMULPS Y2, Y1, Y1; \
	VMOVUPS Y1, OFFSET(DI); \
	VADDPS Y1, LANES, LANES

// func exp16(l *lanes, e, x *float32, n int, scale, max float32, c *[13][8]float32)
//	for i, v := range x { e[i] = Exp(v*scale - max); l[i%16] += e[i] }
//	R9 l, DI e, SI x, CX n, R8 constants
//	Y4 expMax, Y5 expMin, Y6 log2E, Y7 roundMagic, Y8 ln2Hi, Y9 ln2Lo, Y10 one (also the exponent's bias), Y12-Y13 lanes, Y14 scale, Y15 max
TEXT ·exp16(SB), NOSPLIT, $0-48
	MOVQ l+0(FP), R9
	MOVQ e+8(FP), DI
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS scale+32(FP), Y14
	VBROADCASTSS max+36(FP), Y15
	MOVQ c+40(FP), R8
	VMOVUPS 0(R8), Y4
	VMOVUPS 32(R8), Y5
	VMOVUPS 64(R8), Y6
	VMOVUPS 96(R8), Y7
	VMOVUPS 128(R8), Y8
	VMOVUPS 160(R8), Y9
	VMOVUPS 384(R8), Y10
	VMOVUPS 0(R9), Y12
	VMOVUPS 32(R9), Y13

loop:
	EXP(0, Y12)
	EXP(32, Y13)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ loop

	VMOVUPS Y12, 0(R9)
	VMOVUPS Y13, 32(R9)
	VZEROUPPER
	RET
