package kernel

import "encoding/binary"

// I2SCols is what the columns of a matrix must be a multiple of for SetI2S: a block of I2_S.
const I2SCols = 128

// SetI2S is SetRow for rows row, row+1, ... at once, from their I2_S codes in the published layout (package quant, FORMATS.md 2.7): the same
// bits, without a byte for each weight on the way. It reports false, and leaves the rows undefined, if there is a code 3.
func (t *Ternary) SetI2S(row int, codes []byte) bool {
	stride := t.cols / 4
	if t.cols%I2SCols != 0 || len(codes)%stride != 0 {
		panic("kernel: SetI2S: lengths disagree")
	}
	bad := uint64(0)
	for ; len(codes) > 0; row, codes = row+1, codes[stride:] {
		panel := t.data[row/panelRows*t.panel:][:t.panel]
		at := row % panelRows * 4
		for src := codes[:stride]; len(src) > 0; src, panel = src[32:], panel[8*panelBytes:] {
			// Byte p holds the weights p, p+32, p+64 and p+96, the first in the highest bits.
			b := (*[32]byte)(src)
			u0, u1 := binary.LittleEndian.Uint64(b[0:]), binary.LittleEndian.Uint64(b[8:])
			u2, u3 := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
			bad |= u0&(u0>>1) | u1&(u1>>1) | u2&(u2>>1) | u3&(u3>>1)
			out := (*[8 * panelBytes]byte)(panel)[at:]
			_ = out[7*panelBytes+3]
			binary.LittleEndian.PutUint32(out[0*panelBytes:], gather(u0>>6, u1>>6))
			binary.LittleEndian.PutUint32(out[1*panelBytes:], gather(u2>>6, u3>>6))
			binary.LittleEndian.PutUint32(out[2*panelBytes:], gather(u0>>4, u1>>4))
			binary.LittleEndian.PutUint32(out[3*panelBytes:], gather(u2>>4, u3>>4))
			binary.LittleEndian.PutUint32(out[4*panelBytes:], gather(u0>>2, u1>>2))
			binary.LittleEndian.PutUint32(out[5*panelBytes:], gather(u2>>2, u3>>2))
			binary.LittleEndian.PutUint32(out[6*panelBytes:], gather(u0, u1))
			binary.LittleEndian.PutUint32(out[7*panelBytes:], gather(u2, u3))
		}
	}
	return bad&0x5555_5555_5555_5555 == 0
}

// gather takes the codes of 16 neighbouring columns, in the low two bits of 16 bytes, to a panel's 4 bytes: codes 0..3, and 4..7 above them,
// 8..11, 12..15.
func gather(lo, hi uint64) uint32 {
	const code = 0x0303_0303_0303_0303
	x := lo&code | hi&code<<4
	return uint32(x) | uint32(x>>32)<<2
}
