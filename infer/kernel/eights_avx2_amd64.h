// Four rows of weights meet eight rows of x, one in each 32-bit lane of a vector. A block gives an exact sum for each pair, which goes, times both
// scales, to the lane (of the canonical order) of the block.
//	SI x, R8-R11 w, R13 scales of w, DX scales of x, CX blocks left, BX lane
//	Y8-Y11 exact sums of the four rows of w; the frame holds 16 lanes of 4 vectors

// CLEARLANES zeroes the frame of 2048 bytes.
#define CLEARLANES \
	VPXOR Y0, Y0, Y0; \
	MOVQ $2048, BX; \
clear: \
	SUBQ $64, BX; \
	VMOVDQU Y0, 0(SP)(BX*1); \
	VMOVDQU Y0, 32(SP)(BX*1); \
	JNZ clear

// ADDLANE adds the block of row R of w, whose sums are SUMS, to the lane; Y3 holds the scales of x.
#define ADDLANE(R, SUMS) \
	VBROADCASTSS (4*R)(R13), Y2; \
	VMULPS Y3, Y2, Y2; \
	VCVTDQ2PS SUMS, SUMS; \
	VFMADD213PS (32*R)(SP)(BX*1), Y2, SUMS; \
	VMOVUPS SUMS, (32*R)(SP)(BX*1)

// ADDLANES ends a block.
#define ADDLANES \
	VMOVUPS (DX), Y3; \
	ADDLANE(0, Y8); \
	ADDLANE(1, Y9); \
	ADDLANE(2, Y10); \
	ADDLANE(3, Y11); \
	ADDQ $32, DX; \
	ADDQ $16, R13; \
	ADDQ $128, BX; \
	ANDQ $2047, BX

// TREES sums the lanes of each row of w into Y8-Y11.
#define TREES \
	TREE(0, Y8); \
	TREE(32, Y9); \
	TREE(64, Y10); \
	TREE(96, Y11)

#define TREE(AT, SUM) \
	PAIR(AT, 0, SUM); \
	PAIR(AT, 4, Y1); \
	VADDPS Y1, SUM, SUM; \
	PAIR(AT, 2, Y1); \
	PAIR(AT, 6, Y2); \
	VADDPS Y2, Y1, Y1; \
	VADDPS Y1, SUM, SUM; \
	PAIR(AT, 1, Y1); \
	PAIR(AT, 5, Y2); \
	VADDPS Y2, Y1, Y1; \
	PAIR(AT, 3, Y2); \
	PAIR(AT, 7, Y3); \
	VADDPS Y3, Y2, Y2; \
	VADDPS Y2, Y1, Y1; \
	VADDPS Y1, SUM, SUM

#define PAIR(AT, LANE, Y) \
	VMOVUPS (AT+128*LANE)(SP), Y; \
	VADDPS (AT+128*LANE+1024)(SP), Y, Y

// STORE writes Y8-Y11, turned so that the four rows of w lie together for each row of x, to DI.
#define STORE \
	VUNPCKLPS Y9, Y8, Y0; \
	VUNPCKHPS Y9, Y8, Y1; \
	VUNPCKLPS Y11, Y10, Y2; \
	VUNPCKHPS Y11, Y10, Y3; \
	VUNPCKLPD Y2, Y0, Y4; \
	VUNPCKHPD Y2, Y0, Y5; \
	VUNPCKLPD Y3, Y1, Y6; \
	VUNPCKHPD Y3, Y1, Y7; \
	VMOVUPS X4, 0(DI); \
	VMOVUPS X5, 16(DI); \
	VMOVUPS X6, 32(DI); \
	VMOVUPS X7, 48(DI); \
	VEXTRACTF128 $1, Y4, 64(DI); \
	VEXTRACTF128 $1, Y5, 80(DI); \
	VEXTRACTF128 $1, Y6, 96(DI); \
	VEXTRACTF128 $1, Y7, 112(DI)
