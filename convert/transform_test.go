package convert

import (
	"bytes"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/quant"
)

// TestTables: a table of all 16-bit patterns gives the bytes that the float32 path gives, its count of lost weights and its errors.
func TestTables(t *testing.T) {
	const rows, cols = 384, 256
	m := newModel()
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * math.Exp2(float64(rng.IntN(40)-30))) // some vanish in F16
	}
	for dtype, typ := range map[string]gguf.Type{"F16": gguf.F16, "BF16": gguf.BF16} {
		m.tensors[dtype] = tensor{dtype, []int{rows, cols}, quant.Encode(nil, typ, x)}
		x[250*cols+7] = 1e5 // beyond F16, where bf16 has it
		m.tensors[dtype+" large"] = bf16(x, rows, cols)
		x[250*cols+7] = 0
	}
	ckpt, err := checkpoint.Open(m.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	for _, name := range []string{"F16", "BF16", "BF16 large"} {
		source, _ := ckpt.Tensor(name)
		for _, code := range []Code{Plain, Ternary} {
			for _, typ := range []gguf.Type{gguf.F16, gguf.BF16, gguf.I2_S} {
				if code == Plain && typ == gguf.I2_S {
					continue
				}
				for _, order := range []Order{AsIs, Interleaved, Deinterleave} {
					plan := &TensorPlan{Type: typ, From: source.DType, Rows: rows - 128, FirstRow: 128, Cols: cols, Code: code, Order: order, Head: 64,
						Unit: 0.4, Scale: 1}
					table := plan.recoding()
					if table == nil {
						t.Fatalf("%s, %v to %v has no table", name, code, typ)
					}
					var want, got struct {
						bytes []byte
						err   error
						lost  atomic.Uint64
					}
					want.bytes, want.err = plan.rows(nil, new(scratch), nil, source, 64, 128, &want.lost)
					got.bytes, got.err = plan.rows(nil, new(scratch), table, source, 64, 128, &got.lost)
					if !bytes.Equal(got.bytes, want.bytes) || got.lost.Load() != want.lost.Load() || fault.Code(got.err) != fault.Code(want.err) {
						t.Errorf("%s, code %v to %v, order %v: other bytes, or %d lost for %d, %v for %v", name, code, typ, order,
							got.lost.Load(), want.lost.Load(), got.err, want.err)
					}
					toF16 := code == Plain && typ == gguf.F16
					if refused := toF16 && name == "BF16 large"; (want.err != nil) != refused {
						t.Errorf("%s, code %v to %v: %v", name, code, typ, want.err)
					}
					if lost := want.lost.Load(); (lost > 0) != (toF16 && name == "BF16") {
						t.Errorf("%s, code %v to %v: %d lost", name, code, typ, lost)
					}
				}
			}
		}
	}
}
