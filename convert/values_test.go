package convert

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/names"
)

const (
	upProj = "model.layers.0.mlp.up_proj.weight"
	kProj  = "model.layers.1.self_attn.k_proj.weight"
	embed  = "model.embed_tokens.weight"
)

// set overwrites one weight.
func (m *model) set(name string, index int, v float32) {
	k := m.tensors[name]
	x := k.floats()
	x[index] = v
	m.tensors[name] = f32(x, k.shape...)
}

// fill makes all weights equal.
func (m *model) fill(name string, v float32) {
	k := m.tensors[name]
	x := make([]float32, len(k.data)/4)
	for i := range x {
		x[i] = v
	}
	m.tensors[name] = f32(x, k.shape...)
}

// dense makes the projections ordinary weights.
func dense(m *model) { m.config["architectures"] = []string{"LlamaForCausalLM"} }

func TestHostileValues(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name, code string
		change     func(m *model)
		o          Options
		parts      []string
	}{
		{"R51 NaN in the embedding", "TENSOR_NOT_FINITE", func(m *model) { m.set(embed, 700, nan) }, Options{}, []string{"embed_tokens", "700", "NaN"}},
		{"R51 infinity in a norm", "TENSOR_NOT_FINITE", func(m *model) { m.set("model.norm.weight", 5, inf) }, Options{}, []string{"model.norm", "5", "Inf"}},
		{"R51 NaN in a master weight", "TENSOR_NOT_FINITE", func(m *model) { m.set(upProj, 32000, nan) }, Options{Type: "i2_s"}, []string{"up_proj", "32000"}},
		{"R51 NaN in a dense weight", "TENSOR_NOT_FINITE", func(m *model) { dense(m); m.set(upProj, 32000, nan) }, Options{Type: "f32"}, []string{"up_proj", "32000"}},
		{"R51 NaN in a bias", "TENSOR_NOT_FINITE", func(m *model) {
			m.tensors["model.layers.0.self_attn.o_proj.bias"] = f32(make([]float32, 128), 128)
			m.set("model.layers.0.self_attn.o_proj.bias", 3, nan)
		}, Options{}, []string{"o_proj.bias", "3"}},
		{"R146 NaN payload in bf16", "TENSOR_NOT_FINITE", func(m *model) {
			k := m.tensors[embed]
			b := bf16(k.floats(), k.shape...)
			b.data[2*9], b.data[2*9+1] = 0xA5, 0x7F
			m.tensors[embed] = b
		}, Options{Type: "bf16"}, []string{"embed_tokens", "9"}},
		{"R146 overflow", "RANGE_LOSS", func(m *model) { m.set(embed, 1000, 65520) }, Options{}, []string{"embed_tokens", "1000", "65520", "bf16"}},
		{"R146 overflow in Q8_0", "RANGE_LOSS", func(m *model) { m.set(embed, 1, 1e7) }, Options{Type: "q8_0"}, []string{"Q8_0"}},
		{"R146 ternary scale", "RANGE_LOSS", func(m *model) {
			packed(m, 1e-6)
			m.config["quantization_config"] = map[string]any{"quant_method": "bitnet", "linear_class": "autobitlinear"}
		}, Options{Type: "f16"}, []string{"1e-06", "F16"}},
		{"R145 all zero", "TENSOR_SUSPICIOUS", func(m *model) { m.fill(upProj, 0) }, Options{}, []string{"up_proj", "--allow-suspicious"}},
		{"R145 constant", "TENSOR_SUSPICIOUS", func(m *model) { m.fill(kProj, 0.25) }, Options{Type: "i2_s"}, []string{"k_proj"}},
		{"R145 constant embedding", "TENSOR_SUSPICIOUS", func(m *model) { m.fill(embed, 0.25) }, Options{}, []string{"embed_tokens"}},
		{"R145 packed zeros", "TENSOR_SUSPICIOUS", func(m *model) {
			packed(m, 0.5)
			m.tensors[upProj] = pack(make([]int8, 256*128), 256, 128)
			m.config["quantization_config"] = map[string]any{"quant_method": "bitnet"}
		}, Options{Type: "i2_s"}, []string{"up_proj"}},
		{"code 3", "TENSOR_BAD_TERNARY_CODE", func(m *model) {
			packed(m, 0.5)
			data := m.tensors[upProj].data
			data[3*128+7] |= 3 << 4 // rows 3 + 2*64 and
			data[9*128+7] |= 3      // 9
			m.config["quantization_config"] = map[string]any{"quant_method": "bitnet"}
		}, Options{}, []string{"up_proj", "row 9", "2 in all"}},
		{"scale 0", "TENSOR_BAD_SCALE", badScale(0), Options{}, []string{"weight_scale", "0"}},
		{"scale NaN", "TENSOR_BAD_SCALE", badScale(nan), Options{}, []string{"NaN"}},
		{"scale infinite", "TENSOR_BAD_SCALE", badScale(inf), Options{}, []string{"Inf"}},
		{"scale negative", "TENSOR_BAD_SCALE", badScale(-1), Options{}, []string{"-1"}},
		{"scale denormal", "TENSOR_BAD_SCALE", badScale(1e-40), Options{}, []string{"1e-40"}},
		{"R142 dense", "NOT_TERNARY", dense, Options{Type: "i2_s"}, []string{"magnitudes", "q_proj"}},
		{"R142 said to be ternary", "NOT_TERNARY", func(m *model) {
			m.config["quantization_config"] = map[string]any{"quant_method": "bitnet_ternary", "linear_class": "autobitlinear"}
		}, Options{}, []string{"bitnet_ternary", "magnitudes"}},
		{"R142 dense below a half", "NOT_TERNARY", func(m *model) {
			dense(m)
			for name, k := range m.tensors {
				x := k.floats()
				for i := range x {
					x[i] /= 20
				}
				m.tensors[name] = f32(x, k.shape...)
			}
		}, Options{Type: "tq1_0"}, []string{"magnitudes"}},
		{"R142 one outlier", "NOT_TERNARY", func(m *model) { // ternary but for one weight, a thousand times larger
			dense(m)
			for name, k := range m.tensors {
				if strings.Contains(name, "_proj") {
					m.tensors[name] = f32(ternarised(k.floats()), k.shape...)
				}
			}
			m.set(upProj, 256*128-1, 1000)
		}, Options{Type: "i2_s"}, []string{"up_proj", "1000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			c.change(m)
			_, err := tryConvert(t, m.write(t), c.o)
			requireCode(t, err, c.code, c.parts...)
		})
	}
	t.Run("R145 allowed and recorded", func(t *testing.T) {
		m := newModel()
		m.fill(upProj, 0)
		m.fill(kProj, 0.25)
		out := convertDir(t, m.write(t), Options{Type: "i2_s", AllowSuspicious: true})
		if got := out.value(names.AllowedSuspicious); !slices.Equal(got.([]string), []string{"blk.0.ffn_up.weight", "blk.1.attn_k.weight"}) {
			t.Errorf("recorded %v", got)
		}
		raw := out.raw(t, "blk.0.ffn_up.weight")
		if raw[0] != 0x55 || math.Float32frombits(uint32(raw[8192])|uint32(raw[8193])<<8|uint32(raw[8194])<<16|uint32(raw[8195])<<24) != 1e-5 {
			t.Errorf("zeros are written as % x, scale % x", raw[:4], raw[8192:8196]) // FORMATS.md 3.3: never a scale of 0
		}
	})
	t.Run("R146 underflow", func(t *testing.T) {
		m := newModel()
		for i := range 5 {
			m.set(embed, 100+i, 1e-9)
		}
		if out := convertDir(t, m.write(t), Options{}); strings.Count(out.notices, "became 0") != 1 || !strings.Contains(out.notices, "5 weights") {
			t.Errorf("notices %q", out.notices)
		}
		if out := convertDir(t, m.write(t), Options{Type: "f32"}); strings.Contains(out.notices, "became 0") {
			t.Errorf("notices %q", out.notices)
		}
	})
	t.Run("F64 weights", func(t *testing.T) {
		m := newModel()
		k := m.tensors[embed]
		data := make([]byte, 0, 2*len(k.data))
		for _, v := range k.floats() {
			bits := math.Float64bits(float64(v))
			for shift := 0; shift < 64; shift += 8 {
				data = append(data, byte(bits>>shift))
			}
		}
		want := k.floats()
		m.tensors[embed] = tensor{"F64", k.shape, data}
		if got := convertDir(t, m.write(t), Options{Type: "f32"}).floats(t, names.TokenEmbedding); !slices.Equal(got, want) {
			t.Error("F64 values differ")
		}
	})
}

func badScale(v float32) func(m *model) {
	return func(m *model) {
		packed(m, 0.5)
		m.tensors[upProj+"_scale"] = f32([]float32{v}, 1)
		m.config["quantization_config"] = map[string]any{"quant_method": "bitnet"}
	}
}
