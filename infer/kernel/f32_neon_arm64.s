//go:build !purego

#include "textflag.h"

#define SIZE 4
#define LOAD(R) VLD1.P 64(R), [V4.S4, V5.S4, V6.S4, V7.S4]
#include "rows_neon_arm64.h"

// func dotRowsF32NEON(y, x, w *float32, rows, stride, n int)
TEXT ·dotRowsF32NEON(SB), NOSPLIT, $0-48
	DOTROWS

// func dotLanesF32NEON(l *lanes, x, w *float32, n int)
TEXT ·dotLanesF32NEON(SB), NOSPLIT, $0-32
	DOTLANES

// func mixRowsF32NEON(o, p, v *float32, rows, stride, n int)
TEXT ·mixRowsF32NEON(SB), NOSPLIT, $0-48
	MIXROWS
