package quant

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// look verifies a file and returns what was found and the codes of problems and warnings.
func look(t *testing.T, path string, o VerifyOptions) (v *Verified, problems, warnings string) {
	t.Helper()
	v, err := Verify(context.Background(), open(t, path), o)
	if err != nil {
		t.Fatal(err)
	}
	codes := func(errs []error) string {
		var list []string
		for _, err := range errs {
			list = append(list, fault.Code(err))
		}
		return strings.Join(list, " ")
	}
	return v, codes(v.Problems), codes(v.Warnings)
}

// packed is a model with one projection [4, 512] of random codes in a ternary type, and its trits.
func packed(t gguf.Type) (*model, []int8) {
	trits := randomTrits(rand.New(rand.NewPCG(1, 2)), 4*512)
	data := Pack(nil, t, trits, 0.5)
	if t == gguf.I2_S {
		tail := I2STail(0.5)
		data = append(data, tail[:]...)
	}
	return newModel().raw("blk.0.ffn_up.weight", t, data, 512, 4), trits
}

func count(trits []int8) (n [3]uint64) {
	for _, v := range trits {
		n[v+1]++
	}
	return n
}

func TestShare(t *testing.T) {
	ternary := ternaryWeights(rand.New(rand.NewPCG(3, 4)), 4*512, 0.25)
	for _, typ := range []gguf.Type{gguf.I2_S, gguf.TQ1_0, gguf.TQ2_0, gguf.F32, gguf.F16, gguf.BF16} {
		t.Run(typ.String(), func(t *testing.T) {
			m, trits, scale := newModel(), make([]int8, len(ternary)), float32(0.25)
			if isFloat(typ) {
				Ternarize(trits, ternary, scale)
				dense := normals(rand.New(rand.NewPCG(3, 4)), 512, 1)
				m.floats("blk.0.ffn_up.weight", typ, ternary, 512, 4).floats("blk.1.ffn_up.weight", typ, dense, 256, 2)
			} else {
				m, trits = packed(typ)
				scale = 0.5
			}
			v, problems, warnings := look(t, m.write(t), VerifyOptions{Shares: true})
			if problems+warnings != "" {
				t.Fatalf("problems %s, warnings %s: %v", problems, warnings, v.Err())
			}
			n := count(trits)
			want := Share{Scale: scale, Minus: n[0], Zero: n[1], Plus: n[2]}
			if got := v.Tensors[0].Share; got == nil || *got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if isFloat(typ) && v.Tensors[1].Share != nil {
				t.Errorf("normal weights are said to be ternary: %v", v.Tensors[1].Share)
			}
		})
	}
	t.Run("zeros before the first weight", func(t *testing.T) {
		x := make([]float32, 512)
		x[511] = -3
		v, _, _ := look(t, newModel().floats("blk.0.ffn_up.weight", gguf.F16, x, 256, 2).write(t), VerifyOptions{Shares: true})
		if got := v.Tensors[0].Share; *got != (Share{Scale: 3, Minus: 1, Zero: 511}) {
			t.Errorf("got %+v", got)
		}
	})
}

