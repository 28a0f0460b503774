//go:build !purego

#include "textflag.h"

DATA q6bounds<>+0(SB)/4, $0xc2000000 // -32
DATA q6bounds<>+4(SB)/4, $0x41f80000 // 31
GLOBL q6bounds<>(SB), RODATA|NOPTR, $8

// func q6FitAVX2(fits *q6Fits, x *[16]float32, tries *[24]float32, m float32)
//	for i := range x {
//		v, w := x[i], x[i]*x[i]
//		for try := range tries { // a lane each, so that every sum has the order of the weights
//			l := min(max(round(tries[try]/m*v), -32), 31)
//			fits.lx[try] += w*v * l
//			fits.l2[try] += w*l * l
//		}
//	}
// Y0-Y2 tries/m, Y3-Y5 lx, Y6-Y8 l2, Y9 v, Y10 w, Y11 w*v, Y14 -32, Y15 31
TEXT ·q6FitAVX2(SB), NOSPLIT, $0-28
	MOVQ fits+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ tries+16(FP), DX
	VBROADCASTSS m+24(FP), Y9
	VMOVUPS 0(DX), Y0
	VMOVUPS 32(DX), Y1
	VMOVUPS 64(DX), Y2
	VDIVPS  Y9, Y0, Y0
	VDIVPS  Y9, Y1, Y1
	VDIVPS  Y9, Y2, Y2
	VXORPS  Y3, Y3, Y3
	VXORPS  Y4, Y4, Y4
	VXORPS  Y5, Y5, Y5
	VXORPS  Y6, Y6, Y6
	VXORPS  Y7, Y7, Y7
	VXORPS  Y8, Y8, Y8
	VBROADCASTSS q6bounds<>+0(SB), Y14
	VBROADCASTSS q6bounds<>+4(SB), Y15
	MOVQ $16, CX

weight:
	VBROADCASTSS (SI), Y9
	VMULPS  Y9, Y9, Y10
	VMULPS  Y9, Y10, Y11
	VMULPS  Y9, Y0, Y12      // code of the weight in each try
	VROUNDPS $0, Y12, Y12     // half to even
	VMAXPS  Y14, Y12, Y12
	VMINPS  Y15, Y12, Y12
	VMULPS  Y11, Y12, Y13
	VADDPS  Y13, Y3, Y3
	VMULPS  Y10, Y12, Y13
	VMULPS  Y12, Y13, Y13
	VADDPS  Y13, Y6, Y6
	VMULPS  Y9, Y1, Y12      // code of the weight in each try
	VROUNDPS $0, Y12, Y12     // half to even
	VMAXPS  Y14, Y12, Y12
	VMINPS  Y15, Y12, Y12
	VMULPS  Y11, Y12, Y13
	VADDPS  Y13, Y4, Y4
	VMULPS  Y10, Y12, Y13
	VMULPS  Y12, Y13, Y13
	VADDPS  Y13, Y7, Y7
	VMULPS  Y9, Y2, Y12      // code of the weight in each try
	VROUNDPS $0, Y12, Y12     // half to even
	VMAXPS  Y14, Y12, Y12
	VMINPS  Y15, Y12, Y12
	VMULPS  Y11, Y12, Y13
	VADDPS  Y13, Y5, Y5
	VMULPS  Y10, Y12, Y13
	VMULPS  Y12, Y13, Y13
	VADDPS  Y13, Y8, Y8
	ADDQ $4, SI
	DECQ CX
	JNZ  weight

	VMOVUPS Y3, 0(DI)
	VMOVUPS Y4, 32(DI)
	VMOVUPS Y5, 64(DI)
	VMOVUPS Y6, 96(DI)
	VMOVUPS Y7, 128(DI)
	VMOVUPS Y8, 160(DI)
	VZEROUPPER
	RET
