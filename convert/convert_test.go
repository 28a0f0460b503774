package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

const testdata = "../testdata/"

// shape is what a fixture must become.
type shape struct {
	path         string
	arch, source string
	subLN, head  bool
	interleaved  bool // q and k rows
	bias, freqs  bool
	kv           int
	layers       int
	dialect      string
	subLNEps     float32 // 0: the model's
}

var shapes = []shape{
	{path: "fixtures/bitnet-online", arch: "bitnet-b1.58", source: "online", subLN: true, kv: 2, layers: 2, dialect: "wrinklefree"},
	{path: "fixtures/bitnet-sharded", arch: "bitnet-b1.58", source: "online", subLN: true, kv: 2, layers: 2, dialect: "wrinklefree"},
	{path: "fixtures/wrinklefree-pt", arch: "bitnet", source: "online", subLN: true, kv: 2, layers: 2, dialect: "wrinklefree", subLNEps: 1e-6},
	{path: "fixtures/bitnet-packed-autobitlinear", arch: "bitnet-b1.58", source: "offline-mul", subLN: true, kv: 2, layers: 2, dialect: "wrinklefree"},
	{path: "fixtures/llama-packed-bitlinear", arch: "llama", source: "offline-div", head: true, interleaved: true, kv: 2, layers: 2, dialect: "wrinklefree"},
	{path: "fixtures/bitnet-no-subln", arch: "llama", source: "online", head: true, interleaved: true, freqs: true, kv: 1, layers: 2, dialect: "wrinklefree"},
	{path: "fixtures/fast-dllm-qwen", arch: "qwen2", source: "dense", bias: true, kv: 2, layers: 2, dialect: "fast-dllm-v2"},
	{path: "tinydlm/hf", arch: "bitnet-b1.58", source: "online", subLN: true, kv: 2, layers: 4, dialect: "fast-dllm-v2"},
	{path: "tinydlm/pt", arch: "bitnet-b1.58", source: "online", subLN: true, kv: 2, layers: 4, dialect: "fast-dllm-v2"},
}

// TestEveryShapeInEveryType holds metadata, the list of tensors and every value against rules written a second time in this test.
func TestEveryShapeInEveryType(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.path, func(t *testing.T) {
			t.Parallel()
			exact := convertDir(t, testdata+s.path, Options{Type: "f32"})
			s.checkMetadata(t, exact)
			s.checkTensors(t, exact, gguf.F32)
			s.checkValues(t, exact)
			values := map[string][]float32{}
			for _, info := range exact.Tensors() {
				values[info.Name] = exact.floats(t, info.Name)
			}
			for _, typ := range []gguf.Type{gguf.F16, gguf.BF16, gguf.Q8_0, gguf.I2_S, gguf.TQ1_0} {
				out, err := tryConvert(t, testdata+s.path, Options{Type: typ.String()})
				if quant.IsTernary(typ) && s.source == "dense" {
					requireCode(t, err, "NOT_TERNARY", "q_proj", "magnitudes")
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				s.checkTensors(t, out, typ)
				for _, info := range out.Tensors() {
					if s.path != "tinydlm/pt" { // the same values as tinydlm/hf: R77
						requireEncoded(t, out, info, values[info.Name])
					}
				}
			}
		})
	}
}

// Tensors is the list of the file; the report has one of its own.
func (o output) Tensors() []gguf.TensorInfo { return o.File.Tensors }

// requireEncoded holds a tensor against the encoding of what the F32 file has.
func requireEncoded(t *testing.T, out output, info gguf.TensorInfo, want []float32) {
	t.Helper()
	switch {
	case !quant.IsTernary(info.Type):
		if !bytes.Equal(out.raw(t, info.Name), quant.Encode(nil, info.Type, want)) {
			t.Errorf("%s in %v is not the encoding of the exact values", info.Name, info.Type)
		}
	case info.Type == gguf.I2_S:
		if !slices.Equal(out.floats(t, info.Name), want) {
			t.Errorf("%s in I2_S differs from F32", info.Name)
		}
	default:
		for i, v := range out.floats(t, info.Name) {
			if (v > 0) != (want[i] > 0) || (v < 0) != (want[i] < 0) {
				t.Errorf("%s in %v: weight %d is %v, in F32 %v", info.Name, info.Type, i, v, want[i])
				break
			}
		}
	}
}

