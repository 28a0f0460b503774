//go:build !purego

#include "textflag.h"

#define SIZE 2
#define LOAD(ADDRESS, Y) VCVTPH2PS ADDRESS, Y
#define LOAD1(ADDRESS, X) MOVWLZX ADDRESS, AX; VMOVD AX, X; VCVTPH2PS X, X
#include "rows_avx2_amd64.h"

// func dotRowsF16(y, x *float32, w *uint16, rows, stride, n int)
TEXT ·dotRowsF16(SB), NOSPLIT, $64-48
	DOTROWS

// func mixRowsF16(o, p *float32, v *uint16, rows, stride, n int)
TEXT ·mixRowsF16(SB), NOSPLIT, $0-48
	MIXROWS

// func decodeRowF16(dst *float32, w *uint16, n int)
TEXT ·decodeRowF16(SB), NOSPLIT, $0-24
	DECODEROW
