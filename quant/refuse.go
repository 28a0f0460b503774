package quant

import (
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// refuse names what would destroy the model or is not meant, from metadata and options alone.
func refuse(md *gguf.Metadata, types Types) error {
	for _, t := range []struct {
		has  bool
		flag string
		typ  gguf.Type
	}{{types.HasTokenEmbedding, "--token-embedding-type", types.TokenEmbedding}, {types.HasOutputTensor, "--output-tensor-type", types.OutputTensor}} {
		if t.has && IsTernary(t.typ) {
			return fault.New("USAGE", "%s is %v, but embeddings and heads are not ternary; choose f16, q8_0 or q6_k", t.flag, t.typ)
		}
	}
	if types.Any(func(t gguf.Type) bool { return t == gguf.TQ2_0 }) {
		if err := RefuseTQ2(md); err != nil {
			return err
		}
	}
	if rule, _, err := gguf.Value[string](md, names.ScaleRule); err != nil {
		return err
	} else if rule == names.ScaleNone && types.Any(IsTernary) {
		return fault.New("NOT_TERNARY", "this file holds raw master weights (%s is none), which a ternary type would destroy; convert the checkpoint "+
			"without --keep-master-weights, then quantize", names.ScaleRule)
	}
	return nil
}

// RefuseTQ2 says why a model with these metadata must not be written as TQ2_0. Code: QUANT_DIFFUSION_TQ2.
func RefuseTQ2(md *gguf.Metadata) error {
	if !diffusion(md) {
		return nil
	}
	return fault.New("QUANT_DIFFUSION_TQ2", "this is a diffusion model: what reads TQ2_0 decodes token by token, and may scale the weights again, "+
		"so the text would be garbage; choose I2_S, which is exact and which wf runs by block diffusion")
}

// diffusion reports whether the metadata are those of a diffusion model.
func diffusion(md *gguf.Metadata) bool {
	return md.Has(names.MaskToken) || slices.ContainsFunc(md.All(), func(kv gguf.KV) bool {
		return kv.Key == names.ShiftLogits || strings.HasPrefix(kv.Key, "wf.diffusion.")
	})
}

// allowed refuses to round what has been rounded to a few levels.
func allowed(t *gguf.TensorInfo, to gguf.Type, requantize bool) error {
	if IsTernary(t.Type) && !IsProjection(t.Name) {
		return fault.New("MODEL_TENSOR_TYPE", "tensor %s is stored as %v, but only the projections of a layer are ternary; "+
			"make the file again with its embedding and head in F16", fault.Quote(t.Name), t.Type)
	}
	exact := isFloat(t.Type) || t.Type == to || to == gguf.F32 || IsTernary(t.Type) && (isFloat(to) || IsTernary(to))
	if exact || requantize {
		return nil
	}
	return fault.New("QUANT_REQUANTIZE", "tensor %s is %v already, and making it %v would round it twice; start from the F16 file, or pass "+
		"--allow-requantize", fault.Quote(t.Name), t.Type, to)
}
