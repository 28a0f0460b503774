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

// func scale8(y, x, w *float32, n int, r float32)
//	for i, v := range x { y[i] = v * r * w[i] }
TEXT ·scale8(SB), NOSPLIT, $0-36
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ w+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS r+32(FP), Y1

loop:
	VMULPS (SI), Y1, Y0
	VMULPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

// func add8(x, y *float32, n int)
//	for i, v := range y { x[i] += v }
TEXT ·add8(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ n+16(FP), CX

loop:
	VMOVUPS (DI), Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

// func gate8(x, e, u *float32, n int)
//	for i, v := range u { x[i] = x[i] / (1 + e[i]) * v }
TEXT ·gate8(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), DI
	MOVQ e+8(FP), SI
	MOVQ u+16(FP), DX
	MOVQ n+24(FP), CX
	MOVL $0x3F800000, AX // 1
	VMOVD AX, X2
	VPBROADCASTD X2, Y2

loop:
	VMOVUPS (DI), Y0
	VADDPS (SI), Y2, Y1
	VDIVPS Y1, Y0, Y0
	VMULPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET

// func relu8(x, u *float32, n int)
//	for i, v := range u { r := max(x[i], 0); x[i] = r * r * v } // VMAXPS keeps x where it is NaN
TEXT ·relu8(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), DI
	MOVQ u+8(FP), DX
	MOVQ n+16(FP), CX
	VXORPS Y1, Y1, Y1

loop:
	VMAXPS (DI), Y1, Y0
	VMULPS Y0, Y0, Y0
	VMULPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ loop
	VZEROUPPER
	RET
