package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// model is a small checkpoint that a test bends before it is written.
type model struct {
	config  map[string]any
	tensors map[string]tensor
	files   map[string]string // beside config.json and the weights
}

type tensor struct {
	dtype string
	shape []int
	data  []byte
}

// vocabulary is a byte-level BPE tokenizer of six tokens.
const vocabulary = `{"added_tokens": [
	{"id": 3, "content": "<|endoftext|>", "special": true}, {"id": 4, "content": "|<MASK>|", "special": true}],
	"normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, "post_processor": null,
	"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 5}, "merges": ["a b"]}}`

// newModel returns a BitNetForCausalLM without SubLN: hidden 128, two layers, four heads, two of keys and values; F32 master weights.
func newModel() *model {
	m := &model{
		config: map[string]any{
			"architectures": []string{"BitNetForCausalLM"}, "model_type": "bitnet", "vocab_size": 8, "hidden_size": 128, "intermediate_size": 256,
			"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "hidden_act": "silu",
			"max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "eos_token_id": 3,
		},
		tensors: map[string]tensor{},
		files:   map[string]string{"tokenizer.json": vocabulary},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	m.add(rng, "model.embed_tokens.weight", 8, 128)
	m.add(rng, "model.norm.weight", 128)
	for layer := range 2 {
		prefix := fmt.Sprintf("model.layers.%d.", layer)
		m.add(rng, prefix+"input_layernorm.weight", 128)
		m.add(rng, prefix+"post_attention_layernorm.weight", 128)
		m.add(rng, prefix+"self_attn.q_proj.weight", 128, 128)
		m.add(rng, prefix+"self_attn.k_proj.weight", 64, 128)
		m.add(rng, prefix+"self_attn.v_proj.weight", 64, 128)
		m.add(rng, prefix+"self_attn.o_proj.weight", 128, 128)
		m.add(rng, prefix+"mlp.gate_proj.weight", 256, 128)
		m.add(rng, prefix+"mlp.up_proj.weight", 256, 128)
		m.add(rng, prefix+"mlp.down_proj.weight", 128, 256)
	}
	return m
}

func (m *model) add(rng *rand.Rand, name string, shape ...int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	m.tensors[name] = f32(x, shape...)
}

func f32(x []float32, shape ...int) tensor {
	return tensor{"F32", shape, quant.Encode(nil, gguf.F32, x)}
}

func bf16(x []float32, shape ...int) tensor {
	return tensor{"BF16", shape, quant.Encode(nil, gguf.BF16, x)}
}

// floats decodes a tensor of the model.
func (t tensor) floats() []float32 {
	types := map[string]gguf.Type{"F32": gguf.F32, "BF16": gguf.BF16, "F16": gguf.F16}
	typ := types[t.dtype]
	x := make([]float32, len(t.data)/int(typ.BlockBytes()))
	quant.Decode(x, typ, t.data)
	return x
}

// rename moves every tensor whose name contains old.
func (m *model) rename(old, to string) {
	for _, name := range slices.Collect(maps.Keys(m.tensors)) {
		if strings.Contains(name, old) {
			m.tensors[strings.Replace(name, old, to, 1)] = m.tensors[name]
			delete(m.tensors, name)
		}
	}
}

// write writes the checkpoint to a new folder.
func (m *model) write(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(m.config)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "config.json"), config)
	for name, text := range m.files {
		put(t, filepath.Join(dir, name), []byte(text))
	}
	put(t, filepath.Join(dir, "model.safetensors"), safetensors(t, m.tensors))
	return dir
}

