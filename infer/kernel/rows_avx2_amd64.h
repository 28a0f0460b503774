// The bodies of the float loops, once for each type of row. Before including this a file defines
//
//	SIZE               bytes of an element
//	LOAD(address, Y)   8 elements as float32
//	LOAD1(address, X)  1 element as float32; may use AX

// DOTROWS is the body of dotRowsX(y, x *float32, w *T, rows, stride, n int):
//
//	for i := range rows { y[i] = canonical sum of x[:n] * w[i*stride:][:n] }
//
// Four rows at a time if n is whole groups of 16, or else one.
//	DI y, SI x, R8-R11 rows of w, CX rows left, DX stride in bytes, BX n, R12 element, R13 n without the tail
//	Y0-Y7 lanes 0-7 and 8-15 of four sums, Y8-Y9 x, Y10-Y11 w
#define DOTROWS \
	MOVQ y+0(FP), DI; \
	MOVQ x+8(FP), SI; \
	MOVQ w+16(FP), R8; \
	MOVQ rows+24(FP), CX; \
	MOVQ stride+32(FP), DX; \
	IMULQ $SIZE, DX; \
	MOVQ n+40(FP), BX; \
	MOVQ BX, R13; \
	ANDQ $~15, R13; \
more: \
	TESTQ CX, CX; \
	JZ done; \
	XORQ R12, R12; \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	CMPQ CX, $4; \
	JLT one; \
	CMPQ BX, R13; \
	JNE one; \
	LEAQ (R8)(DX*1), R9; \
	LEAQ (R8)(DX*2), R10; \
	LEAQ (R9)(DX*2), R11; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7; \
	TESTQ R13, R13; \
	JZ tree4; \
four: \
	VMOVUPS 0(SI)(R12*4), Y8; \
	VMOVUPS 32(SI)(R12*4), Y9; \
	FMAROW(R8, Y0, Y1); \
	FMAROW(R9, Y2, Y3); \
	FMAROW(R10, Y4, Y5); \
	FMAROW(R11, Y6, Y7); \
	ADDQ $16, R12; \
	CMPQ R12, R13; \
	JLT four; \
tree4: \
	FOLD(Y0, Y1, X0, X1); \
	FOLD(Y2, Y3, X2, X3); \
	FOLD(Y4, Y5, X4, X5); \
	FOLD(Y6, Y7, X6, X7); \
	VUNPCKLPS X2, X0, X8; \
	VUNPCKHPS X2, X0, X9; \
	VADDPS X9, X8, X8; \
	VUNPCKLPS X6, X4, X10; \
	VUNPCKHPS X6, X4, X11; \
	VADDPS X11, X10, X10; \
	VMOVLHPS X10, X8, X0; \
	VMOVHLPS X8, X10, X1; \
	VADDPS X1, X0, X0; \
	VMOVUPS X0, (DI); \
	ADDQ $16, DI; \
	LEAQ (R8)(DX*4), R8; \
	SUBQ $4, CX; \
	JMP more; \
one: \
	CMPQ R12, R13; \
	JGE tail; \
	VMOVUPS 0(SI)(R12*4), Y8; \
	VMOVUPS 32(SI)(R12*4), Y9; \
	FMAROW(R8, Y0, Y1); \
	ADDQ $16, R12; \
	JMP one; \
tail: \
	CMPQ R12, BX; \
	JGE tree; \
	VMOVUPS Y0, 0(SP); \
	VMOVUPS Y1, 32(SP); \
	MOVQ SP, R9; \
next: \
	LOAD1(0(R8)(R12*SIZE), X10); \
	VMOVSS (SI)(R12*4), X8; \
	VMOVSS (R9), X9; \
	VFMADD231SS X10, X8, X9; \
	VMOVSS X9, (R9); \
	ADDQ $4, R9; \
	INCQ R12; \
	CMPQ R12, BX; \
	JLT next; \
	VMOVUPS 0(SP), Y0; \
	VMOVUPS 32(SP), Y1; \
tree: \
	FOLD(Y0, Y1, X0, X1); \
	VMOVHLPS X0, X0, X1; \
	VADDPS X1, X0, X0; \
	VMOVSHDUP X0, X1; \
	VADDSS X1, X0, X0; \
	VMOVSS X0, (DI); \
	ADDQ $4, DI; \
	ADDQ DX, R8; \
	DECQ CX; \
	JMP more; \
done: \
	VZEROUPPER; \
	RET

// FMAROW adds 16 products to the lanes of one row.
#define FMAROW(BASE, LO, HI) \
	LOAD(0(BASE)(R12*SIZE), Y10); \
	LOAD(8*SIZE(BASE)(R12*SIZE), Y11); \
	VFMADD231PS Y10, Y8, LO; \
	VFMADD231PS Y11, Y9, HI

// FOLD does the tree's first two steps: 16 lanes in LO, HI to 4 in LOX.
#define FOLD(LO, HI, LOX, HIX) \
	VADDPS HI, LO, LO; \
	VEXTRACTF128 $1, LO, HIX; \
	VADDPS HIX, LOX, LOX

