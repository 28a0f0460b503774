package kernel

import (
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
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
		q8Row(dst, d.q8[row*d.cols/q8Weights*q8Bytes:])
	case gguf.Q6_K:
		q6Row(dst, d.q6[row*d.cols/q6Weights*q6Bytes:])
	}
}

// MatMul computes y [n, rows] = x [n, cols] · Wᵀ + bias in the canonical order; bias is nil or [rows]. y is overwritten. It panics if lengths
// disagree.
//
// For Q8_0 each 32 elements of x become int8 first: d = amax/127, q = RNE(x*(127/amax)), and the exact sums of the blocks, each times the
// product of both scales, are added in the canonical order by block. For Q6_K the same with 256 elements. A block with a NaN or an infinity
// has d = NaN and q = 0. See q8.go and q6.go.
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
		j.quantizeInputs(p, d.cols/q8Weights)
	case gguf.Q6_K:
		j.quantizeInputs(p, d.cols/q6Weights)
	}
	p.run(d.rows, denseGrain, j)
	j.d, j.y, j.x, j.bias = nil, nil, nil, nil
}

type denseJob struct {
	d    *Dense
	y, x []float32
	n    int
	bias []float32

	// x for Q8_0 or Q6_K, in eights of rows [eights, blocks] and what rows are left [n - 8*eights, blocks], with a scale for each block.
	eightsQ8    []q8Eight
	eightsQ6    []q6Eight
	eightScales [][8]float32
	restQ8      []int8
	restQ6      []q6Input
	restScales  []float32
}

// eights is how many groups of eight rows x has that meet four rows of weights at once. Of the rows left, four or more make a group filled up
// with zeros; fewer are multiplied one by one.
func (j *denseJob) eights() int { return (j.n + 4) / 8 }

// rest is how many rows are in no eight.
func (j *denseJob) rest() int { return max(0, j.n-8*j.eights()) }

// inputsJob quantises rows of x, and those of zeros that fill up the last eight.
type inputsJob denseJob

func (i *inputsJob) part(w *worker, lo, hi int) {
	j := (*denseJob)(i)
	for t := lo; t < hi; t++ {
		if j.d.typ == gguf.Q8_0 {
			j.inputQ8(w, t)
		} else {
			j.inputQ6(w, t)
		}
	}
}

// quantizeInputs makes blocks of x, of so many blocks a row.
func (j *denseJob) quantizeInputs(p *Pool, blocks int) {
	eights, rest := j.eights()*blocks, j.rest()*blocks
	j.eightScales, j.restScales = grow(j.eightScales, eights), grow(j.restScales, rest)
	if j.d.typ == gguf.Q8_0 {
		j.eightsQ8, j.restQ8 = grow(j.eightsQ8, eights), grow(j.restQ8, rest*q8Weights)
	} else {
		j.eightsQ6, j.restQ6 = grow(j.eightsQ6, eights), grow(j.restQ6, rest)
	}
	p.run(max(j.n, 8*j.eights()), 1, (*inputsJob)(j))
}

// put writes the outputs of eight number e for rows lo and on.
func (j *denseJob) put(y *[8][4]float32, e, lo, rows int) {
	for t := 8 * e; t < min(8*e+8, j.n); t++ {
		copy(j.y[t*j.d.rows+lo:][:rows], y[t%8][:])
	}
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
