package synthetic

import (
	"io"
	"math/rand/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/quant"
)

const (
	stretch = 1 << 18 // weights that are really drawn; a multiple of every block
	spread  = 0.02    // of weights: with it a row of some thousands sums to about 1, as training keeps it
)

// noise is random data of one type: a stretch of whole blocks. Tensors are made of parts of it that begin at random blocks, so that gigabytes
// cost no more than copying.
type noise struct {
	blocks []byte
	unit   int // bytes of a block
	tail   []byte
	rng    *rand.Rand
}

// newNoise draws weights: -spread, 0 and spread alike if ternary, else normal.
func newNoise(t gguf.Type, ternary bool, rng *rand.Rand) *noise {
	n := &noise{unit: int(t.BlockBytes()), rng: rng}
	if quant.IsTernary(t) {
		trits := make([]int8, stretch)
		for i := range trits {
			trits[i] = int8(rng.IntN(3) - 1)
		}
		n.blocks = quant.Pack(nil, t, trits, spread)
		if t == gguf.I2_S {
			tail := quant.I2STail(spread)
			n.tail = tail[:]
		}
		return n
	}
	x := make([]float32, stretch)
	for i := range x {
		if x[i] = spread * float32(rng.NormFloat64()); ternary {
			x[i] = spread * float32(rng.IntN(3)-1)
		}
	}
	n.blocks = quant.Encode(nil, t, x)
	return n
}

// write writes size bytes of blocks, the tail among them.
func (n *noise) write(w io.Writer, size uint64) error {
	for left := size - uint64(len(n.tail)); left > 0; {
		from := n.rng.IntN(len(n.blocks)/n.unit/2) * n.unit
		part := n.blocks[from : from+int(min(left, uint64(len(n.blocks)/2)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		left -= uint64(len(part))
	}
	_, err := w.Write(n.tail)
	return err
}

// ones writes a norm's weights: numbers near 1.
func (n *noise) ones(w io.Writer, t gguf.Type, count int) error {
	x := make([]float32, count)
	for i := range x {
		x[i] = 1 + float32(spread*float32(n.rng.NormFloat64())) // rounded before it is added, or some processors fuse the two
	}
	_, err := w.Write(quant.Encode(nil, t, x))
	return err
}
