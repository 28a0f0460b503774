// Package kernel holds the arithmetic of the forward pass: ternary and dense matrix products, attention, norms, activations.
package kernel

// Pool runs row ranges on several goroutines. Results never depend on its size.
type Pool struct{}

func NewPool(threads int) *Pool { panic("contract") } // 0: min(GOMAXPROCS, cgroup quota)
func (p *Pool) Threads() int    { panic("contract") }
func (p *Pool) Close()          { panic("contract") }

// Run calls f on parts of [0,n), parts multiples of grain, and returns when all are done. A panic in f is raised again on the caller's goroutine. No allocation.
func (p *Pool) Run(n, grain int, f func(lo, hi int)) { panic("contract") }

// Activations are rows of float32 quantised to int8, one scale a row (FORMATS.md 5.3).
type Activations struct {
	Rows, Cols int
	Q          []int8    // [Rows, Cols]
	A          []float32 // [Rows] 127/max(amax, 1e-5)
}

func NewActivations(maxRows, maxCols int) *Activations { panic("contract") }

// Quantize fills a from x [rows, cols]. A NaN or infinity is reported by the index of its row (code NUMERIC_ERROR); no platform-dependent int conversion happens.
func (a *Activations) Quantize(x []float32, rows, cols int) error { panic("contract") }

// Ternary is a [rows, cols] matrix of codes in the kernel's own layout, with one scale.
type Ternary struct{}

// NewTernary makes a matrix; SetRow fills it from trits (-1, 0, +1), and may be called concurrently for different rows. cols beyond the int32 bound is
// TENSOR_ACCUMULATOR_BOUND.
func NewTernary(rows, cols int, scale float32) (*Ternary, error) { panic("contract") }
func (t *Ternary) SetRow(row int, trits []int8)                  { panic("contract") }
func (t *Ternary) Rows() int                                     { panic("contract") }
func (t *Ternary) Cols() int                                     { panic("contract") }
func (t *Ternary) Bytes() int                                    { panic("contract") } // memory held

// MatMul computes y [x.Rows, t.Rows] = (f32(sum)*scale)/a + bias; bias nil or [t.Rows].
func (t *Ternary) MatMul(y []float32, x *Activations, bias []float32, p *Pool) { panic("contract") }

// Dense is a [rows, cols] matrix as it lies in the file: F32 F16 BF16 (raw bytes, not copied), or Q8_0 (activations int8 per 32, integer sums per
// block). typ is a gguf.Type.
type Dense struct{}

func NewDense(typ uint32, data []byte, rows, cols int) (*Dense, error) { panic("contract") }

// MatMul computes y [n, rows] = x [n, cols] · Wᵀ + bias in the canonical order. Row decodes one row (the embedding of a token) into dst [cols].
func (d *Dense) MatMul(y, x []float32, n int, bias []float32, p *Pool) { panic("contract") }
func (d *Dense) Row(dst []float32, row int)                            { panic("contract") }

// RMSNorm: y = (x*r)*w, r = 1/sqrt(sumsq/n + eps), for rows of len(w). y may be x.
func RMSNorm(y, x, w []float32, eps float32) { panic("contract") }

// Rotary rotates q or k heads in place. NewRotary fixes theta, freqs (nil or rope_freqs), dims and the pairing (interleaved: llama; halves: NEOX).
type Rotary struct{}

func NewRotary(dim int, theta float32, freqs []float32, interleaved bool) *Rotary { panic("contract") }
func (r *Rotary) Apply(x []float32, heads, headDim, pos int)                      { panic("contract") }

// SiLUMul: g = silu(g)*u. ReLU2Mul: g = (max(g,0)*max(g,0))*u.
func SiLUMul(g, u []float32)  { panic("contract") }
func ReLU2Mul(g, u []float32) { panic("contract") }

// Add: x += y.
func Add(x, y []float32) { panic("contract") }

// Attend computes one query row, one head: o [d] = softmax(q·k/sqrt(d)) v over positions [0, n); k and v are position-major with the given stride in
// elements, f32 (K, V) or f16 (K16, V16) as the cache holds them; scores is scratch [n].
type KV struct {
	K, V     []float32
	K16, V16 []uint16
	Stride   int
}

func Attend(o, q []float32, kv KV, n int, scores []float32) { panic("contract") }

// ArgMaxConfidence returns the index of the largest logit (ties to the lower index; skip is never chosen, -1 for none) and its softmax probability (skip excluded), summed in
// the canonical order. ok is false if a logit is NaN or +inf, or all are -inf.
func ArgMaxConfidence(logits []float32, skip int) (index int, p float32, ok bool) { panic("contract") }

// Exp is the polynomial exp that everything above uses.
func Exp(x float32) float32 { panic("contract") }

// Names returns the name of the ternary kernel in use (generic, avx2).
func Name() string { panic("contract") }
