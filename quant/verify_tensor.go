package quant

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// Finding is what one tensor's data turned out to be.
type Finding struct {
	Hash     uint64 // xxh64 of the data
	Share    *Share // with VerifyOptions.Shares, of ternary weights with a finite scale; nil for others
	Constant bool   // it is a matrix and all its weights are the same
	Problem  error  // with a code: what is wrong with it, and where first

	mixed bool // TQ blocks have scales of their own
}

// examine looks at every tensor, one on each processor, the first in the file first, so that a disk reads forward.
func examine(ctx context.Context, f *gguf.File, layout Layout, o VerifyOptions) ([]Finding, error) {
	var (
		found   = make([]Finding, len(f.Tensors))
		buffers = sync.Pool{New: func() any { return new([1 << 20]byte) }}
		mu      sync.Mutex
		done    int64
		total   int64
	)
	for i := range f.Tensors {
		total += int64(f.Tensors[i].Size)
	}
	seen := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		if done += int64(n); o.Progress != nil {
			o.Progress(done, total)
		}
	}
	return found, Each(ctx, 0, len(found), func(i int) error {
		buffer := buffers.Get().(*[1 << 20]byte)
		defer buffers.Put(buffer)
		e := newExaminer(&f.Tensors[i], layout, o.Shares)
		err := e.read(ctx, f, buffer[:], seen)
		if err == nil {
			found[i] = e.finding()
		}
		return err
	})
}

// examiner looks at the data of one tensor, front to back.
type examiner struct {
	info   *gguf.TensorInfo
	layout Layout
	cols   uint64
	block  int // bytes

	hash     *xxhash.Digest
	blocks   uint64 // looked at so far
	constant bool   // all blocks are the same so far
	first    []byte // block
	half     uint16 // first scale of TQ blocks that is not 0
	shares   bool   // they are counted
	share    Share
	floats   *floatShare // nil: not counted, or not ternary
	bad      uint64      // codes 3
	err      error
}

func newExaminer(info *gguf.TensorInfo, layout Layout, shares bool) *examiner {
	e := &examiner{info: info, cols: info.Dims[0], block: int(info.Type.BlockBytes()), hash: xxhash.New(), shares: shares}
	e.constant = info.Rows() > 1 // so far; a vector never is
	if info.Type == gguf.I2_S {
		e.layout, e.err = layout.In(e.cols, info.Rows())
	}
	if shares && isFloat(info.Type) && IsProjection(info.Name) {
		e.floats = new(floatShare)
	}
	return e
}

func (e *examiner) read(ctx context.Context, f *gguf.File, buffer []byte, seen func(int)) error {
	r, left := f.TensorReader(e.info), e.info.Size
	if e.info.Type == gguf.I2_S {
		left -= I2STailBytes
	}
	for left > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		part := buffer[:min(uint64(len(buffer)/e.block*e.block), left)]
		if _, err := io.ReadFull(r, part); err != nil {
			return err
		}
		e.hash.Write(part)
		e.look(part)
		seen(len(part))
		left -= uint64(len(part))
	}
	if e.info.Type != gguf.I2_S {
		return nil
	}
	tail := buffer[:I2STailBytes]
	if _, err := io.ReadFull(r, tail); err != nil {
		return err
	}
	e.hash.Write(tail)
	seen(len(tail))
	e.share.Scale = I2SScale(tail)
	if err := CheckScale(gguf.I2_S, e.share.Scale); e.err == nil {
		e.err = err
	}
	return nil
}

// look takes whole blocks.
func (e *examiner) look(part []byte) {
	if e.first == nil {
		e.first = bytes.Clone(part[:e.block])
	}
	e.constant = e.constant && bytes.Equal(part[:e.block], e.first) && bytes.Equal(part[e.block:], part[:len(part)-e.block])
	switch e.info.Type {
	case gguf.I2_S:
		damaged := hasCode3(part)
		if damaged && e.err == nil {
			weight, _ := e.layout.firstBad(part, e.blocks*uint64(e.block))
			e.badCode(weight)
		}
		if damaged || e.shares {
			e.bad += e.share.addCodes(part)
		}
	case gguf.TQ1_0, gguf.TQ2_0:
		for i := 0; i < len(part); i += e.block {
			e.lookTQ(part[i:][:e.block], e.blocks+uint64(i/e.block))
		}
	default:
		e.lookFinite(part)
	}
	if e.floats != nil && (e.err != nil || !e.floats.add(e.info.Type, part)) {
		e.floats = nil
	}
	e.blocks += uint64(len(part) / e.block)
}

