//go:build !purego

#include "textflag.h"

#define SIZE 2
#define LOAD(R) \
	VLD1.P 32(R), [V4.H8, V5.H8]; \
	FCVTL2(5, 7); \
	FCVTL(5, 6); \
	FCVTL2(4, 5); \
	FCVTL(4, 4)
#include "rows_neon_arm64.h"

// func dotRowsF16NEON(y, x *float32, w *uint16, rows, stride, n int)
TEXT ·dotRowsF16NEON(SB), NOSPLIT, $0-48
	DOTROWS

// func dotLanesF16NEON(l *lanes, x *float32, w *uint16, n int)
TEXT ·dotLanesF16NEON(SB), NOSPLIT, $0-32
	DOTLANES

// func mixRowsF16NEON(o, p *float32, v *uint16, rows, stride, n int)
TEXT ·mixRowsF16NEON(SB), NOSPLIT, $0-48
	MIXROWS

// func decodeRowF16NEON(dst *float32, w *uint16, n int)
TEXT ·decodeRowF16NEON(SB), NOSPLIT, $0-24
	DECODEROW