// TestVerifyData damages one thing each and asks for the code, the tensor and the place.
func TestVerifyData(t *testing.T) {
	raw := func(typ gguf.Type, change func(data []byte)) *model {
		m, _ := packed(typ)
		info := m.tensors[0]
		var b bytes.Buffer
		info.Fill(&b)
		change(b.Bytes())
		return newModel().raw(info.Name, typ, b.Bytes(), 512, 4)
	}
	scale := func(s float32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[512:], math.Float32bits(s)) }
	}
	half := func(at int, h uint16) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint16(b[at:], h) }
	}
	floats := func(typ gguf.Type, at int, v float32) *model {
		x := normals(rand.New(rand.NewPCG(1, 2)), 1024, 1)
		x[at] = v
		return newModel().floats("token_embd.weight", typ, x, 256, 4)
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		name  string
		m     *model
		code  string
		words string
	}{
		{"R49 code 3 in I2_S", raw(gguf.I2_S, func(b []byte) { b[32*5+7] |= 0x30 }), "TENSOR_BAD_TERNARY_CODE",
			"row 1, column 167 holds code 3, which is no weight (1 in all)"},
		{"R49 codes 3 in TQ2_0", raw(gguf.TQ2_0, func(b []byte) { b[66*3+33], b[66*6+1] = 0xff, 0xff }), "TENSOR_BAD_TERNARY_CODE",
			"row 1, column 385 holds code 3, which is no weight (8 in all)"},
		{"R50 scale NaN", raw(gguf.I2_S, scale(nan)), "TENSOR_BAD_SCALE", "NaN"},
		{"R50 scale infinite", raw(gguf.I2_S, scale(inf)), "TENSOR_BAD_SCALE", "-Inf"},
		{"R50 scale 0", raw(gguf.I2_S, scale(0)), "TENSOR_BAD_SCALE", "is 0"},
		{"R50 scale negative", raw(gguf.I2_S, scale(-0.5)), "TENSOR_BAD_SCALE", "-0.5"},
		{"R50 scale denormal", raw(gguf.I2_S, scale(1e-40)), "TENSOR_BAD_SCALE", "e-40"},
		{"R50 TQ1_0 scale negative", raw(gguf.TQ1_0, half(54*2+52, 0xb800)), "TENSOR_BAD_SCALE", "the block of row 1, column 0 has the scale -0.5"},
		{"R50 TQ2_0 scale NaN", raw(gguf.TQ2_0, half(66*7+64, 0x7e00)), "TENSOR_BAD_SCALE", "the block of row 3, column 256"},
		{"R50 TQ2_0 scale 0 of weights", raw(gguf.TQ2_0, half(64, 0)), "TENSOR_BAD_SCALE", "row 0, column 0"},
		{"R51 NaN in F32", floats(gguf.F32, 515, nan), "TENSOR_NOT_FINITE", "row 2, column 3 holds NaN"},
		{"R51 infinity in F16", newModel().raw("token_embd.weight", gguf.F16, append(bytes.Repeat([]byte{1, 0x30, 2, 0x30}, 256), 0, 0xfc, 0, 0), 514, 1),
			"TENSOR_NOT_FINITE", "row 0, column 512 holds -Inf"},
		{"R51 NaN in BF16", floats(gguf.BF16, 1023, nan), "TENSOR_NOT_FINITE", "row 3, column 255"},
		{"R51 infinite scale in Q8_0", newModel().raw("token_embd.weight", gguf.Q8_0, func() []byte {
			b := Encode(nil, gguf.Q8_0, normals(rand.New(rand.NewPCG(1, 2)), 128, 1))
			binary.LittleEndian.PutUint16(b[68:], 0x7c00)
			return b
		}(), 64, 2), "TENSOR_NOT_FINITE", "row 1, column 0"},
		{"R52 all zero", newModel().floats("token_embd.weight", gguf.F16, make([]float32, 1024), 256, 4), "TENSOR_SUSPICIOUS",
			`"token_embd.weight": all its weights are the same`},
		{"R52 constant I2_S", newModel().raw("blk.0.ffn_up.weight", gguf.I2_S, func() []byte {
			tail := I2STail(1)
			return append(bytes.Repeat([]byte{0xaa}, 64), tail[:]...)
		}(), 128, 2), "TENSOR_SUSPICIOUS", "the same"},
		{"R52 constant Q8_0", newModel().floats("token_embd.weight", gguf.Q8_0, bytesOf(0.25, 1024), 256, 4), "TENSOR_SUSPICIOUS", "the same"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, problems, _ := look(t, c.m.write(t), VerifyOptions{})
			if problems != c.code || !strings.Contains(v.Err().Error(), c.words) {
				t.Errorf("problems %q: %v; want %s with %q", problems, v.Err(), c.code, c.words)
			}
		})
	}
	t.Run("R52 not suspicious", func(t *testing.T) {
		x := normals(rand.New(rand.NewPCG(1, 2)), 512, 1)
		copy(x, make([]float32, 256)) // a row of zeros, and a row of others; a block is repeated, but is not of one value
		m := newModel().floats("a", gguf.F32, x, 256, 2).floats("norm", gguf.F32, bytesOf(1, 64), 64).
			floats("b", gguf.Q8_0, append(x[256:288], x[256:288]...), 32, 2)
		if v, problems, warnings := look(t, m.write(t), VerifyOptions{}); problems+warnings != "" {
			t.Errorf("%s, %s: %v", problems, warnings, v.Problems)
		}
	})
	t.Run("R52 allowed", func(t *testing.T) {
		m := newModel().floats("token_embd.weight", gguf.F16, make([]float32, 1024), 256, 4)
		m.md.Set(names.AllowedSuspicious, []string{"token_embd.weight"})
		if _, problems, warnings := look(t, m.write(t), VerifyOptions{}); problems != "" || warnings != "TENSOR_SUSPICIOUS" {
			t.Errorf("problems %q, warnings %q", problems, warnings)
		}
	})
	t.Run("blocks with scales of their own", func(t *testing.T) {
		m := raw(gguf.TQ2_0, half(66+64, 0x3c00))
		if _, problems, warnings := look(t, m.write(t), VerifyOptions{}); problems != "" || warnings != "NOT_TERNARY" {
			t.Errorf("problems %q, warnings %q", problems, warnings)
		}
	})
	t.Run("how many tensors more", func(t *testing.T) {
		m := newModel()
		for i := range 3 {
			m.floats(fmt.Sprintf("t%d", i), gguf.F32, []float32{1, nan}, 2)
		}
		v, _, _ := look(t, m.write(t), VerifyOptions{})
		err := v.Err()
		text := fmt.Sprint(err)
		if fault.Code(err) != "TENSOR_NOT_FINITE" || !strings.HasPrefix(text, `tensor "t0": row 0, column 1`) || !strings.HasSuffix(text, "(and 2 tensors more)") {
			t.Error(text)
		}
	})
}

