// Four sums of blocks at a time: each block gives an exact sum, which goes, times both scales, to the lane of the block.

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
