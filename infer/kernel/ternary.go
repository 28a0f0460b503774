package kernel

import "github.com/wrinklefree/wf/gguf/fault"

// A panel is 16 rows of a Ternary; its bytes go in groups of 16 columns.
const (
	panelRows  = 16
	panelCols  = 16
	panelBytes = panelRows * panelCols / 4
)

// tokensPerCall keeps one call of kernel.ternary in the tens of microseconds.
const tokensPerCall = 32

// Ternary is a [rows, cols] matrix of weights -1, 0, +1 times one scale, 2 bits a weight.
//
// Its layout serves instructions that multiply four neighbouring unsigned bytes by four signed ones and add up (VPMADDUBSW, VPDPBUSD,
// SDOT), with a row in each 32-bit lane and no sum across lanes. Rows are padded to 16 and columns to 16; a panel of 16 rows is
//
//	64 bytes for columns 0..15, 64 for 16..31, ...
//	byte 4r+c of 64 holds the codes (weight+1) of row r, columns c, 4+c, 8+c, 12+c, lowest bits first
//
// so that (bytes >> 2k) & 3 is 16 rows by the 4 columns 4k..4k+3. What padding holds is of no account: its rows are dropped, its columns meet
// zero activations. The kernel sums codes, which are weights + 1, and the sum of the activations is subtracted at the end.
type Ternary struct {
	rows, cols int
	scale      float32
	panel      int // bytes of one panel
	data       []byte
}

// NewTernary makes a matrix in data, which has TernaryBytes and becomes its own; nil allocates. SetRow fills it, every row of it. Columns for
// which a sum of codes could pass int32 (cols*2*128 >= 2^31) are TENSOR_ACCUMULATOR_BOUND.
func NewTernary(rows, cols int, scale float32, data []byte) (*Ternary, error) {
	if int64(cols)*2*128 >= 1<<31 {
		return nil, fault.New("TENSOR_ACCUMULATOR_BOUND", "ternary matrix has %d columns; int32 sums hold fewer than %d", cols, 1<<31/(2*128))
	}
	size := TernaryBytes(rows, cols)
	if data == nil {
		data = make([]byte, size)
	}
	if len(data) != size {
		panic("kernel: NewTernary: lengths disagree")
	}
	return &Ternary{rows: rows, cols: cols, scale: scale, panel: roundUp(cols, panelCols) / panelCols * panelBytes, data: data}, nil
}

// TernaryBytes is the memory that the weights of a matrix take.
func TernaryBytes(rows, cols int) int { return roundUp(rows, panelRows) * roundUp(cols, panelCols) / 4 }

// SetRow fills a row from trits [cols] of -1, 0 and +1. Different rows may be set concurrently.
func (t *Ternary) SetRow(row int, trits []int8) {
	if len(trits) != t.cols {
		panic("kernel: SetRow: lengths disagree")
	}
	out := t.data[row/panelRows*t.panel:][:t.panel]
	out = out[row%panelRows*4:]
	for len(trits) >= panelCols {
		x := (*[panelCols]int8)(trits)
		for c := range 4 {
			out[c] = code(x[c]) | code(x[4+c])<<2 | code(x[8+c])<<4 | code(x[12+c])<<6
		}
		trits = trits[panelCols:]
		out = out[min(panelBytes, len(out)):]
	}
	for i, v := range trits {
		shift := i / 4 * 2
		out[i%4] = out[i%4]&^(3<<shift) | code(v)<<shift
	}
}

func code(trit int8) byte { return byte(trit+1) & 3 }

// Rows returns the number of outputs.
func (t *Ternary) Rows() int { return t.rows }

// Cols returns the number of inputs.
func (t *Ternary) Cols() int { return t.cols }

// MatMul computes y [x.Rows, t.Rows] = (f32(sum)*scale)/a + bias, where sum is the exact product of weights and activations; bias is nil or
// [t.Rows]. y is overwritten. It panics if lengths disagree.
func (t *Ternary) MatMul(y []float32, x *Activations, bias []float32, p *Pool) {
	p.busy.Lock()
	defer p.busy.Unlock()
	p.ternary.one = [1]Product{{t, y, bias}}
	p.multiply(p.ternary.one[:], x)
}

// Product is one matrix of several that the same activations meet; see Ternary.MatMul.
type Product struct {
	W       *Ternary
	Y, Bias []float32
}

// MatMuls is Ternary.MatMul of each product. The threads wait for each other once, at the end.
func MatMuls(products []Product, x *Activations, p *Pool) {
	p.busy.Lock()
	defer p.busy.Unlock()
	p.multiply(products, x)
}

func (p *Pool) multiply(products []Product, x *Activations) {
	panels := 0
	for _, m := range products {
		if x.Cols != m.W.cols || len(m.Y) != x.Rows*m.W.rows || m.Bias != nil && len(m.Bias) != m.W.rows {
			panic("kernel: MatMul: lengths disagree")
		}
		panels += m.W.panels()
	}
	p.ternary.products, p.ternary.x = products, x
	p.run(panels, 1, &p.ternary)
	p.ternary = ternaryJob{}
}

func (t *Ternary) panels() int { return roundUp(t.rows, panelRows) / panelRows }

// ternaryJob counts the panels of all products.
type ternaryJob struct {
	products []Product
	one      [1]Product
	x        *Activations
}

// part goes through its panels once; each meets all rows of x while it is in the cache.
func (j *ternaryJob) part(w *worker, lo, hi int) {
	w.sums = grow(w.sums, tokensPerCall*panelRows)
	for i := range j.products {
		m := &j.products[i]
		n := m.W.panels()
		for panel := max(lo, 0); panel < min(hi, n); panel++ {
			m.panel(w.sums, j.x, panel)
		}
		lo, hi = lo-n, hi-n
	}
}

// panel computes 16 outputs of all rows of x.
func (m *Product) panel(sums []int32, x *Activations, panel int) {
	t, lo := m.W, panel*panelRows
	data, rows := t.data[panel*t.panel:][:t.panel], min(panelRows, t.rows-lo)
	for t0 := 0; t0 < x.Rows; t0 += tokensPerCall {
		tokens := min(tokensPerCall, x.Rows-t0)
		sums := sums[:tokens*panelRows]
		active.ternary(sums, data, x.q[t0*x.stride:], x.stride)
		y := m.Y[t0*t.rows+lo:]
		active.finish(y, t.rows, rows, sums, x.sum[t0:], t.scale, x.A[t0:][:tokens])
		for i := 0; i < tokens && m.Bias != nil; i++ {
			Add(y[i*t.rows:][:rows], m.Bias[lo:][:rows])
		}
	}
}
