// A row of weights meets eight rows of x. A block gives an exact sum for each, which goes, times both scales, to the lane of the block.
//	R0 y, R1 w, R2 x, R3 scales of w, R4 scales of x, R5 blocks left, R6 lane's offset, R7 lanes (512 bytes of frame)
//	V16-V19 two partial sums of each row of x

// CLEARLANES zeroes the lanes.
#define CLEARLANES \
	VEOR V0.B16, V0.B16, V0.B16; \
	VEOR V1.B16, V1.B16, V1.B16; \
	MOVD $512, R6; \
	MOVD R7, R8; \
clear: \
	VST1.P [V0.B16, V1.B16], 32(R8); \
	SUBS $32, R6; \
	BNE clear

// ADDLANE ends a block: lane += float32(sums) * (dw * dx), fused.
#define ADDLANE \
	ADDP(17, 16, 16); \
	ADDP(19, 18, 17); \
	SCVTF(16, 16); \
	SCVTF(17, 17); \
	VLD1R (R3), [V0.S4]; \
	VLD1.P 32(R4), [V2.S4, V3.S4]; \
	FMUL(2, 0, 2); \
	FMUL(3, 0, 3); \
	ADD R6, R7, R8; \
	VLD1 (R8), [V4.S4, V5.S4]; \
	VFMLA V2.S4, V16.S4, V4.S4; \
	VFMLA V3.S4, V17.S4, V5.S4; \
	VST1 [V4.S4, V5.S4], (R8); \
	ADD $16, R3; \
	ADD $32, R6; \
	AND $511, R6

// TREE sums the lanes and writes every fourth number at R0.
#define TREE \
	MOVD R7, R8; \
	VLD1.P 64(R8), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	VLD1.P 64(R8), [V4.S4, V5.S4, V6.S4, V7.S4]; \
	VLD1.P 64(R8), [V8.S4, V9.S4, V10.S4, V11.S4]; \
	VLD1.P 64(R8), [V12.S4, V13.S4, V14.S4, V15.S4]; \
	VLD1.P 64(R8), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	VLD1.P 64(R8), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VLD1.P 64(R8), [V24.S4, V25.S4, V26.S4, V27.S4]; \
	VLD1.P 64(R8), [V28.S4, V29.S4, V30.S4, V31.S4]; \
	FADD(16, 0, 0); \
	FADD(17, 1, 1); \
	FADD(18, 2, 2); \
	FADD(19, 3, 3); \
	FADD(20, 4, 4); \
	FADD(21, 5, 5); \
	FADD(22, 6, 6); \
	FADD(23, 7, 7); \
	FADD(24, 8, 8); \
	FADD(25, 9, 9); \
	FADD(26, 10, 10); \
	FADD(27, 11, 11); \
	FADD(28, 12, 12); \
	FADD(29, 13, 13); \
	FADD(30, 14, 14); \
	FADD(31, 15, 15); \
	FADD(8, 0, 0); \
	FADD(9, 1, 1); \
	FADD(10, 2, 2); \
	FADD(11, 3, 3); \
	FADD(12, 4, 4); \
	FADD(13, 5, 5); \
	FADD(14, 6, 6); \
	FADD(15, 7, 7); \
	FADD(4, 0, 0); \
	FADD(5, 1, 1); \
	FADD(6, 2, 2); \
	FADD(7, 3, 3); \
	FADD(2, 0, 0); \
	FADD(3, 1, 1); \
	MOVD R0, R8; \
	VST1 V0.S[0], (R8); \
	ADD $16, R8; \
	VST1 V0.S[1], (R8); \
	ADD $16, R8; \
	VST1 V0.S[2], (R8); \
	ADD $16, R8; \
	VST1 V0.S[3], (R8); \
	ADD $16, R8; \
	VST1 V1.S[0], (R8); \
	ADD $16, R8; \
	VST1 V1.S[1], (R8); \
	ADD $16, R8; \
	VST1 V1.S[2], (R8); \
	ADD $16, R8; \
	VST1 V1.S[3], (R8); \
	ADD $16, R8