func put(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func safetensors(t testing.TB, tensors map[string]tensor) []byte {
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header, end := map[string]entry{}, 0
	sorted := slices.Sorted(maps.Keys(tensors))
	for _, name := range sorted {
		k := tensors[name]
		header[name] = entry{k.dtype, append([]int{}, k.shape...), [2]int{end, end + len(k.data)}}
		end += len(k.data)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for _, name := range sorted {
		file = append(file, tensors[name].data...)
	}
	return file
}

// pack packs codes -1, 0, 1 of [out, in] as transformers does, an independent spelling of FORMATS.md 5.1.
func pack(codes []int8, out, in int) tensor {
	p := (out + 3) / 4
	data := make([]byte, p*in)
	for row := range 4 * p {
		for col := range in {
			code := int8(0)
			if row < out {
				code = codes[row*in+col]
			}
			data[row%p*in+col] |= byte(code+1) << (2 * (row / p))
		}
	}
	return tensor{"U8", []int{p, in}, data}
}

// output is a converted file, read back.
type output struct {
	*gguf.File
	*Report
	notices string
}

// convertDir converts and fails the test on an error.
func convertDir(t testing.TB, dir string, o Options) output {
	t.Helper()
	out, err := tryConvert(t, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryConvert converts to a file of its own, unless o.Out names one.
func tryConvert(t testing.TB, dir string, o Options) (output, error) {
	t.Helper()
	o.Path, o.Version = dir, "test"
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "out.gguf")
	}
	var notices []string
	o.Notice = func(n string) { notices = append(notices, n) }
	report, err := Run(context.Background(), o)
	if err != nil {
		requireClean(t, o.Out)
		return output{}, err
	}
	if !slices.Equal(notices, report.Notices) {
		t.Errorf("told %q, reported %q", notices, report.Notices)
	}
	if o.DryRun {
		return output{nil, report, strings.Join(notices, "\n")}, nil
	}
	f, err := gguf.Open(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if size := int64(report.Size); int64(f.Size) != size {
		t.Errorf("the report says %d bytes, the file has %d", size, f.Size)
	}
	return output{f, report, strings.Join(notices, "\n")}, nil
}

// requireClean fails if anything is left in the folder of a failed output but what is not its own.
func requireClean(t testing.TB, path string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.wf-tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*.wf-tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// requireCode fails unless err has the code, and its text keeps the rules of error texts and contains every part.
func requireCode(t testing.TB, err error, code string, parts ...string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Fatalf("got %v (code %q); want %s", err, fault.Code(err), code)
	}
	if text := err.Error(); len(text) > 300 && !strings.Contains(text, "\n") {
		t.Errorf("%d bytes of text: %s", len(text), text)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

// floats decodes a tensor of the output.
func (o output) floats(t testing.TB, name string) []float32 {
	t.Helper()
	info, ok := o.Tensor(name)
	if !ok {
		t.Fatalf("the output has no %s", name)
	}
	raw := o.raw(t, name)
	n := info.Rows() * info.Dims[0]
	x := make([]float32, n)
	if info.Type != gguf.I2_S {
		quant.Decode(x, info.Type, raw)
		return x
	}
	trits := make([]int8, n)
	if err := quant.UnpackI2S(trits, raw[:n/4]); err != nil {
		t.Fatal(err)
	}
	scale := math.Float32frombits(binary.LittleEndian.Uint32(raw[n/4:]))
	for i, c := range trits {
		x[i] = float32(c) * scale
	}
	return x
}

func (o output) raw(t testing.TB, name string) []byte {
	t.Helper()
	info, ok := o.Tensor(name)
	if !ok {
		t.Fatalf("the output has no %s", name)
	}
	raw := make([]byte, info.Size)
	if _, err := o.TensorReader(info).ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	return raw
}

// value reads a metadata value; nil if absent.
func (o output) value(key string) any {
	v, _ := o.Metadata.Get(key)
	return v
}

// ternarised is FORMATS.md 3.1, written for reading.
func ternarised(x []float32) []float32 {
	sum := 0.0
	for _, v := range x {
		sum += math.Abs(float64(v))
	}
	s := max(float32(sum/float64(len(x))), 1e-5)
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = max(-1, min(1, float32(math.RoundToEven(float64(v*(1/s)))))) * s
	}
	return out
}

// interleaved is FORMATS.md 6.3 for rows of cols weights.
func interleaved(x []float32, heads, headDim, cols int) []float32 {
	out := make([]float32, len(x))
	for h := range heads {
		for j := range headDim / 2 {
			for c := range 2 {
				copy(out[(h*headDim+2*j+c)*cols:][:cols], x[(h*headDim+c*headDim/2+j)*cols:][:cols])
			}
		}
	}
	return out
}

// typed returns the inventory of a model without its weights, as if they were normally distributed.
func (m *model) typed() *Inventory {
	dtypes := map[string]checkpoint.DType{"F32": checkpoint.F32, "BF16": checkpoint.BF16, "F16": checkpoint.F16, "U8": checkpoint.U8, "I8": checkpoint.I8}
	inv := &Inventory{Values: map[string]Values{}}
	for layer := range 2 {
		for _, part := range names.Projections {
			inv.Values[names.Block(layer, part, "weight")] = Values{Mean: 0.8, Density: 0.7}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.tensors)) {
		t := m.tensors[name]
		shape := []uint64{}
		for _, d := range t.shape {
			shape = append(shape, uint64(d))
		}
		inv.Tensors = append(inv.Tensors, Tensor{name, dtypes[t.dtype], shape})
	}
	return inv
}

// plan plans a model without writing it.
func (m *model) plan(t testing.TB, inv *Inventory, o Options) (*Plan, error) {
	t.Helper()
	text, err := json.Marshal(m.config)
	if err != nil {
		t.Fatal(err)
	}
	var dlm []byte
	if side, ok := m.files["dlm_config.json"]; ok {
		dlm = []byte(side)
	}
	c, err := ParseConfig(text, nil, dlm)
	if err != nil {
		return nil, err
	}
	tok, err := ParseTokenizer([]byte(m.files["tokenizer.json"]))
	if err != nil {
		t.Fatal(err)
	}
	return MakePlan(inv, c, tok, o)
}
