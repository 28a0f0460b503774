package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/quant"
)

var le = binary.LittleEndian

// fill writes the tensor's bytes to w, chunk by chunk of whole rows, computed on several goroutines. lost counts values that became 0.
func (t *TensorPlan) fill(ctx context.Context, source *checkpoint.Tensor, threads int, lost *atomic.Uint64, w io.Writer) error {
	if t.Values != nil {
		_, err := w.Write(quant.Encode(nil, t.Type, t.Values))
		return err
	}
	step := t.step()
	n := (t.Rows + step - 1) / step
	err := quant.InOrder(ctx, w, int(n), threads, func(i int, dst []byte) ([]byte, error) {
		s := scratches.Get().(*scratch)
		defer scratches.Put(s)
		first := uint64(i) * step
		return t.rows(dst, s, source, first, min(step, t.Rows-first), lost)
	})
	if err == nil && t.Type == gguf.I2_S {
		tail := quant.I2STail(t.Scale)
		_, err = w.Write(tail[:])
	}
	return err
}

// step returns how many rows make a chunk: about chunk weights, whole heads where rows are regrouped, whole blocks of I2_S.
func (t *TensorPlan) step() uint64 {
	unit := uint64(1)
	if t.Order != AsIs {
		unit = t.Head
	}
	if t.Type == gguf.I2_S {
		for unit*t.Cols%gguf.I2_S.BlockSize() != 0 {
			unit *= 2 // 128 is a power of two
		}
	}
	return max(1, chunk/(t.Cols*unit)) * unit
}

// rows appends rows [first, first+n) of the output.
func (t *TensorPlan) rows(dst []byte, s *scratch, source *checkpoint.Tensor, first, n uint64, lost *atomic.Uint64) ([]byte, error) {
	if t.Code == Packed {
		trits, err := s.codes(source, t.FirstRow+first, n, t.Cols)
		if err != nil {
			return nil, err
		}
		return t.pack(dst, s, regroup(t, &s.movedTrits, trits)), nil
	}
	x, err := s.floats(source, (t.FirstRow+first)*t.Cols, n*t.Cols)
	if err != nil {
		return nil, err
	}
	if t.Code == Ternary {
		trits := sized(&s.trits, len(x))
		quant.Ternarize(trits, x, t.Unit)
		return t.pack(dst, s, regroup(t, &s.movedTrits, trits)), nil
	}
	if t.Scale != 1 {
		for i, v := range x {
			x[i] = v * t.Scale
		}
	}
	r := quant.Range{Type: t.Type, Next: first * t.Cols}
	if err := r.Add(x); err != nil {
		return nil, err
	}
	if r.Underflows > 0 {
		lost.Add(r.Underflows)
	}
	return quant.Encode(dst, t.Type, regroup(t, &s.moved, x)), nil
}

// pack appends ternary weights in the tensor's type.
func (t *TensorPlan) pack(dst []byte, s *scratch, trits []int8) []byte {
	switch t.Type {
	case gguf.I2_S:
		return quant.PackI2S(dst, trits)
	case gguf.TQ1_0:
		return quant.PackTQ1(dst, trits, t.Scale)
	case gguf.TQ2_0:
		return quant.PackTQ2(dst, trits, t.Scale)
	}
	values := [3]float32{-t.Scale, 0, t.Scale}
	if t.Type.BlockBytes() == 2 { // F16 and BF16: one of three patterns, most of what a BitNet file holds
		codes := quant.Encode(nil, t.Type, values[:])
		pattern := [3]uint16{le.Uint16(codes), le.Uint16(codes[2:]), le.Uint16(codes[4:])}
		start, n := len(dst), 2*len(trits)
		dst = slices.Grow(dst, n)[:start+n]
		out := dst[start:]
		for i, c := range trits {
			le.PutUint16(out[2*i:], pattern[c+1])
		}
		return dst
	}
	x := sized(&s.x, len(trits))
	for i, c := range trits {
		x[i] = values[c+1]
	}
	return quant.Encode(dst, t.Type, x)
}

// regroup puts the rows of every head into the tensor's order.
func regroup[T any](t *TensorPlan, to *[]T, from []T) []T {
	if t.Order == AsIs {
		return from
	}
	out, cols, half := sized(to, len(from)), t.Cols, t.Head/2
	for head := uint64(0); head < uint64(len(from)); head += t.Head * cols {
		for j := range half {
			for c := range uint64(2) {
				pair, apart := head+(2*j+c)*cols, head+(c*half+j)*cols
				if t.Order == Interleaved {
					copy(out[pair:pair+cols], from[apart:])
				} else {
					copy(out[apart:apart+cols], from[pair:])
				}
			}
		}
	}
	return out
}

// file returns the plan as quant writes it.
func (p *Plan) file(ctx context.Context, ckpt *checkpoint.Checkpoint, o *Options, lost *atomic.Uint64) *quant.File {
	f := &quant.File{Metadata: p.Metadata, Type: p.Type, Version: o.Version, Options: quant.Record(recorded, o)}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		source, _ := ckpt.Tensor(t.Source)
		f.Tensors = append(f.Tensors, quant.Tensor{Name: t.Name, Type: t.Type, Dims: t.Dims, Fill: func(w io.Writer) error {
			if err := t.fill(ctx, source, o.Threads, lost, w); err != nil {
				return fmt.Errorf("from %s: %w", fault.Quote(t.Source), err)
			}
			return nil
		}})
	}
	return f
}
