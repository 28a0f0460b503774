package convert

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/quant"
)

// chunk is how many weights are in memory at a time, per goroutine: what a core's cache holds of them in every form.
const chunk = 256 << 10

// scratch is the memory of one goroutine.
type scratch struct {
	raw        []byte
	x          []float32
	trits      []int8
	moved      []float32 // x with its rows regrouped
	movedTrits []int8
	movedRaw   []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// sized returns s with n elements, reallocated if it is too small.
func sized[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	return (*s)[:n]
}

// bytes reads raw bytes of a tensor.
func (s *scratch) bytes(t *checkpoint.Tensor, from, n uint64) ([]byte, error) {
	raw := sized(&s.raw, int(n))
	if got, err := t.ReadAt(raw, int64(from)); got < len(raw) {
		return nil, err
	}
	return raw, nil
}

// floats reads elements from on, in row-major order. The dtype is one that claim lets pass.
func (s *scratch) floats(t *checkpoint.Tensor, from, n uint64) ([]float32, error) {
	size := uint64(t.DType.Size())
	raw, err := s.bytes(t, from*size, n*size)
	if err != nil {
		return nil, err
	}
	x := sized(&s.x, int(n))
	switch t.DType {
	case checkpoint.F32:
		quant.Decode(x, gguf.F32, raw)
	case checkpoint.F16:
		quant.Decode(x, gguf.F16, raw)
	case checkpoint.BF16:
		quant.Decode(x, gguf.BF16, raw)
	case checkpoint.F64:
		for i := range x {
			x[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	default:
		panic("convert: no floats in " + t.DType.String())
	}
	return x, nil
}

// halfType returns F16 and BF16 as GGUF types.
func halfType(t checkpoint.DType) (gguf.Type, bool) {
	switch t {
	case checkpoint.F16:
		return gguf.F16, true
	case checkpoint.BF16:
		return gguf.BF16, true
	}
	return 0, false
}

// codes unpacks rows [first, first+n) of a packed projection (Packed in Code). Code 3 becomes 2; look has refused it before.
func (s *scratch) codes(t *checkpoint.Tensor, first, n, cols uint64) ([]int8, error) {
	trits := sized(&s.trits, int(n*cols))
	packed := t.Shape[0]
	for done := uint64(0); done < n; {
		row := first + done
		quarter := row / packed
		rows := min(n-done, packed-row%packed)
		raw, err := s.bytes(t, row%packed*cols, rows*cols)
		if err != nil {
			return nil, err
		}
		to, shift := trits[done*cols:(done+rows)*cols], 2*quarter
		for i, b := range raw {
			to[i] = int8(b>>shift&3) - 1
		}
		done += rows
	}
	return trits, nil
}
