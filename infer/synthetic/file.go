package synthetic

import (
	"io"
	"math/rand/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// File decides a GGUF file of this shape. types.Type is that of the projections; UNSUPPORTED_SHAPE if a type cannot hold a tensor.
func (s Shape) File(types quant.Types, version string) (*quant.File, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	noises := map[noiseKey]*noise{}
	f := &quant.File{Metadata: s.metadata(), Type: types.Type, Version: version, Options: "--synthetic " + s.Name}
	for _, t := range s.tensors() {
		typ, err := types.For(t.name, t.dims())
		if err != nil {
			return nil, err
		}
		size, ok := typ.ByteSize(t.dims())
		if !ok {
			panic("synthetic: a shape of this package is larger than a file")
		}
		key := noiseKey{typ, s.ternary() && quant.IsProjection(t.name)}
		if noises[key] == nil {
			noises[key] = newNoise(typ, key.ternary, rng)
		}
		n := noises[key]
		f.Tensors = append(f.Tensors, quant.Tensor{Name: t.name, Type: typ, Dims: t.dims(), Fill: func(w io.Writer) error {
			if t.isNorm() {
				return n.ones(w, typ, t.cols)
			}
			return n.write(w, size)
		}})
	}
	return f, nil
}

// noiseKey tells ternary weights in a float type from others.
type noiseKey struct {
	typ     gguf.Type
	ternary bool
}

// metadata states the shape and the vocabulary; no mask token, so that the file decodes token by token unless --mask-token-id says otherwise.
func (s Shape) metadata() *gguf.Metadata {
	md := &gguf.Metadata{}
	key := func(name string) string { return names.Arch(s.Architecture, name) }
	texts, merges := vocabulary(s.Vocab)
	types := make([]int32, s.Vocab)
	for id := range types {
		switch {
		case id >= s.Vocab-len(controls):
			types[id] = names.TokenControl
		case id >= len(letters())+len(merges):
			types[id] = names.TokenUnused
		default:
			types[id] = names.TokenNormal
		}
	}
	activation := names.ActivationNone
	if s.ternary() {
		activation = names.ActivationInt8
	}
	for _, kv := range []gguf.KV{
		{Key: names.Architecture, Value: s.Architecture},
		{Key: names.Type, Value: "model"},
		{Key: names.Name, Value: "synthetic " + s.Name},
		{Key: key(names.BlockCount), Value: uint32(s.Layers)},
		{Key: key(names.ContextLength), Value: uint32(s.Context)},
		{Key: key(names.EmbeddingLength), Value: uint32(s.Hidden)},
		{Key: key(names.FeedForward), Value: uint32(s.FeedForward)},
		{Key: key(names.HeadCount), Value: uint32(s.Heads)},
		{Key: key(names.HeadCountKV), Value: uint32(s.KVHeads)},
		{Key: key(names.KeyLength), Value: uint32(s.HeadDim)},
		{Key: key(names.ValueLength), Value: uint32(s.HeadDim)},
		{Key: key(names.RMSEpsilon), Value: float32(1e-5)},
		{Key: key(names.VocabSize), Value: uint32(s.Vocab)},
		{Key: key(names.HiddenActivation), Value: s.Activation},
		{Key: key(names.RopeDimensions), Value: uint32(s.HeadDim)},
		{Key: key(names.RopeFreqBase), Value: s.RopeTheta},
		{Key: names.LinearActivation, Value: activation},
		{Key: names.TokenizerModel, Value: "gpt2"},
		{Key: names.TokenizerPre, Value: "gpt-2"},
		{Key: names.Tokens, Value: texts},
		{Key: names.TokenType, Value: types},
		{Key: names.Merges, Value: merges},
		{Key: names.BOS, Value: s.bos()},
		{Key: names.EOS, Value: s.eos()},
		{Key: names.AddBOS, Value: false},
	} {
		md.Set(kv.Key, kv.Value)
	}
	return md
}

// InMemory writes a file into memory. The result needs no Close.
func InMemory(f *quant.File) (*gguf.File, error) {
	md, infos, size, err := f.Plan()
	if err != nil {
		return nil, err
	}
	m := make(memory, 0, size)
	w, err := gguf.NewWriter(&m, md, infos)
	if err != nil {
		return nil, err
	}
	for _, t := range f.Tensors {
		if err := t.Fill(w); err != nil {
			return nil, err
		}
		if err := w.Next(); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return gguf.Parse(m)
}

// memory is a gguf.WriterAt.
type memory []byte

func (m *memory) Write(p []byte) (int, error) {
	*m = append(*m, p...)
	return len(p), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy((*m)[off:], p), nil }