// MIXROWS is the body of mixRowsX(o, p *float32, v *T, rows, stride, n int):
//
//	for j := range rows { for i := range n { o[i] = fma(p[j], v[j*stride+i], o[i]) } }
//
// 64 columns at a time go through all rows in registers, then 8, then 1.
//	DI o, SI p, R8 v at the first column of the tile, R9 v in the row, CX rows, BX columns left, DX stride in bytes, R12 row
//	Y0-Y7 sums, Y8 p[j], Y9-Y12 v
#define MIXROWS \
	MOVQ o+0(FP), DI; \
	MOVQ p+8(FP), SI; \
	MOVQ v+16(FP), R8; \
	MOVQ rows+24(FP), CX; \
	MOVQ stride+32(FP), DX; \
	IMULQ $SIZE, DX; \
	MOVQ n+40(FP), BX; \
tile64: \
	CMPQ BX, $64; \
	JLT tile8; \
	MOVQ R8, R9; \
	XORQ R12, R12; \
	VMOVUPS 0(DI), Y0; \
	VMOVUPS 32(DI), Y1; \
	VMOVUPS 64(DI), Y2; \
	VMOVUPS 96(DI), Y3; \
	VMOVUPS 128(DI), Y4; \
	VMOVUPS 160(DI), Y5; \
	VMOVUPS 192(DI), Y6; \
	VMOVUPS 224(DI), Y7; \
row64: \
	VBROADCASTSS (SI)(R12*4), Y8; \
	MIX(0, Y0, Y9); \
	MIX(8, Y1, Y10); \
	MIX(16, Y2, Y11); \
	MIX(24, Y3, Y12); \
	MIX(32, Y4, Y9); \
	MIX(40, Y5, Y10); \
	MIX(48, Y6, Y11); \
	MIX(56, Y7, Y12); \
	ADDQ DX, R9; \
	INCQ R12; \
	CMPQ R12, CX; \
	JLT row64; \
	VMOVUPS Y0, 0(DI); \
	VMOVUPS Y1, 32(DI); \
	VMOVUPS Y2, 64(DI); \
	VMOVUPS Y3, 96(DI); \
	VMOVUPS Y4, 128(DI); \
	VMOVUPS Y5, 160(DI); \
	VMOVUPS Y6, 192(DI); \
	VMOVUPS Y7, 224(DI); \
	ADDQ $256, DI; \
	ADDQ $(64*SIZE), R8; \
	SUBQ $64, BX; \
	JMP tile64; \
tile8: \
	CMPQ BX, $8; \
	JLT tile1; \
	MOVQ R8, R9; \
	XORQ R12, R12; \
	VMOVUPS (DI), Y0; \
row8: \
	VBROADCASTSS (SI)(R12*4), Y8; \
	MIX(0, Y0, Y9); \
	ADDQ DX, R9; \
	INCQ R12; \
	CMPQ R12, CX; \
	JLT row8; \
	VMOVUPS Y0, (DI); \
	ADDQ $32, DI; \
	ADDQ $(8*SIZE), R8; \
	SUBQ $8, BX; \
	JMP tile8; \
tile1: \
	TESTQ BX, BX; \
	JZ done; \
	MOVQ R8, R9; \
	XORQ R12, R12; \
	VMOVSS (DI), X0; \
row1: \
	VMOVSS (SI)(R12*4), X8; \
	LOAD1(0(R9), X9); \
	VFMADD231SS X9, X8, X0; \
	ADDQ DX, R9; \
	INCQ R12; \
	CMPQ R12, CX; \
	JLT row1; \
	VMOVSS X0, (DI); \
	ADDQ $4, DI; \
	ADDQ $SIZE, R8; \
	DECQ BX; \
	JMP tile1; \
done: \
	VZEROUPPER; \
	RET

// MIX adds 8 columns of a row.
#define MIX(COLUMN, SUM, V) \
	LOAD(COLUMN*SIZE(R9), V); \
	VFMADD231PS V, Y8, SUM

// DECODEROW is the body of decodeRowX(dst *float32, w *T, n int):
//
//	for i := range n { dst[i] = float32(w[i]) }
//
//	DI dst, SI w, CX elements left
#define DECODEROW \
	MOVQ dst+0(FP), DI; \
	MOVQ w+8(FP), SI; \
	MOVQ n+16(FP), CX; \
eight: \
	SUBQ $8, CX; \
	JLT rest; \
	LOAD(0(SI), Y0); \
	VMOVUPS Y0, (DI); \
	ADDQ $(8*SIZE), SI; \
	ADDQ $32, DI; \
	JMP eight; \
rest: \
	ADDQ $8, CX; \
one: \
	JZ done; \
	LOAD1(0(SI), X0); \
	VMOVSS X0, (DI); \
	ADDQ $SIZE, SI; \
	ADDQ $4, DI; \
	DECQ CX; \
	JMP one; \
done: \
	VZEROUPPER; \
	RET