func (s shape) checkMetadata(t *testing.T, out output) {
	t.Helper()
	want := map[string]any{
		names.Architecture: s.arch, names.Type: "model", names.Name: filepath.Base(s.path), names.FileType: uint32(0),
		names.Arch(s.arch, names.BlockCount): uint32(s.layers), names.Arch(s.arch, names.EmbeddingLength): uint32(256),
		names.Arch(s.arch, names.HeadCount): uint32(4), names.Arch(s.arch, names.HeadCountKV): uint32(s.kv),
		names.Arch(s.arch, names.KeyLength): uint32(64), names.Arch(s.arch, names.RopeDimensions): uint32(64),
		names.Arch(s.arch, names.VocabSize): uint32(1024),
		names.TokenizerModel:                "gpt2", names.TokenizerPre: "smollm", names.BOS: uint32(1), names.EOS: uint32(3), names.Padding: uint32(1),
		names.AddBOS: false, names.AddEOS: false, names.AddSpacePrefix: false, names.EOT: nil, names.StopTokens: nil,
		names.MaskToken: uint32(0), names.ShiftLogits: true, names.Dialect: s.dialect, names.BlockSize: uint32(32), names.SubBlockSize: uint32(8),
		names.Threshold: nil, names.Mode: nil,
		names.QuantSource: s.source, names.Version: "test", names.Options: "--outtype f32", names.I2SLayout: nil, names.QuantizationVersion: nil,
	}
	want[names.ScaleRule], want[names.LinearActivation] = map[string]any{"online": "absmean", "offline-mul": "kept", "offline-div": "kept"}[s.source], "int8"
	if s.source == "dense" {
		want[names.LinearActivation] = "none"
	}
	if want[names.SubLNEps] = nil; s.subLNEps != 0 {
		want[names.SubLNEps] = s.subLNEps
	}
	for key, v := range want {
		if got := out.value(key); got != v {
			t.Errorf("%s is %v, want %v", key, got, v)
		}
	}
	if list, _ := out.value(names.Tokens).([]string); len(list) != 1024 || list[0] != "|<MASK>|" || list[1] != "<|endoftext|>" {
		t.Errorf("%d tokens, %q", len(list), list[:min(2, len(list))])
	}
	if kinds, _ := out.value(names.TokenType).([]int32); len(kinds) != 1024 || kinds[3] != names.TokenControl || kinds[4] != names.TokenNormal {
		t.Errorf("%d token types", len(kinds))
	}
	if template, _ := out.value(names.ChatTemplate).(string); !strings.Contains(template, "<|im_start|>") {
		t.Errorf("chat template %q", template)
	}
}

