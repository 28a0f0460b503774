//go:build !purego

#include "textflag.h"

DATA magnitude<>+0(SB)/4, $0x7fff0000
GLOBL magnitude<>(SB), RODATA|NOPTR, $4

// func absSumBF16AVX2(lanes *[8]float64, raw *byte, blocks int)
//	for b := range blocks {
//		for l := range lanes { // a bfloat16 is the upper half of a float32
//			lanes[l] += float64(|float32frombits(uint32(word(raw, 8*b+l)) << 16)|)
//		}
//	}
// Y0-Y1 lanes, Y2 all bits but the sign's, Y3-Y5 weights
TEXT ·absSumBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ lanes+0(FP), DI
	MOVQ raw+8(FP), SI
	MOVQ blocks+16(FP), CX
	VMOVUPD 0(DI), Y0
	VMOVUPD 32(DI), Y1
	VPBROADCASTD magnitude<>+0(SB), Y2
	TESTQ CX, CX
	JZ   done

block:
	VPMOVZXWD (SI), Y3
	VPSLLD $16, Y3, Y3
	VPAND  Y2, Y3, Y3
	VEXTRACTF128 $1, Y3, X5
	VCVTPS2PD X3, Y4
	VCVTPS2PD X5, Y5
	VADDPD Y4, Y0, Y0
	VADDPD Y5, Y1, Y1
	ADDQ $16, SI
	DECQ CX
	JNZ  block

done:
	VMOVUPD Y0, 0(DI)
	VMOVUPD Y1, 32(DI)
	VZEROUPPER
	RET