// place says in words where a weight is.
func (e *examiner) place(weight uint64) string {
	return fmt.Sprintf("row %d, column %d", weight/e.cols, weight%e.cols)
}

// badCode notes the first weight with code 3.
func (e *examiner) badCode(weight uint64) {
	e.err = fault.New((&CodeError{}).Code(), "%s holds code 3, which is no weight", e.place(weight))
}

func (e *examiner) lookTQ(block []byte, index uint64) {
	if e.info.Type == gguf.TQ2_0 && hasCode3(block[:tq2Bytes-2]) {
		if e.bad += e.share.addBlock(e.info.Type, block); e.err == nil {
			var c *CodeError
			errors.As(UnpackTQ2(make([]int8, tqWeights), make([]float32, 1), block), &c)
			e.badCode(index*tqWeights + uint64(c.Index))
		}
	} else if e.shares {
		e.share.addBlock(e.info.Type, block)
	}
	half := binary.LittleEndian.Uint16(block[len(block)-2:])
	switch {
	case half == e.half && half != 0: // as of all blocks of a BitNet layer
	case half>>15 != 0 || half&0x7c00 == 0x7c00 || half == 0 && !zeros(e.info.Type, block):
		if e.err == nil {
			e.err = fault.New("TENSOR_BAD_SCALE", "the block of %s has the scale %v; it must be positive and finite, or the block all 0",
				e.place(index*tqWeights), fromHalf(half))
		}
	case half == 0:
	case e.half == 0:
		e.half = half
		e.share.Scale = fromHalf(half)
	default:
		e.share.Mixed = true
	}
}

// zeros reports whether all weights of a TQ block are 0.
func zeros(t gguf.Type, block []byte) bool {
	var s Share
	return s.addBlock(t, block) == 0 && s.Minus+s.Plus == 0
}

func (e *examiner) lookFinite(part []byte) {
	b := NotFinite(e.info.Type, part)
	if b < 0 || e.err != nil {
		return
	}
	x := make([]float32, e.info.Type.BlockSize())
	Decode(x, e.info.Type, part[b*e.block:][:e.block])
	at := max(0, slices.IndexFunc(x, func(v float32) bool { return v-v != 0 }))
	weight := (e.blocks+uint64(b))*e.info.Type.BlockSize() + uint64(at)
	e.err = fault.New("TENSOR_NOT_FINITE", "%s holds %v; every weight must be a number", e.place(weight), x[at])
}

func (e *examiner) finding() Finding {
	found := Finding{Hash: e.hash.Sum64(), Constant: e.constant && e.sameInBlock(), Problem: e.err, mixed: e.share.Mixed}
	if e.bad > 0 && fault.Code(e.err) == (&CodeError{}).Code() {
		found.Problem = fmt.Errorf("%w (%d in all); it is damaged, or its codes lie in another layout (--i2s-layout)", e.err, e.bad)
	}
	if e.floats != nil {
		e.share = e.floats.Share
		e.share.Scale = e.floats.scale(e.info.Type)
	}
	if e.floats != nil || e.shares && IsTernary(e.info.Type) && e.share.Scale-e.share.Scale == 0 {
		found.Share = &e.share
	}
	return found
}

// sameInBlock reports whether all weights of the first block are the same.
func (e *examiner) sameInBlock() bool {
	if c := e.first[0]; e.info.Type == gguf.I2_S {
		return c == c&3*0b01_01_01_01 && bytes.Count(e.first, e.first[:1]) == len(e.first)
	}
	x := make([]float32, e.info.Type.BlockSize())
	Decode(x, e.info.Type, e.first)
	return !slices.ContainsFunc(x, func(v float32) bool { return v != x[0] })
}