func bytesOf(v float32, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

// flipped copies a file, changed.
func flipped(t *testing.T, path string, change func(f *gguf.File, data []byte) []byte) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(out, change(f, bytes.Clone(data)), 0o666); err != nil {
		t.Fatal(err)
	}
	return out
}

// at returns the place of a tensor's byte in the file.
func at(t *testing.T, f *gguf.File, name string, offset int) int {
	t.Helper()
	info, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	return int(f.DataOffset+info.Offset) + offset
}

// written is a model with a projection, an embedding and a norm, as Run writes it in a type, and its source.
func written(t *testing.T, typ gguf.Type) (source, out string) {
	t.Helper()
	source = bitNet(gguf.F16).write(t)
	out = filepath.Join(t.TempDir(), "out.gguf")
	o := types(typ)
	o.In, o.Out = source, out
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return source, out
}

func TestReceipt(t *testing.T) {
	_, out := written(t, gguf.I2_S)
	f := open(t, out)
	r, err := ReadReceipt(f)
	if err != nil || r.Version != "1.2.3" || !r.Quantized() || len(r.Sources) != 1 || r.Sources[0].Name != "in.gguf" ||
		r.Hashes[0] != xxhash.Sum64(data(t, f, f.Tensors[0].Name)) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := ReadReceipt(open(t, bitNet(gguf.F16).write(t))); r != nil || err != nil {
		t.Errorf("a file of another program: %+v, %v", r, err)
	}
	for name, change := range map[string]func(md *gguf.Metadata){
		"no hashes":         func(md *gguf.Metadata) { md.Delete(names.TensorHashes) },
		"hashes of 32 bits": func(md *gguf.Metadata) { md.Set(names.TensorHashes, []uint32{1}) },
		"too few hashes":    func(md *gguf.Metadata) { md.Set(names.TensorHashes, []uint64{1}) },
		"no options":        func(md *gguf.Metadata) { md.Delete(names.Options) },
		"no sources":        func(md *gguf.Metadata) { md.Delete(names.SourceFiles) },
		"a source no entry": func(md *gguf.Metadata) { md.Set(names.SourceFiles, []string{"a 1"}) },
		"a bad sum":         func(md *gguf.Metadata) { md.Set(names.SourceFiles, []string{"a 1 00"}) },
		"a bad size":        func(md *gguf.Metadata) { md.Set(names.SourceFiles, []string{"a -1 " + strings.Repeat("0", 64)}) },
		"no layout marker":  func(md *gguf.Metadata) { md.Delete(names.I2SLayout) },
	} {
		t.Run(name, func(t *testing.T) {
			f := *f
			f.Metadata = f.Metadata.Clone()
			change(f.Metadata)
			if _, err := ReadReceipt(&f); fault.Code(err) != "RECEIPT_INVALID" {
				t.Errorf("[%s] %v", fault.Code(err), err)
			}
		})
	}
	s, ok := parseSource("a name with 7 spaces 12 " + strings.Repeat("0f", 32))
	if !ok || s.Name != "a name with 7 spaces" || s.Size != 12 || s.Sum[31] != 15 {
		t.Errorf("%+v", s)
	}
}

