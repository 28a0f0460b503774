//go:build !purego

#include "textflag.h"

#define SIZE 2
#define LOAD(ADDRESS, Y) VPMOVZXWD ADDRESS, Y; VPSLLD $16, Y, Y
#define LOAD1(ADDRESS, X) MOVWLZX ADDRESS, AX; SHLL $16, AX; VMOVD AX, X
#include "rows_avx2_amd64.h"

// func dotRowsBF16(y, x *float32, w *uint16, rows, stride, n int)
TEXT ·dotRowsBF16(SB), NOSPLIT, $64-48
	DOTROWS

// func decodeRowBF16(dst *float32, w *uint16, n int)
TEXT ·decodeRowBF16(SB), NOSPLIT, $0-24
	DECODEROW
