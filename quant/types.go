package quant

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Types says which type each tensor of a file gets. The table is llama.cpp's, but for what it does when a row does not fit: it falls back to
// Q4_0, which changes one sign of ternary weights by an eighth.
//
//	norms, and whatever has one dimension   F32
//	token_embd, output                      Type, but F16 if that is ternary; or as asked
//	the seven projections                   Type; TQ1_0 and TQ2_0 become F16 where a row is not a multiple of 256
//	any other matrix                        Type, but F16 if that is ternary
type Types struct {
	Type                               gguf.Type
	TokenEmbedding, OutputTensor       gguf.Type // as asked, if the Has field is set
	HasTokenEmbedding, HasOutputTensor bool
}

// For returns the type of one tensor; dims are in ne order. A type that cannot hold the shape is UNSUPPORTED_SHAPE.
func (t Types) For(name string, dims []uint64) (gguf.Type, error) {
	typ := t.wanted(name, dims)
	if typ.Fits(dims) {
		return typ, nil
	}
	if typ == gguf.I2_S {
		return 0, fault.New("UNSUPPORTED_SHAPE", "tensor %s: %v weights are not a multiple of 128, so I2_S cannot hold them; choose f16 or bf16",
			fault.Quote(name), dims)
	}
	return 0, fault.New("UNSUPPORTED_SHAPE", "tensor %s %v: rows of %d weights are not a multiple of %v's %d; choose f16 or bf16",
		fault.Quote(name), dims, dims[0], typ, typ.BlockSize())
}

func (t Types) wanted(name string, dims []uint64) gguf.Type {
	plain := t.Type
	if IsTernary(plain) {
		plain = gguf.F16
	}
	switch {
	case len(dims) == 1 || strings.Contains(name, "_norm"):
		return gguf.F32
	case name == names.TokenEmbedding && t.HasTokenEmbedding:
		return t.TokenEmbedding
	case name == names.Output && t.HasOutputTensor:
		return t.OutputTensor
	case !IsProjection(name):
		return plain
	case t.Type != gguf.I2_S && IsTernary(t.Type) && !t.Type.Fits(dims):
		return gguf.F16
	}
	return t.Type
}

// IsProjection reports whether a tensor is one of the seven matrices of a layer that BitNet makes ternary: "blk.N.attn_q.weight".
func IsProjection(name string) bool {
	rest, ok := strings.CutPrefix(name, "blk.")
	layer, rest, _ := strings.Cut(rest, ".")
	part, kind, _ := strings.Cut(rest, ".")
	_, err := strconv.ParseUint(layer, 10, 32)
	return ok && err == nil && kind == "weight" && slices.Contains(names.Projections[:], part)
}

// IsTernary reports whether a type holds only codes -1, 0, +1 and scales.
func IsTernary(t gguf.Type) bool { return t == gguf.I2_S || t == gguf.TQ1_0 || t == gguf.TQ2_0 }

// isFloat reports whether a type stores every weight as a floating-point number of its own.
func isFloat(t gguf.Type) bool { return t == gguf.F32 || t == gguf.F16 || t == gguf.BF16 }