// TestVerifyFile damages a file that Run wrote.
func TestVerifyFile(t *testing.T) {
	_, out := written(t, gguf.I2_S)
	if v, problems, warnings := look(t, out, VerifyOptions{}); problems+warnings != "" || v.Receipt == nil || v.Layout != Layout128 {
		t.Fatalf("undamaged: %s, %s", problems, warnings)
	}
	for _, c := range []struct {
		name, problems, warnings string
		change                   func(f *gguf.File, b []byte) []byte
	}{
		{"R32 1 MiB behind the end", "GGUF_TRAILING_DATA", "", func(_ *gguf.File, b []byte) []byte { return append(b, make([]byte, 1<<20)...) }},
		{"R32 a zip behind the end", "GGUF_TRAILING_DATA", "", func(_ *gguf.File, b []byte) []byte { return append(b, "PK\x03\x04..."...) }},
		{"R33 dirty padding", "", "GGUF_DIRTY_PADDING", func(f *gguf.File, b []byte) []byte { b[f.DataOffset-1] = 1; return b }},
		{"one code", "TENSOR_HASH_MISMATCH", "", func(f *gguf.File, b []byte) []byte { flipCode(b, at(t, f, "blk.0.attn_q.weight", 3)); return b }},
		{"the scale", "TENSOR_HASH_MISMATCH", "", func(f *gguf.File, b []byte) []byte {
			info, _ := f.Tensor("blk.0.attn_q.weight")
			b[at(t, f, info.Name, int(info.Size)-32)] ^= 1
			return b
		}},
		{"behind the scale", "TENSOR_HASH_MISMATCH", "", func(f *gguf.File, b []byte) []byte {
			info, _ := f.Tensor("blk.0.attn_q.weight")
			b[at(t, f, info.Name, int(info.Size)-1)] ^= 1
			return b
		}},
		{"the last tensor", "TENSOR_HASH_MISMATCH", "", func(f *gguf.File, b []byte) []byte {
			b[at(t, f, f.Tensors[len(f.Tensors)-1].Name, 0)] ^= 1
			return b
		}},
		{"a hash in the metadata", "TENSOR_HASH_MISMATCH", "", func(f *gguf.File, b []byte) []byte {
			hashes, _, _ := gguf.Value[[]uint64](f.Metadata, names.TensorHashes)
			stored := binary.LittleEndian.AppendUint64(nil, hashes[1])
			b[bytes.Index(b, stored)] ^= 1
			return b
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, problems, warnings := look(t, flipped(t, out, c.change), VerifyOptions{})
			if problems != c.problems || warnings != c.warnings {
				t.Errorf("problems %q, warnings %q: %v %v", problems, warnings, v.Problems, v.Warnings)
			}
		})
	}
}

