package quant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// model is a small file, typed in the test: what quantize looks at, and nothing else.
type model struct {
	md      gguf.Metadata
	tensors []Tensor
}

func newModel() *model {
	m := new(model)
	m.md.Set(names.Architecture, names.Llama)
	m.md.Set("general.name", "a test")
	m.md.Set(names.FileType, uint32(0))
	return m
}

func (m *model) raw(name string, t gguf.Type, data []byte, dims ...uint64) *model {
	m.tensors = append(m.tensors, Tensor{name, t, dims, func(w io.Writer) error { _, err := w.Write(data); return err }})
	return m
}

func (m *model) floats(name string, t gguf.Type, x []float32, dims ...uint64) *model {
	return m.raw(name, t, Encode(nil, t, x), dims...)
}

// write makes the file with a plain gguf.Writer, as another program would.
func (m *model) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	infos := make([]gguf.TensorInfo, len(m.tensors))
	for i, tensor := range m.tensors {
		infos[i] = gguf.TensorInfo{Name: tensor.Name, Type: tensor.Type, Dims: tensor.Dims}
	}
	w, err := gguf.NewWriter(f, &m.md, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range m.tensors {
		if err := fill(w, tensor); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func normals(rng *rand.Rand, n int, sigma float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * sigma)
	}
	return x
}

func ternaryWeights(rng *rand.Rand, n int, scale float32) []float32 {
	x := make([]float32, n)
	scaleTrits(x, randomTrits(rng, n), scale)
	return x
}

const query, norm = "blk.0.attn_q.weight", "blk.0.attn_norm.weight"

// bitNet is a model with one projection of 640 x 576 (rows straddle the groups of I2_S; more than one chunk), one of 512 x 256, and the rest.
func bitNet(t gguf.Type) *model {
	rng := rand.New(rand.NewPCG(11, 12))
	return newModel().
		floats(names.TokenEmbedding, t, normals(rng, 576*50, 0.05), 576, 50).
		floats(norm, gguf.F32, normals(rng, 576, 1), 576).
		floats(query, t, ternaryWeights(rng, 576*640, 0.0173), 576, 640).
		floats("blk.0.attn_q.bias", gguf.F32, normals(rng, 640, 1), 640).
		floats("blk.0.ffn_down.weight", t, ternaryWeights(rng, 512*256, 0.5), 512, 256).
		floats(names.Output, t, normals(rng, 512*8, 0.05), 512, 8)
}

// run quantizes in and opens the result.
func run(t *testing.T, in string, o Options) (*gguf.File, *Report) {
	t.Helper()
	o.In = in
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "out.gguf")
	}
	report, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	onlyFiles(t, filepath.Dir(o.Out), filepath.Base(o.Out))
	return f, report
}

// refused expects a code, and that nothing was written.
func refused(t *testing.T, in, code string, o Options) error {
	t.Helper()
	o.In, o.Out = in, filepath.Join(t.TempDir(), "out.gguf")
	_, err := Run(context.Background(), o)
	if fault.Code(err) != code {
		t.Errorf("got %v [%s], want %s", err, fault.Code(err), code)
	}
	if err != nil && len(err.Error()) > 300 {
		t.Errorf("%d characters: %v", len(err.Error()), err)
	}
	onlyFiles(t, filepath.Dir(o.Out))
	return err
}

// onlyFiles expects a folder to hold exactly these files.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func values(t *testing.T, f *gguf.File, name string) []float32 {
	t.Helper()
	info, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	w, err := newWeights(f, info, Layout128)
	if err != nil {
		t.Fatal(err)
	}
	var x []float32
	b := pool.Get().(*buffers)
	for i := range w.chunks() {
		part, err := w.read(b, i)
		if err != nil {
			t.Fatal(err)
		}
		x = append(x, part...)
	}
	return x
}

