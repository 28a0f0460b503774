package quant

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// Finding is what one tensor's data turned out to be.
type Finding struct {
	Hash     uint64 // xxh64 of the data
	Share    *Share // of ternary weights with a finite scale, also of floating-point ones with VerifyOptions.FloatShares; nil for others
	Constant bool   // it is a matrix and all its weights are the same
	Problem  error  // with a code: what is wrong with it, and where first
}

// examine looks at every tensor, one on each processor, the first in the file first, so that a disk reads forward.
func examine(ctx context.Context, f *gguf.File, layout Layout, o VerifyOptions) ([]Finding, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		found   = make([]Finding, len(f.Tensors))
		next    atomic.Int64
		mu      sync.Mutex
		done    int64
		total   int64
		workers sync.WaitGroup
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
	one := func(i int, buffer []byte) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("looking at tensor %s: panic: %v", fault.Quote(f.Tensors[i].Name), r)
			}
		}()
		e := newExaminer(&f.Tensors[i], layout, o.FloatShares)
		if err := e.read(ctx, f, buffer, seen); err != nil {
			return err
		}
		found[i] = e.finding()
		return nil
	}
	for range min(runtime.GOMAXPROCS(0), len(found)) {
		workers.Go(func() {
			buffer := make([]byte, 1<<20)
			for context.Cause(ctx) == nil {
				i := int(next.Add(1)) - 1
				if i >= len(found) {
					return
				}
				if err := one(i, buffer); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return found, context.Cause(ctx)
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
	share    Share
	floats   *floatShare // nil: not counted, or not ternary
	bad      uint64      // codes 3
	err      error
}

func newExaminer(info *gguf.TensorInfo, layout Layout, floatShares bool) *examiner {
	e := &examiner{info: info, cols: info.Dims[0], block: int(info.Type.BlockBytes()), hash: xxhash.New(), constant: info.Rows() > 1}
	if info.Type == gguf.I2_S {
		e.layout, e.err = layout.In(e.cols, info.Rows())
	}
	if floatShares && isFloat(info.Type) && IsProjection(info.Name) {
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
		bad := e.share.addCodes(part)
		if bad > 0 && e.err == nil {
			weight, _ := e.layout.firstBad(part, e.blocks*uint64(e.block))
			e.badCode(weight)
		}
		e.bad += bad
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
	before := e.share
	if e.info.Type == gguf.TQ1_0 {
		e.share.addTQ1(block)
	} else if bad := e.share.addCodes(block[:tq2Bytes-2]); bad > 0 {
		if e.bad += bad; e.err == nil {
			var c *CodeError
			errors.As(UnpackTQ2(make([]int8, tqWeights), make([]float32, 1), block), &c)
			e.badCode(index*tqWeights + uint64(c.Index))
		}
	}
	half := binary.LittleEndian.Uint16(block[len(block)-2:])
	scale := fromHalf(half)
	some := e.share.Minus+e.share.Plus > before.Minus+before.Plus
	switch {
	case half>>15 != 0 || half&0x7c00 == 0x7c00 || half == 0 && some:
		if e.err == nil {
			e.err = fault.New("TENSOR_BAD_SCALE", "the block of %s has the scale %v; it must be positive and finite, or the block all 0",
				e.place(index*tqWeights), scale)
		}
	case half == 0:
	case e.share.Scale == 0:
		e.share.Scale = scale
	default:
		e.share.Mixed = e.share.Mixed || scale != e.share.Scale
	}
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
	found := Finding{Hash: e.hash.Sum64(), Constant: e.constant && e.sameInBlock(), Problem: e.err}
	if e.bad > 0 && fault.Code(e.err) == (&CodeError{}).Code() {
		found.Problem = fmt.Errorf("%w (%d in all); it is damaged, or its codes lie in another layout (--i2s-layout)", e.err, e.bad)
	}
	if e.floats != nil {
		e.share = e.floats.Share
		e.share.Scale = e.floats.scale(e.info.Type)
	}
	if e.floats != nil || IsTernary(e.info.Type) && e.share.Scale-e.share.Scale == 0 {
		found.Share = &e.share
	}
	return found
}

// sameInBlock reports whether all weights of the first block are the same.
func (e *examiner) sameInBlock() bool {
	if e.info.Type == gguf.I2_S {
		return e.share.Weights() == max(e.share.Minus, e.share.Zero, e.share.Plus) && e.bad == 0
	}
	x := make([]float32, e.info.Type.BlockSize())
	Decode(x, e.info.Type, e.first)
	return !slices.ContainsFunc(x, func(v float32) bool { return v != x[0] })
}
