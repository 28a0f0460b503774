package infer

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/quant"
)

// errNotTernary says that a matrix has weights other than -s, 0 and s for one s.
var errNotTernary = errors.New("not ternary")

// unpacker reads trits of whole rows, the first being row. It fails with errNotTernary or *quant.CodeError.
type unpacker func(trits []int8, row int) error

// readTernary lays a matrix out for the kernel.
func (w *weights) readTernary(t *tensor) (*kernel.Ternary, error) {
	if t.Type == gguf.I2_S {
		return w.readI2S(t)
	}
	scale := firstMagnitude(t)
	newUnpacker := func() unpacker { return unpackFloats(t, scale) }
	if quant.IsTernary(t.Type) {
		newUnpacker = func() unpacker { return unpackTQ(t, scale) }
	} else if scale-scale != 0 {
		return nil, errNotTernary // and not finite either, which readDense will say
	}
	m, err := w.newTernary(t, scale)
	if err == nil {
		err = w.unpack(m, t, 1, newUnpacker)
	}
	return m, err
}

// readI2S reads n/4 bytes of codes and the scale behind them (FORMATS.md 2.7).
func (w *weights) readI2S(t *tensor) (*kernel.Ternary, error) {
	cols := t.cols
	codes, tail := t.data[:len(t.data)-quant.I2STailBytes], t.data[len(t.data)-quant.I2STailBytes:]
	m, err := w.newTernary(t, quant.I2SScale(tail))
	if err != nil || w.layout == quant.Layout128 && cols%kernel.I2SCols == 0 && w.setI2S(m, t, codes) {
		return m, err
	}
	// Blocks run through the whole tensor and may straddle rows, so rows are unpacked in the smallest groups that begin and end with a block.
	layout, err := w.layout.In(uint64(cols), uint64(t.rows))
	if err != nil {
		return nil, err
	}
	return m, w.unpack(m, t, layout.Group()/gcd(cols, layout.Group()), func() unpacker {
		return func(trits []int8, row int) error { return layout.Unpack(trits, codes[row*cols/4:][:len(trits)/4]) }
	})
}

// setI2S is the short way for the published layout. It reports false where there is a code 3, and then unpacking will say where.
func (w *weights) setI2S(m *kernel.Ternary, t *tensor, codes []byte) bool {
	var bad atomic.Bool
	w.pool.Run(t.rows, 64, func(lo, hi int) {
		if !m.SetI2S(lo, codes[lo*t.cols/4:hi*t.cols/4]) {
			bad.Store(true)
		}
	})
	return !bad.Load()
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// unpackTQ reads TQ1_0 and TQ2_0. Their blocks have scales of their own; in a matrix that was ternary all are the same, or 0 for a block of
// zeros.
func unpackTQ(t *tensor, scale float32) unpacker {
	block := int(t.Type.BlockSize())
	scales := make([]float32, t.cols/block)
	return func(trits []int8, row int) error {
		src := t.row(row)
		if t.Type == gguf.TQ1_0 {
			quant.UnpackTQ1(trits, scales, src)
		} else if err := quant.UnpackTQ2(trits, scales, src); err != nil {
			return err
		}
		for b, d := range scales {
			switch d {
			case scale:
			case 0:
				clear(trits[b*block:][:block])
			default:
				return errNotTernary
			}
		}
		return nil
	}
}

// unpackFloats reads F32, F16 and BF16.
func unpackFloats(t *tensor, scale float32) unpacker {
	x := make([]float32, t.cols)
	return func(trits []int8, row int) error {
		quant.Decode(x, t.Type, t.row(row))
		for i, v := range x {
			switch v {
			case 0:
				trits[i] = 0
			case scale:
				trits[i] = 1
			case -scale:
				trits[i] = -1
			default:
				return errNotTernary
			}
		}
		return nil
	}
}

// firstMagnitude is the magnitude of the first weight that is not zero. A matrix of zeros may have any scale; it gets the one that wf convert
// writes.
func firstMagnitude(t *tensor) float32 {
	x := make([]float32, t.cols)
	for r := range t.rows {
		quant.Decode(x, t.Type, t.row(r))
		for _, v := range x {
			if v != 0 {
				return float32(math.Abs(float64(v)))
			}
		}
	}
	return 1e-5
}

// newTernary makes a matrix without weights yet.
func (w *weights) newTernary(t *tensor, scale float32) (*kernel.Ternary, error) {
	scale *= t.factor
	if err := checkScale(t, scale); err != nil {
		return nil, err
	}
	m, err := kernel.NewTernary(t.rows, t.cols, scale, w.arena.take(kernel.TernaryBytes(t.rows, t.cols)))
	if err != nil {
		return nil, fmt.Errorf("infer: tensor %q: %w", t.Name, err)
	}
	return m, nil
}

// unpack fills a matrix, group rows at a time. All threads do, each with an unpacker of its own.
func (w *weights) unpack(m *kernel.Ternary, t *tensor, group int, newUnpacker func() unpacker) error {
	var found findings
	w.pool.Run(t.rows, group, func(lo, hi int) {
		unpack, buffer := newUnpacker(), make([]int8, group*t.cols)
		for ; lo < hi; lo += group {
			trits := buffer[:min(group, hi-lo)*t.cols]
			if err := unpack(trits, lo); err != nil {
				found.add(err, lo, t.cols)
				continue
			}
			for r := 0; len(trits) > 0; r, trits = r+1, trits[t.cols:] {
				m.SetRow(lo+r, trits[:t.cols])
			}
		}
	})
	return found.err(t)
}

// findings gathers what the threads object to.
type findings struct {
	sync.Mutex
	notTernary bool
	codes, row int // how many codes 3, and the first row that has one
}

func (f *findings) add(err error, row, cols int) {
	f.Lock()
	defer f.Unlock()
	var bad *quant.CodeError
	if !errors.As(err, &bad) {
		f.notTernary = true
		return
	}
	if row += bad.Index / cols; f.codes == 0 || row < f.row {
		f.row = row
	}
	f.codes += bad.Count
}

func (f *findings) err(t *tensor) error {
	switch {
	case f.codes > 0:
		return fault.New("TENSOR_BAD_TERNARY_CODE", "infer: tensor %q: row %d holds code 3, which is no weight (%d in all); the file is damaged, or "+
			"its codes lie in another layout (--i2s-layout)", t.Name, f.row, f.codes)
	case f.notTernary:
		return errNotTernary
	}
	return nil
}
