package kernel

import (
	"encoding/binary"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// A Q8_0 block: f16 d; i8 q[32] (FORMATS.md 2.2).
const (
	q8Weights = 32
	q8Bytes   = 2 + q8Weights
)

// mulAddsPerCall keeps one call of a float kernel in the tens of microseconds.
const mulAddsPerCall = 1 << 18

// denseGrain is whole groups of the rows that each type takes at a time.
const denseGrain = 24

// Dense is a [rows, cols] matrix as it lies in the file: F32, F16, BF16, Q8_0 or Q6_K.
type Dense struct {
	rows, cols int
	typ        gguf.Type
	f32        []float32 // one of these, by typ
	f16        []uint16
	q8, q6     []byte
}

// NewDense views data, the raw bytes of a tensor; they are not copied. Another type is MODEL_TENSOR_TYPE; columns that
// are not whole blocks are MODEL_SHAPE_MISMATCH. It panics if the length of data is not that of the shape, or if data is not aligned to the
// type's numbers (see gguf.Float32s).
func NewDense(typ gguf.Type, data []byte, rows, cols int) (*Dense, error) {
	if typ != gguf.F32 && typ != gguf.F16 && typ != gguf.BF16 && typ != gguf.Q8_0 && typ != gguf.Q6_K {
		return nil, fault.New("MODEL_TENSOR_TYPE", "dense matrix of type %v; this build multiplies F32, F16, BF16, Q8_0 and Q6_K", typ)
	}
	if cols%int(typ.BlockSize()) != 0 {
		return nil, fault.New("MODEL_SHAPE_MISMATCH", "%v matrix has %d columns; wanted a multiple of %d", typ, cols, typ.BlockSize())
	}
	if size, ok := typ.ByteSize([]uint64{uint64(cols), uint64(rows)}); !ok || size != uint64(len(data)) {
		panic("kernel: NewDense: lengths disagree")
	}
	d := &Dense{rows: rows, cols: cols, typ: typ}
	switch typ {
	case gguf.F32:
		d.f32 = gguf.Float32s(data)
	case gguf.Q8_0:
		d.q8 = data
	case gguf.Q6_K:
		d.q6 = data
	default:
		d.f16 = gguf.Uint16s(data)
	}
	return d, nil
}

// Rows returns the number of outputs.
func (d *Dense) Rows() int { return d.rows }

// Cols returns the number of inputs.
func (d *Dense) Cols() int { return d.cols }

// Row decodes a row, the embedding of a token, into dst [cols].
func (d *Dense) Row(dst []float32, row int) {
	if len(dst) != d.cols {
		panic("kernel: Row: lengths disagree")
	}
	switch d.typ {
	case gguf.F32:
		copy(dst, d.f32[row*d.cols:])
	case gguf.F16:
		active.decodeF16(dst, d.f16[row*d.cols:][:d.cols])
	case gguf.BF16:
		active.decodeBF16(dst, d.f16[row*d.cols:][:d.cols])
	case gguf.Q8_0:
		for b := range d.cols / q8Weights {
			block := (*[q8Bytes]byte)(d.q8[(row*d.cols/q8Weights+b)*q8Bytes:])
			scale := fromF16(binary.LittleEndian.Uint16(block[:]))
			for e, q := range block[2:] {
				dst[b*q8Weights+e] = scale * float32(int8(q))
			}
		}
	case gguf.Q6_K:
		q6Row(dst, d.q6[row*d.cols/q6Weights*q6Bytes:])
	}
}

// MatMul computes y [n, rows] = x [n, cols] · Wᵀ + bias in the canonical order; bias is nil or [rows]. y is overwritten. It panics if lengths
// disagree.
//
// For Q8_0 each 32 elements of x become int8 first: d = amax/127, q = RNE(x*(127/amax)), and the exact sums of the blocks, each times the
// product of both scales, are added in the canonical order by block. For Q6_K the same with 256 elements (q6.go). A block with a NaN or an infinity has d = NaN and q = 0.
func (d *Dense) MatMul(y, x []float32, n int, bias []float32, p *Pool) {
	if len(x) != n*d.cols || len(y) != n*d.rows || bias != nil && len(bias) != d.rows {
		panic("kernel: Dense.MatMul: lengths disagree")
	}
	p.busy.Lock()
	defer p.busy.Unlock()
	j := &p.dense
	j.d, j.y, j.x, j.n, j.bias = d, y, x, n, bias
	switch d.typ {
	case gguf.Q8_0:
		j.q8 = grow(j.q8, n*d.cols)
		blocks := d.cols / q8Weights
		j.q8Scale, j.q8Columns = grow(j.q8Scale, n*blocks), grow(j.q8Columns, n*blocks)
		for i := range j.q8Scale {
			scale := active.quantizeBlock(j.q8[i*q8Weights:][:q8Weights], x[i*q8Weights:][:q8Weights])
			j.q8Scale[i], j.q8Columns[i%blocks*n+i/blocks] = scale, scale
		}
	case gguf.Q6_K:
		j.inputsQ6()
	}
	p.run(d.rows, denseGrain, j)
	j.d, j.y, j.x, j.bias = nil, nil, nil, nil
}

type denseJob struct {
	d         *Dense
	y, x      []float32
	n         int
	bias      []float32
	q8        []int8    // [n, cols], x for Q8_0
	q8Scale   []float32 // [n, blocks]
	q8Columns []float32 // [blocks, n], the same
	q6        []q6Input // [n, blocks], x for Q6_K
	q6Scale   []float32 // [blocks, n]
}

func (j *denseJob) part(w *worker, lo, hi int) {
	switch d := j.d; {
	case d.typ == gguf.Q8_0:
		j.partQ8(w, lo, hi)
	case d.typ == gguf.Q6_K:
		j.partQ6(w, lo, hi)
	case j.n == 1:
		j.oneRow(lo, hi)
	default:
		j.manyRows(w, lo, hi)
	}
	if j.bias != nil {
		for i := range j.n {
			Add(j.y[i*j.d.rows:][lo:hi], j.bias[lo:hi])
		}
	}
}

// oneRow: every weight is used once, so it is decoded in registers.
func (j *denseJob) oneRow(lo, hi int) {
	d := j.d
	step := max(1, mulAddsPerCall/max(1, d.cols))
	for ; lo < hi; lo += step {
		y := j.y[lo:min(lo+step, hi)]
		switch d.typ {
		case gguf.F32:
			active.dotF32(y, j.x, d.f32[lo*d.cols:], d.cols)
		case gguf.F16:
			active.dotF16(y, j.x, d.f16[lo*d.cols:], d.cols)
		case gguf.BF16:
			active.dotBF16(y, j.x, d.f16[lo*d.cols:], d.cols)
		}
	}
}

// decodedRows is how many rows of weights are decoded at a time.
const decodedRows = 12

// manyRows: rows of weights are decoded once and meet all rows of x.
func (j *denseJob) manyRows(w *worker, lo, hi int) {
	d := j.d
	for ; lo < hi; lo += decodedRows {
		rows := min(decodedRows, hi-lo)
		var weights []float32
		if d.typ == gguf.F32 {
			weights = d.f32[lo*d.cols:][:rows*d.cols]
		} else {
			w.row = grow(w.row, decodedRows*d.cols)
			weights = w.row[:rows*d.cols]
			for r := range rows {
				d.Row(weights[r*d.cols:][:d.cols], lo+r)
			}
		}
		active.dots(j.y[lo:], d.rows, j.x, weights, d.cols, rows, d.cols)
	}
}

// partQ8: a few rows of weights stay in the cache while they meet all rows of x, four of these at once and the rest one by one.
func (j *denseJob) partQ8(w *worker, lo, hi int) {
	const group = 6
	d, blocks := j.d, j.d.cols/q8Weights
	w.out = grow(w.out, 4)
	y := (*[4]float32)(w.out)
	for ; lo < hi; lo += group {
		rows := min(group, hi-lo)
		weights := d.q8[lo*blocks*q8Bytes:][:rows*blocks*q8Bytes]
		t := 0
		for ; t+4 <= j.n; t += 4 {
			for r := range rows {
				active.inputsQ8(y, weights[r*blocks*q8Bytes:][:blocks*q8Bytes], j.q8[t*d.cols:][:4*d.cols], j.q8Columns[t:], j.n)
				for i, v := range y {
					j.y[(t+i)*d.rows+lo+r] = v
				}
			}
		}
		for ; t < j.n; t++ {
			active.dotQ8(j.y[t*d.rows+lo:][:rows], j.q8[t*d.cols:][:d.cols], j.q8Scale[t*blocks:][:blocks], weights)
		}
	}
}