func data(t *testing.T, f *gguf.File, name string) []byte {
	t.Helper()
	info, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	b, err := io.ReadAll(f.TensorReader(info))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func types(typ gguf.Type) Options { return Options{Types: Types{Type: typ}, Version: "1.2.3"} }

func TestRunI2S(t *testing.T) {
	in := bitNet(gguf.F32).write(t)
	var warnings []string
	o := types(gguf.I2_S)
	o.Warn = func(s string) { warnings = append(warnings, s) }
	var last, total int64
	o.Progress = func(done, of int64) {
		if done < last || done > of || total != 0 && total != of {
			t.Errorf("progress %d of %d after %d of %d", done, of, last, total)
		}
		last, total = done, of
	}
	out, report := run(t, in, o)
	if last != total || total <= int64(report.Size) {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	source := open(t, in)

	for name, want := range map[string]gguf.Type{
		names.TokenEmbedding: gguf.F16, names.Output: gguf.F16, norm: gguf.F32, "blk.0.attn_q.bias": gguf.F32,
		query: gguf.I2_S, "blk.0.ffn_down.weight": gguf.I2_S,
	} {
		info, _ := out.Tensor(name)
		if info.Type != want {
			t.Errorf("%s is %v, want %v", name, info.Type, want)
		}
		if want == gguf.F16 {
			if got := data(t, out, name); !bytes.Equal(got, Encode(nil, gguf.F16, values(t, source, name))) {
				t.Errorf("%s is not the source's, rounded", name)
			}
			continue
		}
		sameBits(t, values(t, out, name), values(t, source, name))
	}
	if tail := data(t, out, query)[576*640/4:]; len(tail) != 32 || I2SScale(tail) != 0.0173 || !bytes.Equal(tail[4:], make([]byte, 28)) {
		t.Errorf("the tail is %x", tail)
	}

	// The receipt.
	content, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	var hashes []uint64
	for i := range out.Tensors {
		hashes = append(hashes, xxhash.Sum64(data(t, out, out.Tensors[i].Name)))
	}
	for key, want := range map[string]any{
		names.Architecture:        names.Llama,
		"general.name":            "a test",
		names.FileType:            uint32(40),
		names.QuantizationVersion: uint32(2),
		names.I2SLayout:           uint32(128),
		names.Version:             "1.2.3",
		names.Options:             "quantize i2_s",
		names.SourceFiles:         []string{fmt.Sprintf("in.gguf %d %s", len(content), hex.EncodeToString(sum[:]))},
		names.TensorHashes:        hashes,
	} {
		if got, _ := out.Metadata.Get(key); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "1 tensors have rows that are not a multiple of 128") {
		t.Errorf("warnings: %q", warnings)
	}
	if report.Size != out.Size || !report.Written || len(report.Tensors) != 6 || report.Tensors[2].From != "F32" || report.Tensors[2].To != "I2_S" {
		t.Errorf("report %+v", report)
	}
}

// TestRoads rewrites ternary weights along every pair of types that keeps them, and expects the same trits and scale at the end.
func TestRoads(t *testing.T) {
	const scale = 0.5 // every type holds it exactly
	rng := rand.New(rand.NewPCG(13, 14))
	x := ternaryWeights(rng, 512*96, scale)
	x[7], x[300] = float32(math.Copysign(0, -1)), 0
	clear(x[1024:1280]) // a block of zeros: d = 0 in TQ
	exact := []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.I2_S, gguf.TQ1_0, gguf.TQ2_0}
	start := newModel().floats(query, gguf.F32, x, 512, 96).write(t)
	for _, first := range exact {
		f, _ := run(t, start, types(first))
		for _, second := range exact {
			g, _ := run(t, f.Path, types(second))
			if info, _ := g.Tensor(query); info.Type != second {
				t.Errorf("%v to %v gave %v", first, second, info.Type)
			}
			got := values(t, g, query)
			for i := range x {
				if got[i] != x[i] {
					t.Fatalf("%v to %v: weight %d is %v, want %v", first, second, i, got[i], x[i])
				}
			}
			direct, _ := run(t, start, types(second))
			if IsTernary(second) && !bytes.Equal(data(t, g, query), data(t, direct, query)) {
				t.Errorf("%v by way of %v differs from %v made at once", second, first, second)
			}
			if IsTernary(first) && isFloat(second) {
				if got, _ := g.Metadata.Get(names.LinearActivation); got != names.ActivationInt8 {
					t.Errorf("%v to %v: activation %v", first, second, got)
				}
			}
			if g.Metadata.Has(names.I2SLayout) != (second == gguf.I2_S) {
				t.Errorf("%v to %v: the layout key is wrong", first, second)
			}
		}
	}
}

// TestF16Scale: an F16 file's scale is f16(s); I2_S made from it keeps that, so that both give the same logits.
func TestF16Scale(t *testing.T) {
	half, _ := run(t, bitNet(gguf.F32).write(t), types(gguf.F16))
	packed, _ := run(t, half.Path, types(gguf.I2_S))
	sameBits(t, values(t, packed, query), withoutNegativeZeros(values(t, half, query)))
	if s := I2SScale(data(t, packed, query)[576*640/4:]); s != fromHalf(toHalf(0.0173)) {
		t.Errorf("scale %v", s)
	}
	if !bytes.Equal(data(t, packed, names.TokenEmbedding), data(t, half, names.TokenEmbedding)) {
		t.Error("the embedding changed")
	}
}

func withoutNegativeZeros(x []float32) []float32 {
	for i := range x {
		x[i] += 0
	}
	return x
}

func TestZeroTensor(t *testing.T) {
	f, _ := run(t, newModel().floats(query, gguf.F16, make([]float32, 128*4), 128, 4).write(t), types(gguf.I2_S))
	if b := data(t, f, query); b[0] != 0x55 || I2SScale(b[128:]) != SmallestScale {
		t.Errorf("all zeros became %x", b)
	}
}

func TestLossyTypes(t *testing.T) {
	in := bitNet(gguf.F16).write(t)
	o := types(gguf.I2_S)
	o.TokenEmbedding, o.HasTokenEmbedding = gguf.Q8_0, true
	o.OutputTensor, o.HasOutputTensor = gguf.Q6_K, true
	f, _ := run(t, in, o)
	for name, want := range map[string]gguf.Type{names.TokenEmbedding: gguf.Q8_0, names.Output: gguf.Q6_K} {
		info, _ := f.Tensor(name)
		if info.Type != want {
			t.Errorf("%s is %v, want %v", name, info.Type, want)
		}
		if !bytes.Equal(data(t, f, name), Encode(nil, want, values(t, open(t, in), name))) {
			t.Errorf("%s is not the source's, encoded", name)
		}
	}
	if got, _ := f.Metadata.Get(names.Options); got != "quantize i2_s --token-embedding-type q8_0 --output-tensor-type q6_k" {
		t.Errorf("options %q", got)
	}

	q8, _ := run(t, in, types(gguf.Q8_0))
	refused(t, q8.Path, "QUANT_REQUANTIZE", types(gguf.F16))
	refused(t, q8.Path, "QUANT_REQUANTIZE", types(gguf.I2_S))
	refused(t, f.Path, "QUANT_REQUANTIZE", types(gguf.Q8_0)) // I2_S projections
	back, _ := run(t, q8.Path, types(gguf.F32))              // reading exactly is no rounding
	sameBits(t, values(t, back, query), values(t, q8, query))
	again, _ := run(t, q8.Path, types(gguf.Q8_0)) // nor is copying
	if !bytes.Equal(data(t, again, query), data(t, q8, query)) {
		t.Error("Q8_0 to Q8_0 is no copy")
	}
	o = types(gguf.I2_S)
	o.AllowRequantize = true
	packed, _ := run(t, q8.Path, o) // the trits survive Q8_0
	got, want := values(t, packed, query), values(t, open(t, in), query)
	for i := range want {
		if (got[i] > 0) != (want[i] > 0) || (got[i] < 0) != (want[i] < 0) {
			t.Fatalf("weight %d is %v, was %v", i, got[i], want[i])
		}
	}
}

func TestRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	master := normals(rng, 512*96, 0.02)
	one := func(x []float32, typ gguf.Type) string { return newModel().floats(query, typ, x, 512, 96).write(t) }

	t.Run("R142 latent weights to a ternary type", func(t *testing.T) {
		small := slices.Clone(master)
		for i := range small {
			small[i] = min(max(small[i], -0.4), 0.4)
		}
		outlier := ternaryWeights(rng, 512*96, 0.02)
		outlier[12345] = 20
		for name, x := range map[string][]float32{"normal": master, "below 0.5": small, "one outlier": outlier} {
			for _, typ := range []gguf.Type{gguf.I2_S, gguf.TQ1_0, gguf.TQ2_0} {
				err := refused(t, one(x, gguf.F32), "NOT_TERNARY", types(typ))
				if err == nil || !strings.Contains(err.Error(), "magnitudes in 49152 weights") || !strings.Contains(err.Error(), query) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		o := types(gguf.I2_S)
		o.DryRun = true
		refused(t, one(master, gguf.F16), "NOT_TERNARY", o)
	})
	t.Run("R142 master weights marked as such", func(t *testing.T) {
		m := newModel().floats(query, gguf.F32, ternaryWeights(rng, 512*96, 1), 512, 96)
		m.md.Set(names.ScaleRule, names.ScaleNone)
		refused(t, m.write(t), "NOT_TERNARY", types(gguf.I2_S))
		run(t, m.write(t), types(gguf.F16))
	})
	t.Run("R143 shapes", func(t *testing.T) {
		for _, c := range []struct {
			dims []uint64
			code string
		}{
			{[]uint64{2560, 2}, ""}, {[]uint64{6912, 1}, ""}, {[]uint64{576, 2}, ""}, {[]uint64{576, 64}, ""}, {[]uint64{64, 2}, ""},
			{[]uint64{576, 1}, "UNSUPPORTED_SHAPE"}, {[]uint64{4100, 1}, "UNSUPPORTED_SHAPE"}, {[]uint64{130, 3}, "UNSUPPORTED_SHAPE"},
			{[]uint64{1, 5}, "UNSUPPORTED_SHAPE"}, {[]uint64{1, 128}, ""}, {[]uint64{4100, 32}, ""},
		} {
			x := ternaryWeights(rng, int(c.dims[0]*c.dims[1]), 0.25)
			in := newModel().floats(query, gguf.F32, x, c.dims...).write(t)
			if c.code != "" {
				refused(t, in, c.code, types(gguf.I2_S))
				continue
			}
			f, _ := run(t, in, types(gguf.I2_S))
			sameBits(t, values(t, f, query), withoutNegativeZeros(x))
		}
		in := newModel().floats(query, gguf.F32, ternaryWeights(rng, 576*4, 0.25), 576, 4).write(t)
		for typ, want := range map[gguf.Type]gguf.Type{gguf.TQ1_0: gguf.F16, gguf.TQ2_0: gguf.F16, gguf.Q8_0: gguf.Q8_0} {
			f, _ := run(t, in, types(typ)) // TQ falls back to F16, never to Q4_0
			if info, _ := f.Tensor(query); info.Type != want {
				t.Errorf("%v of a row of 576 is %v, want %v", typ, info.Type, want)
			}
		}
		refused(t, in, "UNSUPPORTED_SHAPE", types(gguf.Q6_K))
	})
	t.Run("TQ2_0 of a diffusion model", func(t *testing.T) {
		for key, value := range map[string]any{names.MaskToken: uint32(7), names.BlockSize: uint32(32), names.ShiftLogits: true} {
			m := newModel().floats(query, gguf.F32, ternaryWeights(rng, 512*96, 1), 512, 96)
			m.md.Set(key, value)
			err := refused(t, m.write(t), "QUANT_DIFFUSION_TQ2", types(gguf.TQ2_0))
			if err == nil || !strings.Contains(err.Error(), "I2_S") {
				t.Error(err)
			}
			run(t, m.write(t), types(gguf.I2_S))
		}
	})
	t.Run("R146 range", func(t *testing.T) {
		big := slices.Clone(master)
		big[40000] = 65520
		err := refused(t, one(big, gguf.BF16), "RANGE_LOSS", types(gguf.F16))
		if err == nil || !strings.Contains(err.Error(), "weight 40000 is") {
			t.Error(err)
		}
		big[40000] = float32(math.NaN())
		refused(t, one(big, gguf.F32), "TENSOR_NOT_FINITE", types(gguf.F16))
		refused(t, one(big, gguf.F32), "TENSOR_NOT_FINITE", types(gguf.I2_S))
		refused(t, one(big, gguf.F32), "TENSOR_NOT_FINITE", types(gguf.F32))
		for _, typ := range []gguf.Type{gguf.F16, gguf.TQ1_0, gguf.TQ2_0} {
			refused(t, one(ternaryWeights(rng, 512*96, 1e-6), gguf.F32), "RANGE_LOSS", types(typ))
		}
		refused(t, one(ternaryWeights(rng, 512*96, 1e-40), gguf.F32), "TENSOR_BAD_SCALE", types(gguf.I2_S))
		run(t, one(ternaryWeights(rng, 512*96, 1e-6), gguf.F32), types(gguf.I2_S))

		var warnings []string
		o := types(gguf.F16)
		o.Warn = func(s string) { warnings = append(warnings, s) }
		little := slices.Clone(master)
		for i, v := range little {
			little[i] = v + float32(math.Copysign(1e-3, float64(v)))
		}
		little[1], little[2], little[49151] = 1e-9, -1e-9, 1e-30
		run(t, one(little, gguf.F32), o)
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "3 weights were too small") {
			t.Errorf("warnings: %q", warnings)
		}
	})
	t.Run("R49 code 3 and R50 scale in the input", func(t *testing.T) {
		block := append(PackI2S(nil, make([]int8, 512*96)), make([]byte, 32)...)
		refused(t, newModel().raw(query, gguf.I2_S, block, 512, 96).write(t), "TENSOR_BAD_SCALE", types(gguf.F16))
		tail := I2STail(0.5)
		copy(block[512*96/4:], tail[:])
		block[20] |= 0xc0
		for _, typ := range []gguf.Type{gguf.F16, gguf.I2_S} {
			err := refused(t, newModel().raw(query, gguf.I2_S, block, 512, 96).write(t), "TENSOR_BAD_TERNARY_CODE", types(typ))
			if err == nil || !strings.Contains(err.Error(), "first at weight 20;") {
				t.Error(err)
			}
		}
	})
	t.Run("embeddings are not ternary", func(t *testing.T) {
		block := PackTQ2(nil, make([]int8, 512), 1)
		refused(t, newModel().raw(names.TokenEmbedding, gguf.TQ2_0, block, 256, 2).write(t), "MODEL_TENSOR_TYPE", types(gguf.F16))
		o := types(gguf.I2_S)
		o.OutputTensor, o.HasOutputTensor = gguf.I2_S, true
		refused(t, one(master, gguf.F32), "USAGE", o)
	})
}

func TestDryRun(t *testing.T) {
	in := bitNet(gguf.F16).write(t)
	o := types(gguf.I2_S)
	o.In, o.Out, o.DryRun = in, filepath.Join(t.TempDir(), "out.gguf"), true
	report, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	onlyFiles(t, filepath.Dir(o.Out))
	f, real := run(t, in, types(gguf.I2_S))
	if report.Written || report.Size != f.Size || fmt.Sprint(report.Tensors) != fmt.Sprint(real.Tensors) {
		t.Errorf("dry run said %+v, then came %+v", report, real)
	}
}

func TestOutputs(t *testing.T) {
	in := bitNet(gguf.F16).write(t)
	t.Run("R129 output is input", func(t *testing.T) {
		before, _ := os.ReadFile(in)
		link := filepath.Join(t.TempDir(), "link.gguf")
		if err := os.Link(in, link); err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{in, filepath.Join(filepath.Dir(in), ".", "in.gguf"), link} {
			o := types(gguf.I2_S)
			o.In, o.Out, o.Force = in, out, true
			if _, err := Run(context.Background(), o); fault.Code(err) != "OUTPUT_IS_INPUT" {
				t.Error(err)
			}
		}
		if after, _ := os.ReadFile(in); !bytes.Equal(before, after) {
			t.Error("the input changed")
		}
	})
	t.Run("R130 output exists", func(t *testing.T) {
		o := types(gguf.I2_S)
		o.In, o.Out = in, filepath.Join(t.TempDir(), "out.gguf")
		if err := os.WriteFile(o.Out, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(context.Background(), o); fault.Code(err) != "OUTPUT_EXISTS" {
			t.Error(err)
		}
		o.Force = true
		run(t, in, o)
	})
	t.Run("R140 the same bytes twice", func(t *testing.T) {
		a, _ := run(t, in, types(gguf.I2_S))
		b, _ := run(t, in, types(gguf.I2_S))
		x, _ := os.ReadFile(a.Path)
		y, _ := os.ReadFile(b.Path)
		if len(x) == 0 || !bytes.Equal(x, y) {
			t.Error("two runs differ")
		}
	})
}

// faulty is a disk that fails in one place.
type faulty struct {
	disk.System
	mu     sync.Mutex
	writes int
	failAt int // the write that fails, from 1
	err    error
	flip   int64 // the byte to flip when the last patch is written, or -1
	patch  int
}

func (f *faulty) Write(file *os.File, p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writes++; f.writes == f.failAt {
		n, _ := file.Write(p[:len(p)/2])
		return n, f.err
	}
	return file.Write(p)
}

func (f *faulty) WriteAt(file *os.File, p []byte, off int64) (int, error) {
	n, err := file.WriteAt(p, off)
	if f.patch++; f.flip >= 0 && f.patch == 2 { // source files, then tensor hashes
		var b [1]byte
		file.ReadAt(b[:], f.flip)
		b[0] ^= 0x10
		file.WriteAt(b[:], f.flip)
	}
	return n, err
}

func TestFaults(t *testing.T) {
	// Large tensors, so that there is more than one write.
	rng := rand.New(rand.NewPCG(17, 18))
	in := newModel().floats(names.TokenEmbedding, gguf.F32, normals(rng, 512*4096, 1), 512, 4096).
		floats(query, gguf.F32, ternaryWeights(rng, 512*128, 1), 512, 128).write(t)
	good, _ := run(t, in, types(gguf.I2_S))

	attempt := func(t *testing.T, calls *faulty, code string) {
		t.Helper()
		o := types(gguf.I2_S)
		o.In, o.Out, o.Force, o.calls = in, filepath.Join(t.TempDir(), "out.gguf"), true, calls
		if err := os.WriteFile(o.Out, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Run(context.Background(), o)
		if fault.Code(err) != code {
			t.Errorf("got %v, want %s", err, code)
		}
		if old, _ := os.ReadFile(o.Out); string(old) != "old" {
			t.Error("the old output changed")
		}
		onlyFiles(t, filepath.Dir(o.Out), "out.gguf")
	}
	t.Run("R133 every write fails in turn", func(t *testing.T) {
		count := &faulty{flip: -1}
		o := types(gguf.I2_S)
		o.calls = count
		run(t, in, o)
		if count.writes < 4 {
			t.Fatalf("only %d writes", count.writes)
		}
		for k := 1; k <= count.writes; k++ {
			attempt(t, &faulty{flip: -1, failAt: k, err: syscall.ENOSPC}, "NO_SPACE")
			attempt(t, &faulty{flip: -1, failAt: k, err: syscall.EIO}, "IO_ERROR")
		}
	})
	t.Run("R141 a flipped byte", func(t *testing.T) {
		info, _ := good.Tensor(query)
		for _, at := range []int64{0, 9, 100, int64(good.DataOffset) - 1, int64(good.DataOffset), int64(good.DataOffset + info.Offset), int64(good.Size) - 1} {
			attempt(t, &faulty{flip: at}, "WRITE_CORRUPTED")
		}
	})
	t.Run("R139 the input changes", func(t *testing.T) {
		content, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(path string) error{
			"truncated": func(path string) error { return os.Truncate(path, int64(len(content))-4096) },
			"grown":     func(path string) error { return os.Truncate(path, int64(len(content))+1) },
		} {
			o := types(gguf.I2_S)
			o.In, o.Out = filepath.Join(t.TempDir(), "in.gguf"), filepath.Join(t.TempDir(), "out.gguf")
			if err := os.WriteFile(o.In, content, 0o666); err != nil {
				t.Fatal(err)
			}
			var once sync.Once
			o.Progress = func(int64, int64) {
				once.Do(func() {
					if err := change(o.In); err != nil {
						t.Error(err)
					}
				})
			}
			if _, err := Run(context.Background(), o); fault.Code(err) != "FILE_CHANGED" {
				t.Errorf("%s: %v", name, err)
			}
			onlyFiles(t, filepath.Dir(o.Out))
		}
	})
	t.Run("R135 cancelled at every step", func(t *testing.T) {
		o := types(gguf.I2_S)
		var steps int
		o.Progress = func(int64, int64) { steps++ }
		run(t, in, o)
		for stop := 1; stop <= steps; stop++ {
			ctx, cancel := context.WithCancel(context.Background())
			o := types(gguf.I2_S)
			o.In, o.Out = in, filepath.Join(t.TempDir(), "out.gguf")
			seen := 0
			o.Progress = func(int64, int64) {
				if seen++; seen == stop {
					cancel()
				}
			}
			if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("step %d: %v", stop, err)
			}
			cancel()
			onlyFiles(t, filepath.Dir(o.Out))
		}
	})
}

func TestInOrder(t *testing.T) {
	piece := func(i int, dst []byte) ([]byte, error) { return fmt.Appendf(dst, "%d,", i), nil }
	var want bytes.Buffer
	for i := range 200 {
		fmt.Fprintf(&want, "%d,", i)
	}
	for _, threads := range []int{0, 1, 2, 7} {
		var got bytes.Buffer
		if err := InOrder(context.Background(), &got, 200, threads, piece); err != nil || got.String() != want.String() {
			t.Errorf("%d threads: %v, %q", threads, err, got.String())
		}
	}
	broken := io.ErrClosedPipe
	for at := range 50 {
		err := InOrder(context.Background(), io.Discard, 50, 3, func(i int, dst []byte) ([]byte, error) {
			if i >= at {
				return nil, fmt.Errorf("piece %d: %w", i, broken)
			}
			return piece(i, dst)
		})
		if err == nil || err.Error() != fmt.Sprintf("piece %d: %v", at, broken) {
			t.Errorf("the first error is %v, want piece %d", err, at)
		}
	}
	err := InOrder(context.Background(), io.Discard, 5, 2, func(i int, dst []byte) ([]byte, error) { panic("a bug") })
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("a panic became %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := InOrder(ctx, io.Discard, 5, 2, piece); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}
