package infer

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// modelFile is a GGUF file in the making: metadata and tensors that a test can bend before it is written.
type modelFile struct {
	arch    string
	shape   shape
	md      *gguf.Metadata
	tensors []*modelTensor
}

type modelTensor struct {
	name   string
	typ    gguf.Type
	dims   []uint64
	values []float32 // what the reference computes with
	data   []byte
}

// The shape of the tiny models. Rows of 64 and 96 are no multiple of 128, so blocks of I2_S straddle them.
const (
	tinyLayers = 2
	tinyHidden = 64
	tinyFF     = 96
	tinyHeads  = 4
	tinyKV     = 2
	tinyDim    = 16
	tinyVocab  = 40
)

type shape struct{ layers, hidden, ff, heads, kv, dim, vocab int }

// wideShape has rows of 256, which every type can hold.
var wideShape = shape{layers: 1, hidden: 256, ff: 256, heads: 16, kv: 4, dim: 16, vocab: tinyVocab}

// tinyModel is a valid model of an architecture, with random weights, projections ternary in F32. A bitnet architecture gets sub-norms.
func tinyModel(arch string, seed uint64) *modelFile {
	return shapedModel(arch, seed, shape{tinyLayers, tinyHidden, tinyFF, tinyHeads, tinyKV, tinyDim, tinyVocab})
}

func shapedModel(arch string, seed uint64, sh shape) *modelFile {
	f := &modelFile{arch: arch, shape: sh, md: &gguf.Metadata{}}
	rng := rand.New(rand.NewPCG(seed, 1))
	f.md.Set(names.Architecture, arch)
	for key, v := range map[string]uint32{
		names.BlockCount: uint32(sh.layers), names.ContextLength: 256, names.EmbeddingLength: uint32(sh.hidden), names.FeedForward: uint32(sh.ff),
		names.HeadCount: uint32(sh.heads), names.HeadCountKV: uint32(sh.kv), names.KeyLength: uint32(sh.dim), names.ValueLength: uint32(sh.dim),
		names.RopeDimensions: uint32(sh.dim),
	} {
		f.md.Set(names.Arch(arch, key), v)
	}
	f.md.Set(names.Arch(arch, names.RMSEpsilon), float32(1e-5))
	f.md.Set(names.Arch(arch, names.RopeFreqBase), float32(10000))
	f.md.Set(names.Arch(arch, names.HiddenActivation), archs[arch].activation)
	f.md.Set(names.LinearActivation, names.ActivationInt8)

	normal := func(n int, scale, mean float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(mean + scale*rng.NormFloat64())
		}
		return v
	}
	ternary := func(n int) []float32 {
		v, s := make([]float32, n), float32(0.05+0.1*rng.Float64())
		for i := range v {
			v[i] = s * float32(rng.IntN(3)-1)
		}
		return v
	}
	f.add(names.TokenEmbedding, normal(sh.vocab*sh.hidden, 1, 0), sh.hidden, sh.vocab)
	f.add(names.OutputNorm, normal(sh.hidden, 0.1, 1), sh.hidden)
	for i := range sh.layers {
		vector := func(part string, n int) { f.add(names.Block(i, part, "weight"), normal(n, 0.1, 1), n) }
		linear := func(part string, rows, cols int) {
			f.add(names.Block(i, part, "weight"), ternary(rows*cols), cols, rows)
		}
		vector(names.AttnNorm, sh.hidden)
		linear(names.AttnQ, sh.heads*sh.dim, sh.hidden)
		linear(names.AttnK, sh.kv*sh.dim, sh.hidden)
		linear(names.AttnV, sh.kv*sh.dim, sh.hidden)
		linear(names.AttnOutput, sh.hidden, sh.heads*sh.dim)
		vector(names.FFNNorm, sh.hidden)
		linear(names.FFNGate, sh.ff, sh.hidden)
		linear(names.FFNUp, sh.ff, sh.hidden)
		linear(names.FFNDown, sh.hidden, sh.ff)
		if archs[arch].bitnet {
			vector(names.AttnSubNorm, sh.heads*sh.dim)
			vector(names.FFNSubNorm, sh.ff)
		}
		if archs[arch].biasQKV {
			for part, n := range map[string]int{names.AttnQ: sh.heads * sh.dim, names.AttnK: sh.kv * sh.dim, names.AttnV: sh.kv * sh.dim} {
				f.add(names.Block(i, part, "bias"), normal(n, 0.5, 0), n)
			}
		}
	}
	return f
}