// flipCode makes the first code of a byte another one.
func flipCode(b []byte, i int) { b[i] = b[i]&0x3f | (b[i]>>6+1)%3<<6 }

// TestReplay damages files so that only the source can tell.
func TestReplay(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.I2_S, gguf.Q8_0, gguf.F32, gguf.TQ1_0} {
		t.Run(typ.String(), func(t *testing.T) {
			source, out := written(t, typ)
			replay := func(path, source, version string) error {
				return Replay(context.Background(), open(t, path), ReplayOptions{Source: source, Version: version})
			}
			if err := replay(out, source, "1.2.3"); err != nil {
				t.Fatal(err)
			}
			if err := replay(out, source, "1.3.0"); err != nil {
				t.Errorf("by another release: %v", err)
			}
			changed := flipped(t, out, func(f *gguf.File, b []byte) []byte {
				i := at(t, f, "blk.0.attn_q.weight", 5)
				if typ == gguf.I2_S {
					flipCode(b, i)
				} else {
					b[i] ^= 0x40
				}
				return b
			})
			for _, version := range []string{"1.2.3", "1.3.0"} {
				err := replay(changed, source, version)
				if text := fmt.Sprint(err); fault.Code(err) != "REPLAY_MISMATCH" || !strings.Contains(text, "the source gives") ||
					!strings.Contains(text, `tensor "blk.0.attn_q.weight": row 0, column `) {
					t.Errorf("release %s: [%s] %v", version, fault.Code(err), err)
				}
			}
			last := flipped(t, out, func(f *gguf.File, b []byte) []byte {
				info := f.Tensors[len(f.Tensors)-1]
				b[at(t, f, info.Name, int(info.Size)-4)] ^= 1 // the lowest bit of an F32
				return b
			})
			if err := replay(last, source, "1.2.3"); fault.Code(err) != "REPLAY_MISMATCH" {
				t.Errorf("last weight: [%s] %v", fault.Code(err), err)
			}
			other := flipped(t, source, func(f *gguf.File, b []byte) []byte {
				i := at(t, f, "token_embd.weight", 0)
				b[i] ^= 1
				return b
			})
			err := replay(out, other, "1.2.3")
			if codes := fmt.Sprint(codesOf(err)); !strings.HasPrefix(codes, "[SOURCE_MISMATCH") || !strings.Contains(err.Error(), "sha256") {
				t.Errorf("another source: %s %v", codes, err)
			}
			longer := flipped(t, source, func(_ *gguf.File, b []byte) []byte { return append(b, 0) })
			err = replay(out, longer, "1.2.3")
			if fault.Code(err) != "SOURCE_MISMATCH" || !strings.Contains(err.Error(), "bytes; the file was made from one of") {
				t.Errorf("a longer source: %v", err)
			}
		})
	}
	source, out := written(t, gguf.I2_S)
	renamed := filepath.Join(t.TempDir(), "renamed.gguf")
	if err := os.Link(source, renamed); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code string
		path       string
		change     func(md *gguf.Metadata)
		source     string
	}{
		{"no receipt", "RECEIPT_MISSING", source, nil, source},
		{"another name", "SOURCE_MISMATCH", out, nil, renamed},
		{"no source", "NOT_FOUND", out, nil, "nowhere.gguf"},
		{"options of wf convert", "RECEIPT_UNKNOWN", out, func(md *gguf.Metadata) { md.Set(names.Options, "--outtype f16") }, source},
		{"other options", "REPLAY_MISMATCH", out, func(md *gguf.Metadata) { md.Set(names.Options, "quantize f16") }, source},
		{"a key changed", "REPLAY_MISMATCH", out, func(md *gguf.Metadata) { md.Set("general.name", "another") }, source},
		{"a key less", "REPLAY_MISMATCH", out, func(md *gguf.Metadata) { md.Delete("general.name") }, source},
		{"a key more", "REPLAY_MISMATCH", out, func(md *gguf.Metadata) { md.Set("more", uint8(1)) }, source},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, c.path)
			if c.change != nil {
				c.change(f.Metadata)
			}
			var notices int
			o := ReplayOptions{Source: c.source, Version: "1.2.3", Notice: func(string) { notices++ }}
			if err := Replay(context.Background(), f, o); fault.Code(err) != c.code {
				t.Errorf("[%s] %v", fault.Code(err), err)
			}
			if o.Version = "2.0.0"; strings.HasPrefix(c.name, "a key") {
				if err := Replay(context.Background(), f, o); err != nil || notices != 1 {
					t.Errorf("by another release: %d notices, %v", notices, err)
				}
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("stopped"))
		f := open(t, out)
		if err := Replay(ctx, f, ReplayOptions{Source: source, Version: "1.2.3"}); err == nil {
			t.Error("Replay went on")
		}
		if _, err := Verify(ctx, f, VerifyOptions{}); err == nil || err.Error() != "stopped" {
			t.Errorf("Verify: %v", err)
		}
	})
}

