//go:build !purego

#include "textflag.h"

#define SIZE 2
#define LOAD(R) \
	VLD1.P 32(R), [V4.H8, V5.H8]; \
	SHLL2(5, 7); \
	SHLL(5, 6); \
	SHLL2(4, 5); \
	SHLL(4, 4)
#include "rows_neon_arm64.h"

// func dotRowsBF16NEON(y, x *float32, w *uint16, rows, stride, n int)
TEXT ·dotRowsBF16NEON(SB), NOSPLIT, $0-48
	DOTROWS

// func dotLanesBF16NEON(l *lanes, x *float32, w *uint16, n int)
TEXT ·dotLanesBF16NEON(SB), NOSPLIT, $0-32
	DOTLANES

// func decodeRowBF16NEON(dst *float32, w *uint16, n int)
TEXT ·decodeRowBF16NEON(SB), NOSPLIT, $0-24
	DECODEROW
