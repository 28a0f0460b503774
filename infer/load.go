package infer

import (
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/quant"
)

// Load maps a GGUF file, checks it and makes it ready to run.
func Load(path string, o Options) (*Model, error) {
	f, err := gguf.Map(path)
	if err != nil {
		return nil, err
	}
	m, err := LoadFile(f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	m.owned = true
	return m, nil
}

// LoadFile does the same with a file that is mapped (gguf.Map) or in memory (gguf.Parse). The caller closes f after the model.
func LoadFile(f *gguf.File, o Options) (*Model, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	m, err := load(f, &o)
	if changed := f.Changed(); changed != nil { // then what was found wrong in it is beside the point
		if err == nil {
			m.Close()
		}
		return nil, changed
	}
	if err != nil && f.Path != "" {
		err = fmt.Errorf("%s: %w", f.Path, err)
	}
	return m, err
}

// load first decides, then reads weights, by all threads: float matrices stay where they lie in the file, ternary ones are laid out anew for the
// kernel.
func load(f *gguf.File, o *Options) (*Model, error) {
	d, err := decide(f, o)
	if err != nil {
		return nil, err
	}
	m, w := d.model, d.weights
	if f.Trailing > 0 {
		o.warn("%d bytes follow the last tensor and are ignored", f.Trailing)
	}
	if m.arena, err = newArena(w.need); err != nil {
		return nil, err
	}
	m.pool = kernel.NewPool(o.Threads)
	w.pool, w.arena = m.pool, m.arena
	err = disk.Guard(f.Path, w.read)
	if err == nil {
		c := &m.config
		m.rope, err = d.scaling.rotary(c.HeadDim, c.RopeTheta, d.ropeFreqs, d.interleaved)
	}
	if err != nil {
		m.pool.Close()
		m.arena.close()
		return nil, err
	}
	m.pass = newPass(m)
	return m, nil
}

// decision is what the header of a file decides of a model.
type decision struct {
	model       *Model
	weights     *weights // with the jobs that read them
	scaling     ropeScaling
	ropeFreqs   []float32 // set by a job
	interleaved bool
}

// decide settles what the metadata says, which tensor goes where, whether any is left over, how much memory it takes.
func decide(f *gguf.File, o *Options) (*decision, error) {
	p := &params{md: f.Metadata}
	config, arch := p.config(f, o)
	d := &decision{scaling: p.ropeScaling(config), interleaved: arch.interleaved}
	d.weights = &weights{file: f, options: o, int8: config.Int8, layout: p.i2sLayout(o), scales: arch.scales, claimed: map[string]bool{}}
	if p.err != nil {
		return nil, p.err
	}
	d.model = &Model{config: *config, cacheType: o.CacheType, file: f, layers: make([]layer, config.Layers)}
	d.weights.plan(d.model, arch, &d.ropeFreqs)
	return d, d.weights.err
}

// plan claims every tensor of the file for a place in the model, or for ropeFreqs.
func (w *weights) plan(m *Model, arch arch, ropeFreqs *[]float32) {
	c := &m.config
	attn, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim

	w.matrix(&m.embedding, names.TokenEmbedding, c.Vocab, c.Hidden)
	w.vector(&m.outputNorm, names.OutputNorm, c.Hidden)
	if w.has(names.Output) {
		w.matrix(&m.head, names.Output, c.Vocab, c.Hidden)
	} else {
		w.jobs = append(w.jobs, func() error { m.head = m.embedding; return nil })
	}
	w.optional(ropeFreqs, names.RopeFreqs, c.HeadDim/2)

	subNorms := arch.bitnet && w.has(names.Block(0, names.AttnSubNorm, "weight"))
	for i := range m.layers {
		l := &m.layers[i]
		w.vector(&l.attnNorm, names.Block(i, names.AttnNorm, "weight"), c.Hidden)
		w.linear(&l.q, i, names.AttnQ, attn, c.Hidden, arch.biasQKV)
		w.linear(&l.k, i, names.AttnK, kv, c.Hidden, arch.biasQKV)
		w.linear(&l.v, i, names.AttnV, kv, c.Hidden, arch.biasQKV)
		w.linear(&l.o, i, names.AttnOutput, c.Hidden, attn, false)
		w.vector(&l.ffnNorm, names.Block(i, names.FFNNorm, "weight"), c.Hidden)
		w.linear(&l.gate, i, names.FFNGate, c.FeedForward, c.Hidden, false)
		w.linear(&l.up, i, names.FFNUp, c.FeedForward, c.Hidden, false)
		w.linear(&l.down, i, names.FFNDown, c.Hidden, c.FeedForward, false)
		if subNorms { // both, in every layer; a stray one is left over and refused
			w.vector(&l.attnSubNorm, names.Block(i, names.AttnSubNorm, "weight"), attn)
			w.vector(&l.ffnSubNorm, names.Block(i, names.FFNSubNorm, "weight"), c.FeedForward)
		}
	}
	w.refuseLeftOver(c.Architecture)
}

// weights turns the tensors of a file into the model's weights. Each of vector, matrix and linear claims a tensor: it checks name, type and
// shape, and leaves a job that will read it. The first problem sticks.
type weights struct {
	file    *gguf.File
	options *Options
	int8    bool
	scales  bool         // see arch
	layout  quant.Layout // of I2_S
	pool    *kernel.Pool
	arena   *arena

	claimed    map[string]bool
	jobs       []func() error
	need       uint64   // bytes that the jobs take of the arena
	mapped     uint64   // bytes of weights that are used where they lie
	notTernary []string // projections that were expected to be ternary and are not
	err        error
}

func (w *weights) fail(code, format string, args ...any) {
	if w.err == nil {
		w.err = fault.New(code, "infer: "+format, args...)
	}
}

// later leaves a job that takes need bytes of the arena; none: it uses the tensor where it lies.
func (w *weights) later(t *tensor, need int, job func() error) {
	if need == 0 {
		w.mapped += t.Size
	}
	w.need += uint64(arenaSize(need))
	w.jobs = append(w.jobs, func() error {
		t.data = w.file.Bytes(t.TensorInfo)
		return job()
	})
}

func (w *weights) has(name string) bool {
	_, ok := w.file.Tensor(name)
	return ok
}

// tensor is a claimed tensor [rows, cols]; a vector has one row.
type tensor struct {
	*gguf.TensorInfo
	rows, cols int
	scaled     bool    // another tensor of the file multiplies all weights
	factor     float32 // by which; 1 if none does
	data       []byte  // set when its job begins; to be touched under disk.Guard only
}

// row is the data of one row, of any type but I2_S, whose blocks straddle rows.
func (t *tensor) row(r int) []byte {
	stride := len(t.data) / t.rows
	return t.data[r*stride:][:stride]
}

// claim finds a tensor that must be there with this shape: dims in ne order, of which trailing ones do not count.
func (w *weights) claim(name string, rows, cols int) *tensor {
	info, ok := w.file.Tensor(name)
	if !ok {
		w.fail("MODEL_TENSOR_MISSING", "tensor %q is missing", name)
		return nil
	}
	w.claimed[name] = true
	if info.Dims[0] != uint64(cols) || info.Rows() != uint64(rows) || len(info.Dims) > 1 && info.Dims[1] != uint64(rows) {
		w.fail("MODEL_SHAPE_MISMATCH", "tensor %q: shape %v does not match [%d %d], which the metadata asks for", name, info.Dims, cols, rows)
		return nil
	}
	return &tensor{TensorInfo: info, rows: rows, cols: cols, factor: 1}
}

var floats = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16}