func codesOf(err error) (codes []string) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			codes = append(codes, fault.Code(e))
		}
		return codes
	}
	return []string{fault.Code(err)}
}

// TestRounds encodes weights, changes them by less than half a step, and asks whether the two encodings pass for the same; and by more than two.
func TestRounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		typ  gguf.Type
		step func(most float32) float32
	}{
		{gguf.F16, func(m float32) float32 { return m * 0x1p-10 }},
		{gguf.BF16, func(m float32) float32 { return m * 0x1p-7 }},
		{gguf.Q8_0, func(m float32) float32 { return m / 127 }},
		{gguf.Q4_0, func(m float32) float32 { return m / 8 }},
		{gguf.Q6_K, func(m float32) float32 { return m / 32 }},
	} {
		for range 100 {
			x := normals(rng, int(c.typ.BlockSize()), 0.02)
			step := c.step(abs(largest(x)))
			y := append([]float32{}, x...)
			for i := range y {
				y[i] += step * 0.01 * float32(rng.IntN(3)-1)
			}
			a, b := Encode(nil, c.typ, x), Encode(nil, c.typ, y)
			if i, text := differentWeight(c.typ, a, b, false); i >= 0 {
				t.Errorf("%v: weight %d: %s", c.typ, i, text)
			}
			y[len(y)-1] += 5 * step
			if i, _ := differentWeight(c.typ, a, Encode(nil, c.typ, y), false); i < 0 {
				t.Errorf("%v: five steps pass for rounding", c.typ)
			}
		}
	}
}

// FuzzRecall: what a file records is read back to the same text, or refused.
func FuzzRecall(f *testing.F) {
	for _, text := range []string{"quantize i2_s", "quantize q8_0 --token-embedding-type q6_k --allow-requantize",
		`quantize f16 --tensor-type "a b"=q8_0`, "--outtype f16",
		`quantize f16 --override-kv "k=str:a \"b\""`, "quantize", "quantize i2_s --i2s-layout 64 ", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := Recall(words, text)
		switch {
		case err == nil && Record(words, o) != text:
			t.Errorf("%q became %q", text, Record(words, o))
		case err != nil && fault.Code(err) != "RECEIPT_UNKNOWN":
			t.Errorf("%q: %v", text, err)
		}
		if s, ok := parseSource(text); ok && (s.Name == "" || s.Size < 0) {
			t.Errorf("%q is taken for the source %+v", text, s)
		}
	})
}
