package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/quant"
)

const (
	fixtures = "../../testdata/fixtures/"
	tinydlm  = "../../testdata/tinydlm/"
)

// fixture is one published checkpoint shape. exact says that no int8 rounding sits on an edge in the 40 ids either (testdata/fixtures/README.md).
var fixtureList = []struct {
	name           string
	ternary, exact bool
}{
	{"bitnet-online", true, false},
	{"bitnet-sharded", true, false},
	{"wrinklefree-pt", true, true},
	{"bitnet-packed-autobitlinear", true, false},
	{"llama-packed-bitlinear", true, false},
	{"bitnet-no-subln", true, false},
	{"fast-dllm-qwen", false, true},
}

// TestFixturesMatchGolden: every published shape converts, and its logits are the reference's under both masks.
func TestFixturesMatchGolden(t *testing.T) {
	for _, fx := range fixtureList {
		t.Run(fx.name, func(t *testing.T) {
			t.Parallel()
			golden := readGolden(t, fixtures+fx.name+"/golden.safetensors")
			path := convertTo(t, fixtures+fx.name, convert.Options{Type: "f32"})
			m := loadModel(t, path, infer.Options{})
			for mask, block := range map[string]int{"causal": 0, "block32": 32} {
				short := logitsOf(t, m, golden.ids("ids.short"), infer.Mask{Block: block})
				compareLogits(t, mask+" ids.short", short, golden["logits.short."+mask], 1e-4)
				long := logitsOf(t, m, golden.ids("ids"), infer.Mask{Block: block})
				bound := 0.03
				if fx.exact {
					bound = 1e-4
				}
				compareLogits(t, mask+" ids", long, golden["logits."+mask], bound)
			}
		})
	}
}

// TestTinyMatchesGolden does the same for the demonstration model, from both of its checkpoints.
func TestTinyMatchesGolden(t *testing.T) {
	golden := readGolden(t, tinydlm+"golden/logits.safetensors")
	for _, dir := range []string{"hf", "pt"} {
		t.Run(dir, func(t *testing.T) {
			m := loadModel(t, convertTo(t, tinydlm+dir, convert.Options{Type: "f32"}), infer.Options{})
			for mask, block := range map[string]int{"causal": 0, "block32": 32} {
				compareLogits(t, mask+" ids.short", logitsOf(t, m, golden.ids("ids.short"), infer.Mask{Block: block}), golden["logits.short."+mask], 1e-4)
				compareLogits(t, mask+" ids", logitsOf(t, m, golden.ids("ids"), infer.Mask{Block: block}), golden["logits."+mask], 0.03)
			}
		})
	}
}

// TestI2SKeepsEveryBit: packing a ternary file into two bits, embedding type kept, changes no bit of its logits; and straight from the
// checkpoint gives the same.
func TestI2SKeepsEveryBit(t *testing.T) {
	for _, fx := range fixtureList {
		for _, from := range []gguf.Type{gguf.F32, gguf.F16} {
			t.Run(fx.name+"/"+from.String(), func(t *testing.T) {
				t.Parallel()
				source := convertTo(t, fixtures+fx.name, convert.Options{Type: from.String()})
				packed := filepath.Join(t.TempDir(), "packed.gguf")
				_, err := quant.Run(context.Background(), quant.Options{
					In: source, Out: packed, Version: version,
					Types: quant.Types{Type: gguf.I2_S, TokenEmbedding: from, HasTokenEmbedding: true, OutputTensor: from, HasOutputTensor: true},
				})
				if !fx.ternary {
					if code := fault.Code(err); code != "NOT_TERNARY" || exitStatus(err) != exitRefused {
						t.Fatalf("quantising dense weights: %v (code %s); want NOT_TERNARY, exit 3", err, code)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				golden := readGolden(t, fixtures+fx.name+"/golden.safetensors")
				a, b := loadModel(t, source, infer.Options{}), loadModel(t, packed, infer.Options{})
				requireSame(t, from.String()+" and I2_S", logitsOf(t, a, golden.ids("ids"), infer.Mask{Block: 32}), logitsOf(t, b, golden.ids("ids"), infer.Mask{Block: 32}))
				if from != gguf.F32 {
					return
				}
				direct := convertTo(t, fixtures+fx.name, convert.Options{Type: "i2_s", TokenEmbedding: "f32", OutputTensor: "f32"})
				c := loadModel(t, direct, infer.Options{})
				requireSame(t, "I2_S by quantize and by convert", logitsOf(t, b, golden.ids("ids"), infer.Mask{}), logitsOf(t, c, golden.ids("ids"), infer.Mask{}))
			})
		}
	}
}

// TestDenseRefusesTernary: a dense checkpoint is not converted to a ternary type either.
func TestDenseRefusesTernary(t *testing.T) {
	_, err := convert.Run(context.Background(), convert.Options{Path: fixtures + "fast-dllm-qwen", Out: filepath.Join(t.TempDir(), "x.gguf"), Type: "i2_s"})
	if fault.Code(err) != "NOT_TERNARY" || exitStatus(err) != exitRefused {
		t.Fatalf("got %v; want NOT_TERNARY, exit 3", err)
	}
}

// TestPrefillInChunks: how a prompt is cut into passes changes no bit.
func TestPrefillInChunks(t *testing.T) {
	golden := readGolden(t, tinydlm+"golden/logits.safetensors")
	m := loadModel(t, convertTo(t, tinydlm+"hf", convert.Options{Type: "i2_s"}), infer.Options{})
	ids := golden.ids("ids")
	whole := logitsOf(t, m, ids, infer.Mask{})
	for _, chunk := range []int{1, 3, 16} {
		requireSame(t, fmt.Sprintf("chunks of %d", chunk), logitsIn(t, m, ids, chunk, infer.Mask{}), whole)
	}
	requireSame(t, "blocks", logitsIn(t, m, ids, 32, infer.Mask{Block: 32}), logitsOf(t, m, ids, infer.Mask{Block: 32}))
}

// convertTo converts into a temporary folder and returns the file.
func convertTo(t testing.TB, path string, o convert.Options) string {
	t.Helper()
	o.Path, o.Version = path, version
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "model.gguf")
	}
	if _, err := convert.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return o.Out
}