// vector claims a norm, a bias or rope_freqs: [n], in any float type.
func (w *weights) vector(dst *[]float32, name string, n int) {
	t := w.claim(name, 1, n)
	switch {
	case t == nil:
	case !slices.Contains(floats, t.Type):
		w.fail("MODEL_TENSOR_TYPE", "tensor %q is %v; a vector must be F32, F16 or BF16", name, t.Type)
	default:
		w.later(t, 4*n, func() (err error) { *dst, err = w.readVector(t); return err })
	}
}

func (w *weights) optional(dst *[]float32, name string, n int) {
	if w.has(name) {
		w.vector(dst, name, n)
	}
}

// matrix claims an embedding or a head: [rows, cols], not ternary. An I2_S or TQ tensor there was made by tools that took the largest or
// the first weight for a scale (FORMATS.md 5.2); no use of it gives text.
func (w *weights) matrix(dst **kernel.Dense, name string, rows, cols int) {
	t := w.claim(name, rows, cols)
	switch {
	case t == nil:
	case quant.IsTernary(t.Type):
		w.fail("MODEL_TENSOR_TYPE", "tensor %q is %v, a ternary type, which destroys an embedding or head; quantize again from the source",
			name, t.Type)
	default:
		w.later(t, t.decodedSize(), func() (err error) { *dst, err = w.readDense(t); return err })
	}
}

// linear claims a projection with its bias, scale and own norm, if any.
func (w *weights) linear(l *linear, layer int, part string, rows, cols int, needsBias bool) {
	if bias := names.Block(layer, part, "bias"); needsBias {
		w.vector(&l.bias, bias, rows)
	} else {
		w.optional(&l.bias, bias, rows)
	}
	scale := names.Block(layer, part, "scale")
	if w.scales {
		w.optional(&l.scale, scale, 1)
	}
	w.optional(&l.normIn, names.Block(layer, part+names.NormIn, "weight"), cols)
	t := w.claim(names.Block(layer, part, "weight"), rows, cols)
	if t == nil {
		return
	}
	t.scaled = w.claimed[scale]
	need := t.decodedSize()
	if w.takesInt8(t.Type) {
		need = kernel.TernaryBytes(rows, cols)
	}
	w.later(t, need, func() error { return w.readLinear(l, t) })
}

// refuseLeftOver fails if nothing claimed a tensor: ignoring a weight gives a network that runs and is wrong.
func (w *weights) refuseLeftOver(architecture string) {
	for _, t := range w.file.Tensors {
		if !w.claimed[t.Name] {
			w.fail("MODEL_UNKNOWN_TENSOR", "tensor %s has no place in architecture %s; running without it would be wrong",
				fault.Quote(t.Name), architecture)
		}
	}
}

// read does the jobs. Pages of a mapped file are touched here for the first time.
func (w *weights) read() error {
	for _, job := range w.jobs {
		if err := job(); err != nil {
			return err
		}
	}
	if n := len(w.notTernary); n > 0 {
		w.options.warn("%d projections are not ternary (the first is %s), so they run as float products; "+
			"a file that wf convert writes of a BitNet checkpoint is ternary", n, w.notTernary[0])
	}
	return nil
}
