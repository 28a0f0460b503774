package quant

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/wrinklefree/wf/gguf"
)

// Share is what a tensor of ternary weights holds: its scale and how many of its weights are -1, 0 and +1.
type Share struct {
	Scale float32 `json:"scale"`           // 0 if all weights are 0 and the type has no other place for it
	Mixed bool    `json:"mixed,omitempty"` // blocks of TQ1_0 or TQ2_0 have other scales too: not the weights of a BitNet layer
	Minus uint64  `json:"minus"`
	Zero  uint64  `json:"zero"`
	Plus  uint64  `json:"plus"`
}

// Weights is how many weights were counted.
func (s *Share) Weights() uint64 { return s.Minus + s.Zero + s.Plus }

// Percent is how the weights are shared out among -1, 0 and +1, such as "31.2/37.6/31.2".
func (s *Share) Percent() string {
	percent := func(n uint64) float64 { return 100 * float64(n) / float64(max(s.Weights(), 1)) }
	return fmt.Sprintf("%.1f/%.1f/%.1f", percent(s.Minus), percent(s.Zero), percent(s.Plus))
}

// addCodes counts 2-bit codes, four to a byte in whatever order, and returns how many of them are 3.
func (s *Share) addCodes(b []byte) (bad uint64) {
	const low = 0x5555555555555555
	var zero, plus, three int
	count := func(w uint64) {
		l, h := w&low, w>>1&low
		zero += bits.OnesCount64(l &^ h)
		plus += bits.OnesCount64(h &^ l)
		three += bits.OnesCount64(h & l)
	}
	n := uint64(4 * len(b))
	for ; len(b) >= 8; b = b[8:] {
		count(binary.LittleEndian.Uint64(b))
	}
	for _, v := range b { // code 0 in the bytes that are not there counts as nothing
		count(uint64(v))
	}
	s.Zero, s.Plus, s.Minus = s.Zero+uint64(zero), s.Plus+uint64(plus), s.Minus+n-uint64(zero+plus+three)
	return uint64(three)
}

// hasCode3 reports whether any of the 2-bit codes is 3.
func hasCode3(b []byte) bool {
	le := binary.LittleEndian
	var both uint64 // bits whose lower neighbour is set, too
	for ; len(b) >= 32; b = b[32:] {
		w0, w1, w2, w3 := le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
		both |= w0>>1&w0 | w1>>1&w1 | w2>>1&w2 | w3>>1&w3
	}
	for _, v := range b {
		both |= uint64(v) >> 1 & uint64(v)
	}
	return both&0x5555555555555555 != 0
}

// tq1Counts is how many of a TQ1_0 byte's first four digits, and of all five, are 0, 1 and 2.
var tq1Counts = func() (table [2][256][3]uint8) {
	for b := range 256 {
		rest := byte(b)
		for i := range 5 {
			u := uint16(rest) * 3 >> 8
			rest *= 3
			if table[1][b][u]++; i < 4 {
				table[0][b][u]++
			}
		}
	}
	return table
}()

// addBlock counts the weights of one TQ1_0 or TQ2_0 block, and returns how many codes are 3.
func (s *Share) addBlock(t gguf.Type, block []byte) (bad uint64) {
	if t == gguf.TQ2_0 {
		return s.addCodes(block[:tq2Bytes-2])
	}
	var sum [3]uint64
	for _, r := range tq1Runs {
		for _, v := range block[r.bytes : r.bytes+r.stride] {
			c := &tq1Counts[r.digits-4][v]
			sum[0], sum[1], sum[2] = sum[0]+uint64(c[0]), sum[1]+uint64(c[1]), sum[2]+uint64(c[2])
		}
	}
	s.Minus, s.Zero, s.Plus = s.Minus+sum[0], s.Zero+sum[1], s.Plus+sum[2]
	return 0
}

// floatShare counts floating-point numbers while they are {-s, 0, s}, by their bits.
type floatShare struct {
	Share
	magnitude uint32 // bits of s; 0 while only zeros have come
}

// add looks at whole numbers of a plain type, and reports whether they are ternary with all before.
func (s *floatShare) add(t gguf.Type, data []byte) bool {
	size := int(t.BlockBytes())
	n := uint64(len(data) / size)
	at := func(i int) uint32 {
		if size == 2 {
			return uint32(binary.LittleEndian.Uint16(data[i:]))
		}
		return binary.LittleEndian.Uint32(data[i:])
	}
	sign := uint(8*size - 1)
	for i := 0; i < len(data) && s.magnitude == 0; i += size {
		s.magnitude = at(i) &^ (1 << sign)
	}
	var zero, minus, other uint32 // without branches: no processor foresees the signs of weights
	for i := 0; i < len(data); i += size {
		v := at(i)
		m := v &^ (1 << sign)
		none := (m - 1) >> 31 // 1 if m is 0: a magnitude has at most 31 bits
		zero += none
		minus += v >> sign &^ none
		other |= (m ^ s.magnitude) & (none - 1)
	}
	s.Zero, s.Minus, s.Plus = s.Zero+uint64(zero), s.Minus+uint64(minus), s.Plus+n-uint64(zero)-uint64(minus)
	return other == 0
}

// scale returns the value of s.
func (s *floatShare) scale(t gguf.Type) float32 {
	var x [1]float32
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], s.magnitude)
	Decode(x[:], t, b[:t.BlockBytes()])
	return x[0]
}

// ShareOf counts the weights of an I2_S tensor that has been decided and not written, by computing its bytes.
func ShareOf(t Tensor) (*Share, error) {
	size, _ := t.Type.ByteSize(t.Dims)
	c := &codeCounter{codes: size - I2STailBytes}
	if err := t.Fill(c); err != nil {
		return nil, err
	}
	c.share.Scale = I2SScale(c.tail)
	return &c.share, nil
}

// codeCounter takes the bytes of an I2_S tensor.
type codeCounter struct {
	share Share
	codes uint64 // bytes of codes still to come
	tail  []byte
}

func (c *codeCounter) Write(p []byte) (int, error) {
	n := min(uint64(len(p)), c.codes)
	c.share.addCodes(p[:n])
	c.codes -= n
	c.tail = append(c.tail, p[n:]...)
	return len(p), nil
}