func loadModel(t testing.TB, path string, o infer.Options) *infer.Model {
	t.Helper()
	m, err := infer.Load(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// logitsOf computes all rows in one pass.
func logitsOf(t testing.TB, m *infer.Model, ids []int32, mask infer.Mask) []float32 {
	t.Helper()
	return logitsIn(t, m, ids, len(ids), mask)
}

func logitsIn(t testing.TB, m *infer.Model, ids []int32, chunk int, mask infer.Mask) []float32 {
	t.Helper()
	cache, err := m.NewCache(len(ids))
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	err = eachLogits(m, cache, ids, chunk, mask, func(x []float32) error { all = append(all, x...); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// goldenFile maps a tensor's name to its values.
type goldenFile map[string][]float32

func (g goldenFile) ids(name string) []int32 {
	ids := make([]int32, len(g[name]))
	for i, v := range g[name] {
		ids[i] = int32(v)
	}
	return ids
}

func readGolden(t testing.TB, path string) goldenFile {
	t.Helper()
	c, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g := goldenFile{}
	for _, x := range c.Tensors {
		values := make([]float32, x.Elements())
		if err := binary.Read(io.NewSectionReader(x, 0, x.Size()), binary.LittleEndian, values); err != nil {
			t.Fatal(err)
		}
		g[x.Name] = values
	}
	return g
}

// compareLogits holds rows against the golden: every difference within bound of the row's largest magnitude, and the same arg max wherever the
// golden's best two differ by more than that.
func compareLogits(t *testing.T, what string, got, want []float32, bound float64) {
	t.Helper()
	compareRows(t, what, 1024, got, want, bound)
}

func compareRows(t *testing.T, what string, vocab int, got, want []float32, bound float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 || len(got)%vocab != 0 {
		t.Fatalf("%s: %d logits, want %d", what, len(got), len(want))
	}
	worst := 0.0
	for row := 0; row < len(got); row += vocab {
		g, w := got[row:row+vocab], want[row:row+vocab]
		largest := 0.0
		for _, v := range w {
			largest = max(largest, math.Abs(float64(v)))
		}
		for i := range g {
			d := math.Abs(float64(g[i])-float64(w[i])) / largest
			if !(d <= bound) {
				t.Errorf("%s: row %d, token %d: got %v, want %v: off by %.2g of the row's largest, bound %g", what, row/vocab, i, g[i], w[i], d, bound)
				return
			}
			worst = max(worst, d)
		}
		best, second := topTwo(w)
		if float64(w[best]-w[second]) > bound*largest {
			if at, _ := topTwo(g); at != best {
				t.Errorf("%s: row %d: arg max %d, want %d", what, row/vocab, at, best)
			}
		}
	}
	t.Logf("%s: worst difference %.2g of the row's largest", what, worst)
}

func topTwo(x []float32) (best, second int) {
	best, second = 0, -1
	for i := 1; i < len(x); i++ {
		switch {
		case x[i] > x[best]:
			best, second = i, best
		case second < 0 || x[i] > x[second]:
			second = i
		}
	}
	return best, second
}

func requireSame(t *testing.T, what string, a, b []float32) {
	t.Helper()
	same := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }
	if !slices.EqualFunc(a, b, same) || len(a) == 0 {
		for i := range min(len(a), len(b)) {
			if !same(a[i], b[i]) {
				t.Fatalf("%s: logit %d: %v and %v; want the same bits", what, i, a[i], b[i])
			}
		}
		t.Fatalf("%s: %d and %d logits; want the same", what, len(a), len(b))
	}
}
