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
	table := t.recoding()
	err := quant.InOrder(ctx, w, int(n), threads, func(i int, dst []byte) ([]byte, error) {
		s := scratches.Get().(*scratch)
		defer scratches.Put(s)
		first := uint64(i) * step
		return t.rows(dst, s, table, source, first, min(step, t.Rows-first), lost)
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

// recoding returns the table for rows, or nil if there is none or the tensor is too small for one.
func (t *TensorPlan) recoding() *quant.Recoding {
	from, half := halfType(t.From)
	switch {
	case !half || t.Rows*t.Cols < quant.Patterns:
		return nil
	case t.Code == Ternary:
		return quant.RecodeTernary(from, t.Type, t.Unit, t.Scale)
	case t.Scale == 1:
		return quant.RecodeValues(from, t.Type)
	}
	return nil
}

// rows appends rows [first, first+n) of the output, by the table if there is one.
func (t *TensorPlan) rows(dst []byte, s *scratch, table *quant.Recoding, source *checkpoint.Tensor, first, n uint64, lost *atomic.Uint64) ([]byte, error) {
	if table != nil {
		raw, err := s.bytes(source, 2*(t.FirstRow+first)*t.Cols, 2*n*t.Cols)
		if err != nil {
			return nil, err
		}
		if all, underflows, ok := table.Append(dst, regroup(t, n, &s.movedRaw, raw)); ok {
			lost.Add(underflows)
			return all, nil
		}
		// What the type cannot hold is named below.
	}
	if t.Code == Packed {
		trits, err := s.codes(source, t.FirstRow+first, n, t.Cols)
		if err != nil {
			return nil, err
		}
		return t.pack(dst, s, regroup(t, n, &s.movedTrits, trits)), nil
	}
	x, err := s.floats(source, (t.FirstRow+first)*t.Cols, n*t.Cols)
	if err != nil {
		return nil, err
	}
	if t.Code == Ternary {
		trits := sized(&s.trits, len(x))
		quant.Ternarize(trits, x, t.Unit)
		return t.pack(dst, s, regroup(t, n, &s.movedTrits, trits)), nil
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
	lost.Add(r.Underflows)
	return quant.Encode(dst, t.Type, regroup(t, n, &s.moved, x)), nil
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

// regroup puts n rows, the same number of elements each, into the tensor's order, head by head.
func regroup[T any](t *TensorPlan, n uint64, to *[]T, from []T) []T {
	if t.Order == AsIs {
		return from
	}
	out, row, half := sized(to, len(from)), uint64(len(from))/n, t.Head/2
	for head := uint64(0); head < n; head += t.Head {
		for j := range half {
			for c := range uint64(2) {
				pair, apart := (head+2*j+c)*row, (head+c*half+j)*row
				if t.Order == Interleaved {
					copy(out[pair:pair+row], from[apart:])
				} else {
					copy(out[apart:apart+row], from[pair:])
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
