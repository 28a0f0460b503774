package quant

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Types says which type each tensor of a file gets: what a person asked for by name, else by pattern, else what Type implies. Table is the
// whole rule. It is llama.cpp's, but for what that does when a row does not fit: it falls back to Q4_0, which changes one sign of ternary
// weights by an eighth.
type Types struct {
	Type                               gguf.Type
	TokenEmbedding, OutputTensor       gguf.Type // as asked, if the Has field is set
	HasTokenEmbedding, HasOutputTensor bool
	Rules                              []Rule // --tensor-type, in order
}

// Rule gives a type to the matrices whose names match a pattern anywhere. Pattern is the person's own, so it may be compiled.
type Rule struct {
	Pattern *regexp.Regexp
	Type    gguf.Type
}

// ParseRule reads the value of --tensor-type: REGEX=TYPE, in Go's syntax (RE2).
func ParseRule(text string) (Rule, error) {
	cut := strings.LastIndexByte(text, '=')
	if cut < 1 {
		return Rule{}, fault.New("USAGE", "--tensor-type is %s; want REGEX=TYPE, such as 'ffn_down=q8_0'", fault.Quote(text))
	}
	typ, ok := gguf.ParseType(text[cut+1:])
	if !ok {
		return Rule{}, fault.New("USAGE", "--tensor-type %s: want one of the types %s", fault.Quote(text), strings.Join(gguf.TypeNames(), ", "))
	}
	pattern, err := regexp.Compile(text[:cut])
	if err != nil {
		return Rule{}, fault.New("USAGE", "--tensor-type %s: %w", fault.Quote(text), err)
	}
	return Rule{pattern, typ}, nil
}

// ParseRules reads every value of --tensor-type, up to the first that is wrong.
func ParseRules(texts []string) ([]Rule, error) {
	rules := make([]Rule, len(texts))
	for i, text := range texts {
		var err error
		if rules[i], err = ParseRule(text); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// String is the rule as a person types it, the type in lower case.
func (r Rule) String() string { return r.Pattern.String() + "=" + strings.ToLower(r.Type.String()) }

// Row is one row of the table of types. The first whose Match accepts a tensor decides.
type Row struct {
	Tensors string // which, in words
	Type    gguf.Type
	Why     string
	Match   func(name string, dims []uint64) bool
}

// Table is the rule, first match first; the last row matches everything.
func (t Types) Table() []Row {
	plain, why := t.Type, "TYPE"
	if IsTernary(plain) {
		plain, why = gguf.F16, "they are not ternary"
	}
	named := func(name string) func(string, []uint64) bool {
		return func(n string, _ []uint64) bool { return n == name }
	}
	table := []Row{{"vectors, and *_norm*", gguf.F32, "small, and other readers want it", func(name string, dims []uint64) bool {
		return len(dims) == 1 || strings.Contains(name, "_norm")
	}}}
	if t.HasTokenEmbedding {
		table = append(table, Row{names.TokenEmbedding, t.TokenEmbedding, "--token-embedding-type", named(names.TokenEmbedding)})
	}
	if t.HasOutputTensor {
		table = append(table, Row{names.Output, t.OutputTensor, "--output-tensor-type", named(names.Output)})
	}
	for _, r := range t.Rules {
		table = append(table, Row{"matrices that match " + r.Pattern.String(), r.Type, "--tensor-type",
			func(name string, _ []uint64) bool { return r.Pattern.MatchString(name) }})
	}
	projections := "blk.N.{" + strings.Join(names.Projections[:], ",") + "}.weight"
	if t.Type == gguf.TQ1_0 || t.Type == gguf.TQ2_0 {
		table = append(table, Row{projections + ", rows not a multiple of 256", gguf.F16, "whole blocks would not fit", func(name string, dims []uint64) bool {
			return IsProjection(name) && !t.Type.Fits(dims)
		}})
	}
	return append(table,
		Row{projections, t.Type, "TYPE", func(name string, _ []uint64) bool { return IsProjection(name) }},
		Row{"embedding, head and any other matrix", plain, why, func(string, []uint64) bool { return true }})
}

// For returns the type of one tensor; dims are in ne order. Codes: UNSUPPORTED_SHAPE for a type that cannot hold the shape, NOT_TERNARY for a
// ternary type anywhere but at a projection.
func (t Types) For(name string, dims []uint64) (gguf.Type, error) {
	table := t.Table()
	row := table[slices.IndexFunc(table, func(r Row) bool { return r.Match(name, dims) })]
	typ := row.Type
	switch {
	case IsTernary(typ) && !IsProjection(name):
		return 0, fault.New("NOT_TERNARY", "tensor %s would be %v by %s, but only the projections of a layer are ternary; choose f16, q8_0 or q6_k",
			fault.Quote(name), typ, row.Why)
	case typ.Fits(dims):
		return typ, nil
	case typ == gguf.I2_S:
		return 0, fault.New("UNSUPPORTED_SHAPE", "tensor %s: %v weights are not a multiple of 128, so I2_S cannot hold them; choose f16 or bf16",
			fault.Quote(name), dims)
	}
	return 0, fault.New("UNSUPPORTED_SHAPE", "tensor %s %v: rows of %d weights are not a multiple of %v's %d; choose f16 or bf16",
		fault.Quote(name), dims, dims[0], typ, typ.BlockSize())
}

// Any reports whether a type is asked for anywhere that match accepts.
func (t Types) Any(match func(gguf.Type) bool) bool {
	return slices.ContainsFunc(t.Table(), func(r Row) bool { return match(r.Type) })
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
