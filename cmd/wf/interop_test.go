package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/quant"
)

const interop = "../../testdata/interop/"

// TestInterop has other programs read and run what wf writes. WF_INTEROP (make interop) names a folder into which the programs are installed once:
// gguf from PyPI, @huggingface/gguf and node-llama-cpp from npm, gguf-parser-go as a Go module.
func TestInterop(t *testing.T) {
	work := os.Getenv("WF_INTEROP")
	if work == "" {
		t.Skip("WF_INTEROP is not set: make interop installs and runs other programs")
	}
	programs := installPrograms(t, work)
	for _, fx := range []struct {
		name, arch string
		ternary    bool
	}{{"bitnet-no-subln", "llama", true}, {"llama-packed-bitlinear", "llama", true}, {"fast-dllm-qwen", "qwen2", false}} {
		for _, typ := range []string{"F16", "BF16", "Q8_0", "Q4_0", "Q6_K-embedding", "TQ1_0", "TQ2_0", "I2_S"} {
			if ternaryType := strings.HasPrefix(typ, "TQ") || typ == "I2_S"; ternaryType && !fx.ternary {
				continue
			}
			t.Run(fx.name+"/"+typ, func(t *testing.T) {
				path := interopFile(t, fx.name, typ)
				for name, read := range programs.readers {
					t.Run(name, func(t *testing.T) { compareReading(t, path, typ, read) })
				}
				t.Run("llama.cpp", func(t *testing.T) { compareArgmax(t, path, typ, fx.name, fx.ternary, programs) })
			})
		}
	}
}

// program runs another program, with the paths of files behind what it needs itself.
type program []string

func (p program) run(args ...string) ([]byte, error) {
	args = append(p[1:len(p):len(p)], args...)
	out, err := exec.Command(p[0], args...).Output()
	if exit, ok := err.(*exec.ExitError); ok {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		err = fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return out, err
}

type programs struct {
	readers map[string]program
	argmax  program
}

func installPrograms(t *testing.T, work string) programs {
	t.Helper()
	work, err := filepath.Abs(work)
	if err != nil {
		t.Fatal(err)
	}
	once := func(made string, steps ...[]string) {
		if _, err := os.Stat(filepath.Join(work, made)); err == nil {
			return
		}
		for _, step := range steps {
			cmd := exec.Command(step[0], step[1:]...)
			if cmd.Dir = work; step[0] == "go" {
				cmd.Dir = interop + "ggufparser"
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", step, err, out)
			}
		}
	}
	python, modules := filepath.Join(work, "venv/bin/python"), filepath.Join(work, "node_modules")
	once("venv/lib", []string{"python3", "-m", "venv", "venv"}, []string{python, "-m", "pip", "install", "-q", "gguf==0.19.0"})
	once("node_modules/node-llama-cpp", []string{"npm", "install", "--no-fund", "--ignore-scripts", "node-llama-cpp@3.22.1", "@huggingface/gguf@0.4.6"})
	once("ggufparser", []string{"go", "build", "-o", filepath.Join(work, "ggufparser"), "."})
	return programs{
		readers: map[string]program{
			"gguf-py":          {python, interop + "read.py"},
			"huggingface-gguf": {"node", interop + "read.mjs", modules},
			"gguf-parser-go":   {filepath.Join(work, "ggufparser")},
		},
		argmax: program{"node", interop + "argmax.mjs", modules},
	}
}

// interopFile converts a fixture as an autoregressive model, and quantizes where convert does not write the type.
func interopFile(t *testing.T, fixture, typ string) string {
	t.Helper()
	o := convert.Options{Type: typ, NoMask: true}
	switch typ {
	case "Q4_0":
		o.Type = "f16"
		source, out := convertTo(t, fixtures+fixture, o), filepath.Join(t.TempDir(), "q4_0.gguf")
		if _, err := quant.Run(context.Background(), quant.Options{In: source, Out: out, Types: quant.Types{Type: gguf.Q4_0}, Version: version}); err != nil {
			t.Fatal(err)
		}
		return out
	case "Q6_K-embedding":
		o.Type, o.TokenEmbedding = "f16", "q6_k"
	}
	return convertTo(t, fixtures+fixture, o)
}

// compareReading holds what another program reads against what wf reads.
func compareReading(t *testing.T, path, typ string, read program) {
	out, err := read.run(path)
	if err != nil && typ == "I2_S" {
		t.Logf("refuses I2_S (type 36): %v", err)
		return
	}
	var got struct {
		Metadata map[string]any
		Tensors  []struct {
			Name string
			Type gguf.Type
			Dims []uint64
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(got.Metadata) != len(f.Metadata.All()) {
		t.Errorf("%d keys, want %d", len(got.Metadata), len(f.Metadata.All()))
	}
	for _, kv := range f.Metadata.All() {
		want := reflect.ValueOf(kv.Value)
		number, isNumber := got.Metadata[kv.Key].(float64)
		same := false
		switch {
		case want.Kind() == reflect.Slice:
			same = isNumber && int(number) == want.Len()
		case want.CanInt():
			same = isNumber && int64(number) == want.Int()
		case want.CanUint():
			same = isNumber && uint64(number) == want.Uint()
		case want.CanFloat():
			same = isNumber && math.Abs(number-want.Float()) <= 1e-6*math.Abs(want.Float())
		default:
			same = got.Metadata[kv.Key] == kv.Value
		}
		if !same {
			t.Errorf("%s is %v, want %v", kv.Key, got.Metadata[kv.Key], kv.Value)
		}
	}
	if len(got.Tensors) != len(f.Tensors) {
		t.Fatalf("%d tensors, want %d", len(got.Tensors), len(f.Tensors))
	}
	for i, w := range f.Tensors {
		if g := got.Tensors[i]; g.Name != w.Name || g.Type != w.Type || !reflect.DeepEqual(g.Dims, w.Dims) {
			t.Errorf("tensor %d is %+v, want %+v", i, g, w)
		}
	}
	if typ == "I2_S" {
		t.Log("reads I2_S (type 36) as wf does, by number")
	}
}

// compareArgmax holds llama.cpp's most likely tokens against wf's. llama.cpp does not quantise the activations of ternary layers: there the two may
// differ where the best two logits are closer than 5 % of the row's largest.
func compareArgmax(t *testing.T, path, typ, fixture string, ternary bool, p programs) {
	golden := readGolden(t, fixtures+fixture+"/golden.safetensors")
	ids := golden.ids("ids")
	var args []string
	for _, id := range ids {
		args = append(args, fmt.Sprint(id))
	}
	out, err := p.argmax.run(append([]string{path}, args...)...)
	if typ == "I2_S" {
		if err == nil {
			t.Error("llama.cpp loads I2_S now; the docs say that it refuses")
		}
		t.Logf("refuses I2_S: %v", err)
		return
	}
	var got []int
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil || len(got) != len(ids) {
		t.Fatalf("%d tokens: %v", len(got), err)
	}
	logits := logitsOf(t, loadModel(t, path, infer.Options{}), ids, infer.Mask{})
	vocab := len(logits) / len(ids)
	differ, close := 0, 0
	for i, token := range got {
		row := logits[i*vocab:][:vocab]
		best, second, most := 0, float32(math.Inf(-1)), float32(0)
		for id, v := range row {
			if v > row[best] {
				best = id
			}
			most = max(most, float32(math.Abs(float64(v))))
		}
		for id, v := range row {
			if id != best {
				second = max(second, v)
			}
		}
		switch {
		case token == best:
		case row[best]-second <= 0.05*most:
			close++
		default:
			differ++
			t.Errorf("position %d: llama.cpp says %d, wf %d (logits %.4f, %.4f, second %.4f, largest %.4f)", i, token, best, row[token], row[best], second, most)
		}
	}
	if !ternary && typ != "Q8_0" && typ != "Q4_0" && typ != "Q6_K-embedding" && close > 0 {
		t.Errorf("%d tokens of a dense model differ", close)
	}
	t.Logf("%d of %d tokens are the same, %d differ where the best two are close", len(ids)-differ-close, len(ids), close)
}
