// Instructions that Go's assembler lacks, vector registers by number, operands in its order: sources first, the destination last.
// Encodings: Arm Architecture Reference Manual for A-profile, C7.2.

#define SMULL(M, N, D) WORD $(0x0E20C000 | M<<16 | N<<5 | D)  // SMULL D.8H, N.8B, M.8B
#define SMLAL(M, N, D) WORD $(0x0E208000 | M<<16 | N<<5 | D)  // SMLAL D.8H, N.8B, M.8B
#define SMLAL2(M, N, D) WORD $(0x4E208000 | M<<16 | N<<5 | D) // SMLAL2 D.8H, N.16B, M.16B
#define SMULL2(M, N, D) WORD $(0x4E20C000 | M<<16 | N<<5 | D) // SMULL2 D.8H, N.16B, M.16B
#define SMLAL4(M, N, D) WORD $(0x0E608000 | M<<16 | N<<5 | D) // SMLAL D.4S, N.4H, M.4H
#define SMLAL4H(M, N, D) WORD $(0x4E608000 | M<<16 | N<<5 | D) // SMLAL2 D.4S, N.8H, M.8H
#define SXTL(N, D) WORD $(0x0F08A400 | N<<5 | D)              // SXTL D.8H, N.8B
#define SXTL2(N, D) WORD $(0x4F08A400 | N<<5 | D)             // SXTL2 D.8H, N.16B
#define SADDLP(N, D) WORD $(0x4E602800 | N<<5 | D)            // SADDLP D.4S, N.8H
#define SADALP(N, D) WORD $(0x4E606800 | N<<5 | D)            // SADALP D.4S, N.8H
#define ADDP(M, N, D) WORD $(0x4EA0BC00 | M<<16 | N<<5 | D)   // ADDP D.4S, N.4S, M.4S: N's pairs, then M's
#define ADDP16(M, N, D) WORD $(0x4E60BC00 | M<<16 | N<<5 | D) // ADDP D.8H, N.8H, M.8H: N's pairs, then M's
#define SSHR1(N, D) WORD $(0x4F3F0400 | N<<5 | D)             // SSHR D.4S, N.4S, #1
#define UMAXV(N, D) WORD $(0x6EB0A800 | N<<5 | D)             // UMAXV S_D, N.4S

// SDOT D.4S, N.16B, M.4B[i]: adds to each of four sums the four products of its bytes with bytes 4i..4i+3 of M. FEAT_DotProd.
#define SDOT0(M, N, D) WORD $(0x4F80E000 | M<<16 | N<<5 | D)
#define SDOT1(M, N, D) WORD $(0x4FA0E000 | M<<16 | N<<5 | D)
#define SDOT2(M, N, D) WORD $(0x4F80E800 | M<<16 | N<<5 | D)
#define SDOT3(M, N, D) WORD $(0x4FA0E800 | M<<16 | N<<5 | D)

#define FADD(M, N, D) WORD $(0x4E20D400 | M<<16 | N<<5 | D)   // FADD D.4S, N.4S, M.4S
#define FADDP(M, N, D) WORD $(0x6E20D400 | M<<16 | N<<5 | D)  // FADDP D.4S, N.4S, M.4S: N's pairs, then M's
#define FADDP2(N, D) WORD $(0x7E30D800 | N<<5 | D)            // FADDP S_D, N.2S
#define FSUB(M, N, D) WORD $(0x4EA0D400 | M<<16 | N<<5 | D)   // FSUB D.4S, N.4S, M.4S: N - M
#define FMUL(M, N, D) WORD $(0x6E20DC00 | M<<16 | N<<5 | D)   // FMUL D.4S, N.4S, M.4S
#define FDIV(M, N, D) WORD $(0x6E20FC00 | M<<16 | N<<5 | D)   // FDIV D.4S, N.4S, M.4S: N / M
#define FMIN(M, N, D) WORD $(0x4EA0F400 | M<<16 | N<<5 | D)   // FMIN D.4S, N.4S, M.4S: NaN if one is
#define FMAX(M, N, D) WORD $(0x4E20F400 | M<<16 | N<<5 | D)   // FMAX D.4S, N.4S, M.4S: NaN if one is
#define FMAXNM(M, N, D) WORD $(0x4E20C400 | M<<16 | N<<5 | D) // FMAXNM D.4S, N.4S, M.4S: the other if one is a quiet NaN
#define SCVTF(N, D) WORD $(0x4E21D800 | N<<5 | D)             // SCVTF D.4S, N.4S: int32 to float32 as FPCR rounds, to nearest even
#define FCVTNS(N, D) WORD $(0x4E21A800 | N<<5 | D)            // FCVTNS D.4S, N.4S: float32 to int32, to nearest even
#define SQXTN4(N, D) WORD $(0x0E614800 | N<<5 | D)            // SQXTN D.4H, N.4S
#define SQXTN4H(N, D) WORD $(0x4E614800 | N<<5 | D)           // SQXTN2 D.8H, N.4S
#define SQXTN8(N, D) WORD $(0x0E214800 | N<<5 | D)            // SQXTN D.8B, N.8H
#define SQXTN8H(N, D) WORD $(0x4E214800 | N<<5 | D)           // SQXTN2 D.16B, N.8H
#define FCVTL(N, D) WORD $(0x0E217800 | N<<5 | D)             // FCVTL D.4S, N.4H: halves to float32
#define FCVTL2(N, D) WORD $(0x4E217800 | N<<5 | D)            // FCVTL2 D.4S, N.8H
#define SHLL(N, D) WORD $(0x2E613800 | N<<5 | D)              // SHLL D.4S, N.4H, #16: bf16 to float32
#define SHLL2(N, D) WORD $(0x6E613800 | N<<5 | D)             // SHLL2 D.4S, N.8H, #16
