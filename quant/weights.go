package quant

import (
	"context"
	"io"
	"sync"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// chunk is how many weights are worked on at a time: whole blocks of every type.
const chunk = 1 << 18

// weights reads a stored tensor as float32. It can be read from several goroutines.
type weights struct {
	raw    *io.SectionReader
	typ    gguf.Type
	n      uint64
	step   uint64  // weights in a chunk
	layout Layout  // of I2_S
	scale  float32 // of I2_S
}

func newWeights(f *gguf.File, t *gguf.TensorInfo, layout Layout) (*weights, error) {
	w := &weights{raw: f.TensorReader(t), typ: t.Type, n: t.Dims[0] * t.Rows(), step: chunk} // the product has been checked by gguf
	if t.Type == gguf.I2_S {
		var err error
		if w.layout, err = layout.In(t.Dims[0], t.Rows()); err != nil {
			return nil, err
		}
		group := uint64(w.layout.Group())
		for group%tqWeights != 0 { // whole blocks of every type, too; 256 is a power of two
			group *= 2
		}
		if w.step = chunk / group * group; w.step == 0 {
			return nil, fault.New("UNSUPPORTED_SHAPE", "rows of %d weights are too long for --i2s-layout rows4; try another layout", t.Dims[0])
		}
		var tail [I2STailBytes]byte
		if err := w.readRaw(tail[:], int64(t.Size)-I2STailBytes); err != nil {
			return nil, err
		}
		w.scale = I2SScale(tail[:])
		if err := CheckScale(gguf.I2_S, w.scale); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *weights) readRaw(p []byte, off int64) error {
	n, err := w.raw.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}

// buffers are what reading one chunk needs beside its values.
type buffers struct {
	raw    []byte
	trits  []int8
	scales []float32
	x      []float32
}

var pool = sync.Pool{New: func() any {
	return &buffers{make([]byte, 4*chunk), make([]int8, chunk), make([]float32, chunk/tqWeights), make([]float32, chunk)}
}}

// chunks returns how many there are.
func (w *weights) chunks() int { return int((w.n + w.step - 1) / w.step) }

// read returns the values of chunk i, in a buffer of b.
func (w *weights) read(b *buffers, i int) ([]float32, error) {
	first := uint64(i) * w.step
	x := b.x[:min(w.n-first, w.step)]
	perBlock, blockBytes := w.typ.BlockSize(), w.typ.BlockBytes()
	raw := b.raw[:uint64(len(x))/perBlock*blockBytes]
	if err := w.readRaw(raw, int64(first/perBlock*blockBytes)); err != nil {
		return nil, err
	}
	var err error
	switch w.typ {
	case gguf.I2_S:
		if err = w.layout.Unpack(b.trits[:len(x)], raw); err == nil {
			scaleTrits(x, b.trits[:len(x)], w.scale)
		}
	case gguf.TQ2_0:
		if err = UnpackTQ2(b.trits[:len(x)], b.scales[:len(x)/tqWeights], raw); err == nil {
			Decode(x, w.typ, raw)
		}
	default:
		Decode(x, w.typ, raw)
	}
	if bad, ok := err.(*CodeError); ok {
		bad.Index += int(first)
	}
	return x, err
}

// detect reads all values and returns the scale of ternary weights. Codes: NOT_TERNARY, TENSOR_NOT_FINITE, those of reading.
func (w *weights) detect(ctx context.Context, seen func(bytes int64)) (Detector, error) {
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	var d Detector
	finite := Range{Type: gguf.F32}
	for i := range w.chunks() {
		if err := context.Cause(ctx); err != nil {
			return d, err
		}
		x, err := w.read(b, i)
		if err == nil {
			err = finite.Add(x)
		}
		if err != nil {
			return d, err
		}
		d.Add(x)
		seen(int64(len(x)) / int64(w.typ.BlockSize()) * int64(w.typ.BlockBytes()))
	}
	return d, nil
}

// encode writes all values as a type that is not ternary.
func (w *weights) encode(ctx context.Context, out io.Writer, t gguf.Type) (Range, error) {
	var mu sync.Mutex
	whole := Range{Type: t}
	err := InOrder(ctx, out, w.chunks(), 0, func(i int, dst []byte) ([]byte, error) {
		b := pool.Get().(*buffers)
		defer pool.Put(b)
		x, err := w.read(b, i)
		if err != nil {
			return nil, err
		}
		r := Range{Type: t, Next: uint64(i) * w.step}
		if err := r.Add(x); err != nil {
			return nil, err
		}
		mu.Lock()
		whole.Merge(r)
		mu.Unlock()
		return Encode(dst, t, x), nil
	})
	if err == nil {
		err = whole.Whole()
	}
	return whole, err
}

// pack writes all values, which are in {-scale, 0, scale}, as a ternary type.
func (w *weights) pack(ctx context.Context, out io.Writer, t gguf.Type, scale float32) error {
	err := InOrder(ctx, out, w.chunks(), 0, func(i int, dst []byte) ([]byte, error) {
		b := pool.Get().(*buffers)
		defer pool.Put(b)
		x, err := w.read(b, i)
		if err != nil {
			return nil, err
		}
		trits := b.trits[:len(x)]
		Ternarize(trits, x, scale)
		return Pack(dst, t, trits, scale), nil
	})
	if err != nil || t != gguf.I2_S {
		return err
	}
	tail := I2STail(scale)
	_, err = out.Write(tail[:])
	return err
}