// diffusionModel is a bitnet-b1.58 model with a mask token.
func diffusionModel() *modelFile {
	f := tinyModel(names.BitNetB158, 1)
	f.md.Set(names.MaskToken, uint32(tinyVocab-1))
	f.md.Set(names.Dialect, names.DialectFastDLLM)
	f.md.Set(names.BlockSize, uint32(8))
	f.md.Set(names.SubBlockSize, uint32(4))
	return f
}

func (f *modelFile) key(name string) string { return names.Arch(f.arch, name) }

// add appends an F32 tensor; dims in ne order.
func (f *modelFile) add(name string, values []float32, dims ...int) *modelTensor {
	t := &modelTensor{name: name, values: values}
	for _, d := range dims {
		t.dims = append(t.dims, uint64(d))
	}
	t.encode(gguf.F32)
	f.tensors = append(f.tensors, t)
	return t
}

func (f *modelFile) tensor(name string) *modelTensor {
	i := slices.IndexFunc(f.tensors, func(t *modelTensor) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return f.tensors[i]
}

func (f *modelFile) remove(name string) {
	f.tensors = slices.DeleteFunc(f.tensors, func(t *modelTensor) bool { return t.name == name })
}

// projections calls change for each ternary matrix.
func (f *modelFile) projections(change func(*modelTensor)) {
	for i := range f.shape.layers {
		for _, part := range names.Projections {
			change(f.tensor(names.Block(i, part, "weight")))
		}
	}
}

// encode stores values in a type, and puts back into values what the type keeps of them.
func (t *modelTensor) encode(typ gguf.Type) {
	t.typ = typ
	if !quant.IsTernary(typ) {
		t.data = quant.Encode(nil, typ, t.values)
		quant.Decode(t.values, typ, t.data)
		return
	}
	trits, scale := t.trits()
	switch typ {
	case gguf.I2_S:
		tail := quant.I2STail(scale)
		t.data = append(quant.PackI2S(nil, trits), tail[:]...)
	case gguf.TQ1_0:
		t.data = quant.PackTQ1(nil, trits, scale)
		quant.Decode(t.values, typ, t.data)
	case gguf.TQ2_0:
		t.data = quant.PackTQ2(nil, trits, scale)
		quant.Decode(t.values, typ, t.data)
	}
}

func (t *modelTensor) trits() ([]int8, float32) {
	scale := slices.Max(t.values)
	trits := make([]int8, len(t.values))
	for i, v := range t.values {
		trits[i] = int8(v / scale)
	}
	return trits, scale
}

// bytes writes the file.
func (f *modelFile) bytes(t testing.TB) []byte {
	t.Helper()
	var out memory
	infos := make([]gguf.TensorInfo, len(f.tensors))
	for i, x := range f.tensors {
		infos[i] = gguf.TensorInfo{Name: x.name, Type: x.typ, Dims: x.dims}
	}
	w, err := gguf.NewWriter(&out, f.md, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.tensors {
		if _, err := w.Write(x.data); err != nil {
			t.Fatal(err)
		}
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

type memory []byte

func (m *memory) Write(p []byte) (int, error) { *m = append(*m, p...); return len(p), nil }

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy((*m)[off:], p), nil }

// tryLoad loads the file from memory and returns the warnings as well.
func (f *modelFile) tryLoad(t testing.TB, o Options) (*Model, []string, error) {
	t.Helper()
	file, err := gguf.Parse(f.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	o.Warn = func(w string) { warnings = append(warnings, w) }
	m, err := LoadFile(file, o)
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, warnings, err
}

func (f *modelFile) load(t testing.TB, o Options) *Model {
	t.Helper()
	m, _, err := f.tryLoad(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newCache(t testing.TB, m *Model, capacity int) *Cache {
	t.Helper()
	c, err := m.NewCache(capacity)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// allRows lists the rows 0 to n-1.
func allRows(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// logits runs ids from position 0 in a fresh cache and returns the logits of all rows.
func logits(t testing.TB, m *Model, ids []int32, mask Mask) []float32 {
	t.Helper()
	s := &Segment{Cache: newCache(t, m, len(ids)), IDs: ids, Mask: mask, Logits: allRows(len(ids))}
	forward(t, m, s)
	return s.Out
}

func forward(t testing.TB, m *Model, segments ...*Segment) {
	t.Helper()
	if err := m.Forward(segments); err != nil {
		t.Fatal(err)
	}
	for i, s := range segments {
		if s.Err != nil {
			t.Fatalf("segment %d: %v", i, s.Err)
		}
	}
}

// someIDs are n pseudo-random tokens.
func someIDs(n int, seed uint64) []int32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = rng.Int32N(tinyVocab)
	}
	return ids
}
