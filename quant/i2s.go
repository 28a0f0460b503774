package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// I2_S stores the flattened tensor in groups of 128 weights, which may straddle rows, and one scale behind them all:
//
//	32b+p, p = 0..31  u of weights 128b+p (bits 7-6), 128b+p+32 (5-4), 128b+p+64 (3-2), 128b+p+96 (1-0)
//	n/4               scale s, float32; value = s*(u-1)
//	n/4+4             28 bytes that mean nothing; wf writes zeros
//
// u = 3 means nothing: programs disagree about it, so it is taken for damage.
//
// Layout: bitnet.cpp, quantize_i2_s as published until November 2025 and in microsoft's GGUF files. Other builds of it wrote other layouts
// under the same type, which a file does not tell apart: Layout names them.

// I2STailBytes is what follows the codes of an I2_S tensor.
const I2STailBytes = 32

// Layout is the number of weights whose codes share a group of bytes in I2_S data: byte p of a group of n/4 holds weights p, p+n/4, p+n/2,
// p+3n/4, the first in the highest bits. wf writes Layout128 alone.
type Layout uint32

const (
	Layout128 Layout = 128 // the published files
	Layout64  Layout = 64  // bitnet.cpp on ARM, November 2025 to July 2026
)

// ParseLayout reads the value of --i2s-layout; "" is Layout128.
func ParseLayout(name string) (Layout, bool) {
	switch name {
	case "", "128":
		return Layout128, true
	case "64":
		return Layout64, true
	}
	return 0, false
}

// CodeError says that ternary data holds the code 3. Index counts from the beginning of the data that was unpacked.
type CodeError struct{ Index, Count int }

func (e *CodeError) Error() string {
	return fmt.Sprintf("the ternary code 3, which has no meaning, %d times, first at weight %d; the data is damaged or in another layout",
		e.Count, e.Index)
}

// Code returns TENSOR_BAD_TERNARY_CODE.
func (e *CodeError) Code() string { return "TENSOR_BAD_TERNARY_CODE" }

func (e *CodeError) add(index int) {
	if e.Count == 0 || index < e.Index {
		e.Index = index
	}
	e.Count++
}

func (e *CodeError) orNil() error {
	if e.Count == 0 {
		return nil
	}
	return e
}

// PackI2S appends len(trits)/4 bytes of codes; len(trits) is a multiple of 128. The last of a tensor's are followed by I2STail.
func PackI2S(dst []byte, trits []int8) []byte {
	if len(trits)%128 != 0 {
		panic("quant: partial block")
	}
	dst, out := extend(dst, len(trits)/4)
	for ; len(trits) > 0; trits, out = trits[128:], out[32:] {
		t, o := trits[:128], out[:32]
		for p := range 32 {
			o[p] = byte(t[p]+1)<<6 | byte(t[p+32]+1)<<4 | byte(t[p+64]+1)<<2 | byte(t[p+96]+1)
		}
	}
	return dst
}

// I2STail returns what follows the codes of a tensor.
func I2STail(scale float32) (tail [I2STailBytes]byte) {
	binary.LittleEndian.PutUint32(tail[:], math.Float32bits(scale))
	return tail
}

// I2SScale reads the scale out of a tail.
func I2SScale(tail []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(tail)) }

// UnpackI2S is the inverse of PackI2S. A code 3 is a *CodeError.
func UnpackI2S(trits []int8, src []byte) error { return Layout128.Unpack(trits, src) }

// Unpack reads codes in this layout; len(trits) = 4*len(src) is a multiple of it. A code 3 is a *CodeError; its trit becomes 2.
func (l Layout) Unpack(trits []int8, src []byte) error {
	if len(trits) != 4*len(src) || len(trits)%int(l) != 0 {
		panic("quant: lengths disagree")
	}
	var bad CodeError
	stride := int(l) / 4
	for first := 0; first < len(trits); first += int(l) {
		t := trits[first:][:l]
		t0, t1, t2, t3 := t[:stride], t[stride:][:stride], t[2*stride:][:stride], t[3*stride:][:stride]
		for p, v := range src[first/4:][:stride] {
			t0[p], t1[p], t2[p], t3[p] = int8(v>>6)-1, int8(v>>4&3)-1, int8(v>>2&3)-1, int8(v&3)-1
			if v&(v>>1)&0x55 != 0 {
				for k := range 4 {
					if t[k*stride+p] == 2 {
						bad.add(first + k*stride + p)
					}
				}
			}
		}
	}
	return bad.orNil()
}

// InputLayout returns the layout of a file's I2_S tensors: what its metadata say, else what the option says, else Layout128.
func InputLayout(md *gguf.Metadata, option string) (Layout, error) {
	layout, ok := ParseLayout(option)
	if !ok {
		return 0, fault.New("USAGE", "--i2s-layout is %s; want 128 or 64", fault.Quote(option))
	}
	marked, ok, err := gguf.Value[uint32](md, names.I2SLayout)
	switch {
	case err != nil || !ok:
		return layout, err
	case option != "" && layout != Layout(marked):
		return 0, fault.New("USAGE", "--i2s-layout is %s, but the file says %d; leave the option out", option, marked)
	}
	if layout, ok = ParseLayout(strconv.Itoa(int(marked))); !ok {
		return 0, fault.New("MODEL_BAD_PARAM", "%s is %d; wf reads layouts 128 and 64", names.I2SLayout, marked)
	}
	return layout, nil
}