func (s shape) checkTensors(t *testing.T, out output, typ gguf.Type) {
	t.Helper()
	plain := typ
	if quant.IsTernary(typ) {
		plain = gguf.F16
	}
	ffn := uint64(512)
	if s.layers == 4 {
		ffn = 768
	}
	want := map[string]gguf.TensorInfo{}
	add := func(name string, typ gguf.Type, dims ...uint64) { want[name] = gguf.TensorInfo{Type: typ, Dims: dims} }
	add(names.TokenEmbedding, plain, 256, 1024)
	add(names.OutputNorm, gguf.F32, 256)
	if s.head {
		add(names.Output, plain, 256, 1024)
	}
	if s.freqs {
		add(names.RopeFreqs, gguf.F32, 32)
	}
	for layer := range s.layers {
		put := func(part string, typ gguf.Type, dims ...uint64) {
			add(names.Block(layer, part, "weight"), typ, dims...)
		}
		kv := uint64(64 * s.kv)
		put(names.AttnNorm, gguf.F32, 256)
		put(names.FFNNorm, gguf.F32, 256)
		put(names.AttnQ, typ, 256, 256)
		put(names.AttnK, typ, 256, kv)
		put(names.AttnV, typ, 256, kv)
		put(names.AttnOutput, typ, 256, 256)
		put(names.FFNGate, typ, 256, ffn)
		put(names.FFNUp, typ, 256, ffn)
		put(names.FFNDown, typ, ffn, 256)
		if s.subLN {
			put(names.AttnSubNorm, gguf.F32, 256)
			put(names.FFNSubNorm, gguf.F32, ffn)
		}
		if s.bias {
			add(names.Block(layer, names.AttnQ, "bias"), gguf.F32, 256)
			add(names.Block(layer, names.AttnK, "bias"), gguf.F32, kv)
			add(names.Block(layer, names.AttnV, "bias"), gguf.F32, kv)
		}
	}
	for _, info := range out.Tensors() {
		w, ok := want[info.Name]
		if !ok || w.Type != info.Type || !slices.Equal(w.Dims, info.Dims) {
			t.Errorf("%s is %v %v, want %v %v", info.Name, info.Type, info.Dims, w.Type, w.Dims)
		}
		delete(want, info.Name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
	for i, line := range out.Report.Tensors {
		info := out.Tensors()[i]
		if line.Name != info.Name || line.To != info.Type.String() || line.Bytes != info.Size || line.From == "" || line.Source == "" {
			t.Errorf("report %+v, file %+v", line, info)
		}
	}
	if got := out.value(names.FileType); got != typ.FileType() {
		t.Errorf("file type %v, want %d", got, typ.FileType())
	}
}

// checkValues compares every value with the rules applied to the checkpoint's tensors in the plainest way.
func (s shape) checkValues(t *testing.T, out output) {
	t.Helper()
	ckpt, err := checkpoint.Open(testdata + s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	for _, line := range out.Report.Tensors {
		if line.Name == names.RopeFreqs {
			continue
		}
		src, _ := ckpt.Tensor(line.Source)
		want := s.effective(t, ckpt, src, line.Name)
		if s.interleaved && (strings.Contains(line.Name, names.AttnQ+".") || strings.Contains(line.Name, names.AttnK+".")) {
			want = interleaved(want, len(want)/256/64, 64, 256)
		}
		if got := out.floats(t, line.Name); !slices.Equal(got, want) {
			i := 0
			for got[i] == want[i] {
				i++
			}
			t.Errorf("%s: value %d is %v, want %v", line.Name, i, got[i], want[i])
		}
	}
}

// effective returns the weights that a checkpoint tensor stands for, in Hugging Face's row order.
func (s shape) effective(t *testing.T, ckpt *checkpoint.Checkpoint, src *checkpoint.Tensor, name string) []float32 {
	t.Helper()
	raw := make([]byte, src.Size())
	if _, err := src.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	if src.DType == checkpoint.U8 {
		ws, _ := ckpt.Tensor(src.Name + "_scale")
		bits := make([]byte, 2)
		ws.ReadAt(bits, 0)
		factor := tensor{"BF16", nil, bits}.floats()[0]
		if s.source == "offline-div" {
			factor = 1 / factor
		}
		p, in := int(src.Shape[0]), int(src.Shape[1])
		out := make([]float32, 4*p*in)
		for row := range 4 * p {
			for col := range in {
				out[row*in+col] = float32(int(raw[row%p*in+col]>>(2*(row/p))&3)-1) * factor
			}
		}
		return out
	}
	x := tensor{src.DType.String(), nil, raw}.floats()
	if s.source == "online" && quant.IsProjection(name) {
		return ternarised(x)
	}
	return x
}

func TestRunPlans(t *testing.T) {
	t.Run("dry run", func(t *testing.T) {
		dir := t.TempDir()
		dry := convertDir(t, testdata+"tinydlm/hf", Options{Type: "i2_s", DryRun: true, Out: filepath.Join(dir, "x.gguf")})
		if entries, _ := os.ReadDir(dir); len(entries) != 0 || dry.Written {
			t.Errorf("a dry run wrote %v", entries)
		}
		real := convertDir(t, testdata+"tinydlm/hf", Options{Type: "i2_s", Out: filepath.Join(dir, "x.gguf")})
		dry.Report.Written, dry.Report.Seconds, real.Report.Seconds = true, 0, 0
		a, err := json.Marshal(dry.Report)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(real.Report)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("dry run reports\n%s\nthe conversion\n%s", a, b)
		}
	})
	t.Run("output name", func(t *testing.T) {
		path, err := filepath.Abs(testdata + "tinydlm/hf")
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(t.TempDir())
		for _, o := range []Options{{}, {Type: "auto"}} {
			o.Path = path
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"": "hf-F16.gguf", "auto": "hf-I2_S.gguf"}[o.Type]
			if _, err := os.Stat(want); err != nil || r.Out != want {
				t.Errorf("wrote %s, want %s", r.Out, want)
			}
		}
	})
	t.Run("progress", func(t *testing.T) {
		var done, total int64
		out := convertDir(t, testdata+"tinydlm/hf", Options{Progress: func(d, n int64) {
			if d < done || d > n {
				t.Errorf("progress from %d to %d of %d", done, d, n)
			}
			done, total = d, n
		}})
		if uint64(total) != out.Report.Size || done != total {
			t.Errorf("progress ended at %d of %d; the file has %d bytes", done, total, out.Report.Size)
		}
	})
	t.Run("auto", func(t *testing.T) {
		for path, want := range map[string]string{"tinydlm/hf": "I2_S", "fixtures/llama-packed-bitlinear": "I2_S", "fixtures/fast-dllm-qwen": "F16"} {
			if out := convertDir(t, testdata+path, Options{Type: "auto", DryRun: true}); out.Type != want {
				t.Errorf("%s: auto chose %s, want %s", path, out.Type, want)
			}
		}
		m := newModel()
		m.config["architectures"] = []string{"LlamaForCausalLM"}
		x := m.tensors["model.layers.1.mlp.up_proj.weight"].floats()
		x[77] = 70000
		m.tensors["model.layers.1.mlp.up_proj.weight"] = f32(x, 256, 128)
		if out := convertDir(t, m.write(t), Options{Type: "auto"}); out.Type != "BF16" {
			t.Errorf("auto chose %s for weights that F16 cannot hold", out.Type)
		}
	})
}

// TestSources: what the files are called and how they are wrapped changes nothing.
func TestSources(t *testing.T) {
	t.Run("R77 safetensors and PyTorch", func(t *testing.T) {
		hf := convertDir(t, testdata+"tinydlm/hf", Options{Type: "f32"})
		pt := convertDir(t, testdata+"tinydlm/pt", Options{Type: "f32"})
		for _, kv := range hf.Metadata.All() {
			if strings.HasPrefix(kv.Key, "wf.source.") || kv.Key == names.Name {
				continue
			}
			if got := pt.value(kv.Key); fmt.Sprint(got) != fmt.Sprint(kv.Value) {
				t.Errorf("%s is %v from safetensors, %v from PyTorch", kv.Key, kv.Value, got)
			}
		}
		if a, b := len(hf.Metadata.All()), len(pt.Metadata.All()); a != b {
			t.Errorf("%d and %d keys", a, b)
		}
		for i, info := range hf.Tensors() {
			if other := pt.Tensors()[i]; other.Name != info.Name || !bytes.Equal(hf.raw(t, info.Name), pt.raw(t, info.Name)) {
				t.Errorf("%s differs from %s", info.Name, other.Name)
			}
		}
	})
	t.Run("R74 a wrong CRC", func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range []string{"checkpoint.pt", "config.json", "tokenizer.json"} {
			data, err := os.ReadFile(testdata + "fixtures/wrinklefree-pt/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if name == "checkpoint.pt" {
				data[bytes.LastIndex(data, []byte("PK\x01\x02"))+16] ^= 1 // the central directory's last CRC-32
			}
			put(t, filepath.Join(dir, name), data)
		}
		a, b := convertDir(t, dir, Options{Type: "i2_s"}), convertDir(t, testdata+"fixtures/wrinklefree-pt", Options{Type: "i2_s"})
		if strings.Count(a.notices, "CRC-32") != 1 || strings.Contains(b.notices, "CRC-32") {
			t.Errorf("notices %q and %q", a.notices, b.notices)
		}
		for _, info := range a.Tensors() {
			if !bytes.Equal(a.raw(t, info.Name), b.raw(t, info.Name)) {
				t.Errorf("%s differs", info.Name)
			}
		}
	})
	t.Run("sharded", func(t *testing.T) {
		one, two := convertDir(t, testdata+"fixtures/bitnet-online", Options{}), convertDir(t, testdata+"fixtures/bitnet-sharded", Options{})
		for _, info := range one.Tensors() {
			if !bytes.Equal(one.raw(t, info.Name), two.raw(t, info.Name)) {
				t.Errorf("%s differs", info.Name)
			}
		}
	})
	t.Run("one file and a folder for the config", func(t *testing.T) {
		m := newModel()
		dir := m.write(t)
		elsewhere := filepath.Join(t.TempDir(), "weights.safetensors")
		data, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		put(t, elsewhere, data)
		a, b := convertDir(t, dir, Options{Name: "n"}), convertDir(t, elsewhere, Options{ConfigDir: dir, Name: "n"})
		for _, info := range a.Tensors() {
			if !bytes.Equal(a.raw(t, info.Name), b.raw(t, info.Name)) {
				t.Errorf("%s differs", info.Name)
			}
		}
		_, err = tryConvert(t, elsewhere, Options{})
		requireCode(t, err, "CONFIG_NOT_FOUND", "--config-dir")
	})
	t.Run("receipt", func(t *testing.T) {
		out := convertDir(t, testdata+"fixtures/bitnet-sharded", Options{})
		list, _ := out.value(names.SourceFiles).([]string)
		var files []string
		for _, entry := range list {
			name, _, _ := strings.Cut(entry, " ")
			files = append(files, name)
		}
		for _, want := range []string{"model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"} {
			if !slices.Contains(files, want) {
				t.Errorf("%s is not among the sources %v", want, files)
			}
		}
	})
}

// TestR140 R140: the same input gives the same bytes, whatever the number of threads.
func TestR140(t *testing.T) {
	for _, path := range []string{"tinydlm/hf", "fixtures/llama-packed-bitlinear"} {
		for _, typ := range []string{"i2_s", "f16"} {
			var first []byte
			for _, threads := range []int{1, 1, 2, 7} {
				out := filepath.Join(t.TempDir(), "x.gguf")
				convertDir(t, testdata+path, Options{Type: typ, Out: out, Threads: threads})
				data, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = data
				}
				if !bytes.Equal(first, data) {
					t.Errorf("R140 %s %s: %d threads give other bytes than 1", path, typ, threads)
				}
			}
		}
	}
}
