package quant

import (
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

func rules(t *testing.T, texts ...string) []Rule {
	t.Helper()
	r, err := ParseRules(texts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTypesFor(t *testing.T) {
	const down, norm = "blk.3.ffn_down.weight", "blk.3.attn_norm.weight"
	wide, narrow, vector := []uint64{512, 4}, []uint64{128, 4}, []uint64{512}
	for _, c := range []struct {
		types Types
		name  string
		dims  []uint64
		want  gguf.Type
		code  string
	}{
		{types: Types{Type: gguf.I2_S}, name: down, dims: narrow, want: gguf.I2_S},
		{types: Types{Type: gguf.I2_S}, name: names.TokenEmbedding, dims: narrow, want: gguf.F16},
		{types: Types{Type: gguf.I2_S}, name: norm, dims: vector, want: gguf.F32},
		{types: Types{Type: gguf.I2_S}, name: down, dims: []uint64{100, 4}, code: "UNSUPPORTED_SHAPE"},
		{types: Types{Type: gguf.TQ1_0}, name: down, dims: narrow, want: gguf.F16},
		{types: Types{Type: gguf.TQ1_0}, name: down, dims: wide, want: gguf.TQ1_0},
		{types: Types{Type: gguf.Q8_0}, name: names.Output, dims: wide, want: gguf.Q8_0},
		{types: Types{Type: gguf.Q6_K}, name: down, dims: narrow, code: "UNSUPPORTED_SHAPE"},
		{types: Types{Type: gguf.I2_S, Rules: rules(t, "down=q8_0", "ffn=bf16")}, name: down, dims: wide, want: gguf.Q8_0},
		{types: Types{Type: gguf.I2_S, Rules: rules(t, "ffn=bf16", "down=q8_0")}, name: down, dims: wide, want: gguf.BF16},
		{types: Types{Type: gguf.I2_S, Rules: rules(t, `blk\.[0-2]\.=f16`)}, name: down, dims: wide, want: gguf.I2_S},
		{types: Types{Type: gguf.F16, Rules: rules(t, ".=q8_0")}, name: norm, dims: vector, want: gguf.F32},
		{types: Types{Type: gguf.F16, Rules: rules(t, "embd=q4_0"), TokenEmbedding: gguf.Q6_K, HasTokenEmbedding: true}, name: names.TokenEmbedding, dims: wide, want: gguf.Q6_K},
		{types: Types{Type: gguf.F16, Rules: rules(t, "embd=q4_0")}, name: names.TokenEmbedding, dims: wide, want: gguf.Q4_0},
		{types: Types{Type: gguf.F16, Rules: rules(t, ".=i2_s")}, name: names.TokenEmbedding, dims: wide, code: "NOT_TERNARY"},
		{types: Types{Type: gguf.F16, Rules: rules(t, ".=tq2_0")}, name: down, dims: narrow, code: "UNSUPPORTED_SHAPE"},
		{types: Types{Type: gguf.F16, Rules: rules(t, "a=b=q8_0")}, name: "a=b", dims: wide, want: gguf.Q8_0},
	} {
		got, err := c.types.For(c.name, c.dims)
		if fault.Code(err) != c.code || err == nil && got != c.want {
			t.Errorf("%+v: %s %v gets %v, %v; want %v %s", c.types, c.name, c.dims, got, err, c.want, c.code)
		}
	}
	for _, bad := range []string{"", "=f16", "f16", "x=", "x=q5_k", "(=f16"} {
		if _, err := ParseRule(bad); fault.Code(err) != "USAGE" || !strings.Contains(err.Error(), "--tensor-type") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestRulesOfARun: what --tensor-type and --override-kv ask for is in the file, and recorded.
func TestRulesOfARun(t *testing.T) {
	in := bitNet(gguf.F16).write(t)
	o := types(gguf.I2_S)
	o.Rules = rules(t, "attn_q=q8_0", "embd=q4_0")
	o.OverrideKV = []string{"general.name=str:a name", "general.new=int:-3"}
	var told []string
	o.Warn = func(s string) { told = append(told, s) }
	f, r := run(t, in, o)
	for name, want := range map[string]gguf.Type{query: gguf.Q8_0, names.TokenEmbedding: gguf.Q4_0} {
		if info, _ := f.Tensor(name); info.Type != want {
			t.Errorf("%s is %v, want %v", name, info.Type, want)
		}
	}
	md := f.Metadata
	if v, _ := md.Get("general.new"); v != int32(-3) {
		t.Errorf("general.new is %v", v)
	}
	if v, _ := md.Get(names.Name); v != "a name" {
		t.Errorf("the name is %v", v)
	}
	const recorded = `quantize i2_s --tensor-type attn_q=q8_0 --tensor-type embd=q4_0 --override-kv "general.name=str:a name" --override-kv general.new=int:-3`
	if v, _ := md.Get(names.Options); v != recorded {
		t.Errorf("recorded %v", v)
	}
	if len(told) == 0 || !strings.Contains(told[0], "general.new") {
		t.Errorf("told %q", told)
	}
	var data, weights uint64
	for _, c := range r.Tensors {
		data += c.Bytes
		n := uint64(1)
		for _, d := range c.Dims {
			n *= d
		}
		weights += n
		if c.BitsPerWeight != 8*float64(c.Bytes)/float64(n) {
			t.Errorf("%+v", c)
		}
	}
	if data != r.Data || weights != r.Weights || r.BitsPerWeight != 8*float64(data)/float64(weights) || r.Size != f.Size {
		t.Errorf("%+v, want %d bytes of %d weights", r, data, weights)
	}

	m := bitNet(gguf.F16)
	m.md.Set(names.MaskToken, uint32(1))
	o = types(gguf.F16)
	o.Rules = rules(t, "ffn_down=TQ2_0")
	refused(t, m.write(t), "QUANT_DIFFUSION_TQ2", o)
	run(t, in, o)
	o.OverrideKV = []string{names.MaskToken + "=int:1"}
	refused(t, in, "QUANT_DIFFUSION_TQ2", o)
	m = bitNet(gguf.F16)
	m.md.Set(names.ScaleRule, names.ScaleNone)
	o = types(gguf.F16)
	o.Rules = rules(t, "ffn_down=TQ1_0")
	refused(t, m.write(t), "NOT_TERNARY", o)
}

func TestOverrides(t *testing.T) {
	base := func() *gguf.Metadata {
		md := &gguf.Metadata{}
		for key, v := range map[string]any{"u32": uint32(1), "u8": uint8(1), "f32": float32(1), "f64": 1.0, "s": "x", "b": true, "list": []int32{1}} {
			md.Set(key, v)
		}
		return md
	}
	for text, want := range map[string]any{
		"u32=int:7": uint32(7), "u8=int:255": uint8(255), "u8=u32:256": uint32(256), "f32=float:0.5": float32(0.5), "f64=float:0.5": 0.5, "f32=f64:1e300": 1e300,
		"s=str:": "", "s=str:a=b:c": "a=b:c", "b=bool:false": false, "new=int:-1": int32(-1), "new=int:4294967295": uint32(4294967295),
		"new=int:4294967296": int64(4294967296), "new=i8:-128": int8(-128), "new=u16:65535": uint16(65535), "new=i64:1": int64(1), "new=u64:18446744073709551615": uint64(1<<64 - 1),
	} {
		md := base()
		notices, err := ApplyOverrides(md, []string{text})
		key, _, _ := strings.Cut(text, "=")
		if got, _ := md.Get(key); err != nil || got != want || (key == "new") != (len(notices) == 1) {
			t.Errorf("%s makes %T %v, %q, %v; want %T %v", text, got, got, notices, err, want, want)
		}
	}
	for _, bad := range []string{"", "x", "x=", "x=int", "x=int:", "x=int:1.5", "x=float:nan", "x=float:1e999", "x=bool:maybe", "x=u8:256", "x=list:1", "=int:1",
		"u8=int:256", "u8=int:-1", "u32=float:1", "f32=int:1", "s=int:1", "b=str:x", "list=int:1",
		names.FileType + "=int:1", names.Version + "=str:x", names.TensorHashes + "=int:1", names.SourceFiles + "=str:x", names.I2SLayout + "=int:64", names.SplitCount + "=int:2"} {
		if _, err := ApplyOverrides(base(), []string{bad}); fault.Code(err) != "USAGE" || !strings.Contains(err.Error(), "--override-kv") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
