package kernel

import "github.com/wrinklefree/wf/gguf/fault"

// Activations are rows of float32 quantised to int8, one scale a row (BitNet b1.58, arXiv:2402.17764; FORMATS.md 5.3):
//
//	a = 127 / max(amax, 1e-5)
//	q = clamp(round(x*a), -128, 127)	to nearest, ties to even
type Activations struct {
	Rows, Cols int
	A          []float32 // [Rows] a

	q      []int8  // [Rows, stride], zero beyond Cols
	stride int     // Cols rounded up to whole groups of a panel
	sum    []int32 // [Rows] Σ q
}

// NewActivations has room for maxRows rows of maxCols, so that Quantize does not allocate.
func NewActivations(maxRows, maxCols int) *Activations {
	return &Activations{A: make([]float32, maxRows), q: make([]int8, maxRows*roundUp(maxCols, panelCols)), sum: make([]int32, maxRows)}
}

// Quantize fills a from x [rows, cols]. A row that holds a NaN or an infinity is reported by its index (code NUMERIC_ERROR), and a is then
// undefined.
func (a *Activations) Quantize(x []float32, rows, cols int) error {
	if len(x) != rows*cols {
		panic("kernel: Quantize: lengths disagree")
	}
	a.Resize(rows, cols)
	for i := range rows {
		if !a.QuantizeRow(i, x[i*cols:][:cols]) {
			return fault.New("NUMERIC_ERROR", "activations: row %d holds a NaN or an infinity; the weights or the prompt make the network overflow", i)
		}
	}
	return nil
}

// Resize makes room for rows that QuantizeRow then fills.
func (a *Activations) Resize(rows, cols int) {
	a.Rows, a.Cols, a.stride = rows, cols, roundUp(cols, panelCols)
	a.A, a.q, a.sum = grow(a.A, rows), grow(a.q, rows*a.stride), grow(a.sum, rows)
}

// QuantizeRow fills row i from x [Cols]; different rows may be filled concurrently. It reports false, and leaves the row undefined, if x holds a
// NaN or an infinity.
func (a *Activations) QuantizeRow(i int, x []float32) (ok bool) {
	q := a.q[i*a.stride:][:a.stride]
	a.A[i], a.sum[i], ok = active.quantize(q[:a.Cols], x)
	clear(q[a.Cols:])
	return ok
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
