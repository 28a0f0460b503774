//go:build !purego

#include "textflag.h"

#define SIZE 4
#define LOAD(ADDRESS, Y) VMOVUPS ADDRESS, Y
#define LOAD1(ADDRESS, X) VMOVSS ADDRESS, X
#include "rows_avx2_amd64.h"

// func dotRowsF32(y, x, w *float32, rows, stride, n int)
TEXT ·dotRowsF32(SB), NOSPLIT, $64-48
	DOTROWS

// func mixRowsF32(o, p, v *float32, rows, stride, n int)
TEXT ·mixRowsF32(SB), NOSPLIT, $0-48
	MIXROWS
