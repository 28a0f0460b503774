package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

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
// p+3n/4, the first in the highest bits. wf writes Layout128 alone; the others are what some builds of other programs wrote.
type Layout uint32

const (
	Layout128    Layout = 128 // the published files
	Layout64     Layout = 64  // bitnet.cpp on ARM, November 2025 to July 2026
	LayoutRows4  Layout = 0   // bitnet.cpp on x86 without ACT_PARALLEL, the same months: a group is four rows, which In settles
	LayoutSeqMSB Layout = 4   // llama-quantize of microsoft's fork of 2026: neighbours in a byte
	LayoutSeqLSB Layout = 1   // WrinkleFree's sequential files: the same, but the first in the lowest bits
)

// layouts are the values of --i2s-layout.
var layouts = []struct {
	name   string
	layout Layout
}{{"128", Layout128}, {"64", Layout64}, {"rows4", LayoutRows4}, {"seq-msb", LayoutSeqMSB}, {"seq-lsb", LayoutSeqLSB}}

// LayoutNames lists the values of --i2s-layout.
func LayoutNames() string {
	var names []string
	for _, l := range layouts {
		names = append(names, l.name)
	}
	return strings.Join(names, ", ")
}

// ParseLayout reads the value of --i2s-layout; "" is Layout128.
func ParseLayout(name string) (Layout, bool) {
	if name == "" {
		return Layout128, true
	}
	for _, l := range layouts {
		if l.name == name {
			return l.layout, true
		}
	}
	return 0, false
}

// In returns the layout as it is in a matrix with rows of cols weights. Code: UNSUPPORTED_SHAPE for LayoutRows4 if the rows are no groups of four
// or too long.
func (l Layout) In(cols, rows uint64) (Layout, error) {
	if l != LayoutRows4 {
		return l, nil
	}
	if rows%4 != 0 || cols > math.MaxInt32/4 {
		return 0, fault.New("UNSUPPORTED_SHAPE", "[%d %d] cannot lie in --i2s-layout rows4, whose groups are four rows; try another layout", cols, rows)
	}
	return Layout(4 * cols), nil
}

// Group returns how many weights make a group: the data are whole groups. The layout is from In.
func (l Layout) Group() int {
	if l == LayoutSeqLSB {
		return 4
	}
	return int(l)
}

// firstBad returns the first weight that has code 3 among those in some bytes of a tensor's codes, which begin at byte at; ok is false if none has.
func (l Layout) firstBad(src []byte, at uint64) (weight uint64, ok bool) {
	weight = math.MaxUint64
	group := uint64(l.Group())
	for i, v := range src {
		if v&(v>>1)&0x55 == 0 {
			continue
		}
		if l == LayoutSeqLSB {
			v = reversed[v]
		}
		byteAt := at + uint64(i)
		for k := range uint64(4) {
			if v>>(6-2*k)&3 == 3 {
				weight = min(weight, byteAt/(group/4)*group+k*(group/4)+byteAt%(group/4))
			}
		}
	}
	return weight, weight != math.MaxUint64
}

// reversed has the four codes of a byte in the opposite order.
var reversed = func() (table [256]byte) {
	for b := range table {
		table[b] = byte(b>>6 | b>>2&0x0c | b<<2&0x30 | b<<6)
	}
	return table
}()

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

// Unpack reads codes in this layout, which is from In; len(trits) = 4*len(src) is whole groups. A code 3 is a *CodeError; its trit becomes 2.
func (l Layout) Unpack(trits []int8, src []byte) error {
	group := l.Group()
	if len(trits) != 4*len(src) || len(trits)%group != 0 {
		panic("quant: lengths disagree")
	}
	var bad CodeError
	stride := group / 4
	for first := 0; first < len(trits); first += group {
		t := trits[first:][:group]
		t0, t1, t2, t3 := t[:stride], t[stride:][:stride], t[2*stride:][:stride], t[3*stride:][:stride]
		for p, v := range src[first/4:][:stride] {
			if l == LayoutSeqLSB {
				v = reversed[v]
			}
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
		return 0, fault.New("USAGE", "--i2s-layout is %s; want one of %s", fault.Quote(option), LayoutNames())
	}
	marked, ok, err := gguf.Value[uint32](md, names.I2SLayout)
	switch {
	case err != nil || !ok:
		return layout, err
	case option != "" && option != strconv.Itoa(int(marked)):
		return 0, fault.New("USAGE", "--i2s-layout is %s, but the file says %d; leave the option out", option, marked)
	}
	if layout, ok = ParseLayout(strconv.Itoa(int(marked))); !ok {
		return 0, fault.New("MODEL_BAD_PARAM", "%s is %d; wf knows layouts %s", names.I2SLayout, marked, LayoutNames())
	}
	return layout, nil
}
