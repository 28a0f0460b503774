//go:build !purego

#include "textflag.h"

// Loops over numbers alone. Lengths are multiples of 8, not 0.

// func top8(x *float32, n int) float32
//	for _, v := range x { if v > top { top = v } } // VMAXPS keeps Y0 where v is NaN
TEXT ·top8(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVL $0xFF800000, AX // -Inf
	VMOVD AX, X0
	VPBROADCASTD X0, Y0

loop:
	VMOVUPS (SI), Y1
	VMAXPS Y0, Y1, Y0
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ loop

	VEXTRACTF128 $1, Y0, X1
	VMAXPS X0, X1, X0
	VPSHUFD $0x4E, X0, X1
	VMAXPS X0, X1, X0
	VPSHUFD $0xB1, X0, X1
	VMAXPS X0, X1, X0
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func divide8(x *float32, n int, by float32)
//	for i := range x { x[i] /= by }
TEXT ·divide8(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS by+16(FP), Y1

loop:
	VMOVUPS (SI), Y0
	VDIVPS Y1, Y0, Y0
	VMOVUPS Y0, (SI)
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET
