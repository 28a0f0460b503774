package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/convert/sglkernel"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// TestSGLKernel holds sgl-kernel files against the I2_S file of the same checkpoint: the same codes and scales, but Hugging Face's order of rows.
func TestSGLKernel(t *testing.T) {
	for _, name := range []string{"bitnet-online", "bitnet-packed-autobitlinear", "llama-packed-bitlinear", "bitnet-no-subln", "wrinklefree-pt"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			convertTo := func(out string, o Options) *Report {
				o.Path, o.Out = testdata+"fixtures/"+name, filepath.Join(dir, out)
				r, err := Run(context.Background(), o)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			report := convertTo("m.bin", Options{Format: FormatSGL})
			convertTo("m.gguf", Options{Type: "i2_s", TokenEmbedding: "f32", OutputTensor: "f32"})
			data, err := os.ReadFile(report.Out)
			if err != nil || uint64(len(data)) != report.Size || !report.Written {
				t.Fatalf("%d bytes, %+v, %v", len(data), report, err)
			}
			f, err := sglkernel.Read(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			want, err := gguf.Open(filepath.Join(dir, "m.gguf"))
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			var config map[string]any
			if err := json.Unmarshal(f.Config, &config); err != nil {
				t.Fatal(err)
			}
			for key, v := range config {
				if _, nested := v.(map[string]any); nested || v == nil {
					t.Errorf("config: %s is %v", key, v)
				}
			}
			arch, _, _ := gguf.Value[string](want.Metadata, names.Architecture)
			scales, projections := 0, 0
			for _, s := range f.Tensors {
				if strings.HasSuffix(s.Name, ".weight_scale") {
					scales++
					continue
				}
				info := sglSource(t, want, s.Name)
				if want, got := info.Dims, s.Dims; len(want) != len(got) || uint64(got[0]) != want[len(want)-1] {
					t.Errorf("%s has dims %v, GGUF %v", s.Name, got, want)
				}
				size, _ := s.Size()
				got := data[s.Offset:][:size]
				raw, err := io.ReadAll(want.TensorReader(info))
				if err != nil {
					t.Fatal(err)
				}
				if info.Type == gguf.I2_S {
					projections++
					if scale := quant.I2SScale(raw[len(raw)-quant.I2STailBytes:]); s.DType != sglkernel.U8 || !s.HasScale || math.Float32bits(s.Scale) != math.Float32bits(scale) {
						t.Errorf("%s: %v, scale %v, want %v", s.Name, s.DType, s.Scale, scale)
					}
					raw = raw[:len(raw)-quant.I2STailBytes]
				} else if s.HasScale || s.DType == sglkernel.U8 {
					t.Errorf("%s is %v", s.Name, s.DType)
				}
				permuted := arch == names.Llama && (strings.Contains(s.Name, "q_proj") || strings.Contains(s.Name, "k_proj"))
				if bytes.Equal(got, raw) == permuted && s.DType != sglkernel.F16 {
					t.Errorf("%s: its bytes are those of the GGUF file: %v", s.Name, !permuted)
				}
			}
			if packed := strings.Contains(name, "packed"); (scales > 0) != packed || packed && scales != projections || projections == 0 {
				t.Errorf("%d weight_scale tensors of %d projections", scales, projections)
			}
		})
	}
	t.Run("dense", func(t *testing.T) {
		_, err := Run(context.Background(), Options{Path: testdata + "fixtures/fast-dllm-qwen", Format: FormatSGL, Out: filepath.Join(t.TempDir(), "m.bin")})
		requireCode(t, err, "NOT_TERNARY")
	})
	t.Run("dry run", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "m.bin")
		r, err := Run(context.Background(), Options{Path: testdata + "fixtures/bitnet-online", Format: FormatSGL, Out: out, DryRun: true})
		if err != nil || r.Written || r.Size == 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a dry run wrote")
		}
	})
	t.Run("options without a place", func(t *testing.T) {
		for _, o := range []Options{{SplitMaxSize: 1}, {TensorTypes: []string{"x=f16"}}, {OverrideKV: []string{"a=int:1"}}} {
			o.Path, o.Format = "x", FormatSGL
			requireCode(t, o.Validate(), "USAGE")
		}
	})
}

// sglSource finds the tensor of the GGUF file.
func sglSource(t *testing.T, f *gguf.File, name string) *gguf.TensorInfo {
	t.Helper()
	for i := range f.Tensors {
		if got, err := sglName(f.Tensors[i].Name); err == nil && got == name {
			return &f.Tensors[i]
		}
	}
	t.Fatalf("nothing in the GGUF file is %s", name)
	return nil
}
