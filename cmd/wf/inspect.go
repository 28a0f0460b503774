package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

func newInspectCmd(env *environment) *cobra.Command {
	var full, asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect GGUF | CHECKPOINT",
		Short: "Show what a model file holds",
		Long: `Show what a GGUF file or a checkpoint holds: metadata, tensors with bits per weight, and for ternary tensors the scale and the share of
-1, 0 and +1.`,
		Example: "  wf inspect model-I2_S.gguf\n  wf inspect ./checkpoint --json",
		Args:    positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if isGGUF(args[0]) {
				return env.inspectGGUF(args[0], full, asJSON)
			}
			return env.inspectCheckpoint(args[0], full, asJSON)
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "print everything, also what does not fit a screen")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// isGGUF leaves folders and the checkpoint formats to the checkpoint room; everything else is held to be GGUF, so that the error is about that.
func isGGUF(path string) bool {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return false
	}
	lower := strings.ToLower(path)
	return !slices.ContainsFunc([]string{".safetensors", ".pt", ".pth", ".bin", ".ckpt"}, func(s string) bool { return strings.HasSuffix(lower, s) })
}

// inspection is what wf inspect --json prints.
type inspection struct {
	File     string         `json:"file"`
	Format   string         `json:"format"`
	Size     uint64         `json:"size"`
	Metadata []metadataLine `json:"metadata,omitempty"`
	Tensors  []tensorLine   `json:"tensors"`
	Notes    []string       `json:"notes,omitempty"`
	Sources  []string       `json:"sources,omitempty"`
}

type metadataLine struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type tensorLine struct {
	Name          string       `json:"name"`
	Type          string       `json:"type"`
	Dims          []uint64     `json:"dims"` // GGUF: fastest first; checkpoint: as stored
	Bytes         uint64       `json:"bytes"`
	BitsPerWeight float64      `json:"bits_per_weight"`
	Ternary       *quant.Share `json:"ternary,omitempty"`
}

func (env *environment) inspectGGUF(path string, full, asJSON bool) error {
	f, err := gguf.Open(path)
	if err != nil {
		return inFile(path, err)
	}
	defer f.Close()
	v := inspection{File: path, Format: fmt.Sprintf("GGUF version %d", f.Version), Size: f.Size}
	for _, kv := range f.Metadata.All() {
		v.Metadata = append(v.Metadata, metadataLine{kv.Key, valueType(kv.Value), valueText(kv, full)})
	}
	found, err := quant.Verify(context.Background(), f, quant.VerifyOptions{})
	if err != nil {
		return inFile(path, err)
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		line := tensorLine{Name: t.Name, Type: t.Type.String(), Dims: t.Dims, Bytes: t.Size}
		line.BitsPerWeight = float64(t.Size) * 8 / float64(t.Dims[0]*t.Rows())
		line.Ternary = found.Tensors[i].Share
		v.Tensors = append(v.Tensors, line)
	}
	v.Notes = ggufNotes(f)
	return env.printInspection(v, full, asJSON)
}

// ggufNotes says what was decided where a file leaves room for doubt.
func ggufNotes(f *gguf.File) []string {
	var notes []string
	hasI2S := slices.ContainsFunc(f.Tensors, func(t gguf.TensorInfo) bool { return t.Type == gguf.I2_S })
	if hasI2S && !f.Metadata.Has(names.I2SLayout) {
		notes = append(notes, "I2_S tensors without wf.i2_s.layout: read in the 128 layout of the published files; --i2s-layout 64 reads what bitnet.cpp wrote on ARM")
	}
	if text, ok, err := gguf.Value[string](f.Metadata, names.ChatTemplate); ok && err == nil {
		sum := sha256.Sum256([]byte(text))
		notes = append(notes, "chat template sha256 "+hex.EncodeToString(sum[:]))
	}
	if f.Trailing > 0 {
		notes = append(notes, fmt.Sprintf("%d bytes after the last tensor", f.Trailing))
	}
	return notes
}

func (env *environment) inspectCheckpoint(path string, full, asJSON bool) error {
	c, err := checkpoint.Open(path)
	if err != nil {
		return inFile(path, err)
	}
	defer c.Close()
	v := inspection{File: path, Format: c.Format + " checkpoint", Notes: c.Notices}
	for _, s := range c.Sources {
		v.Size += uint64(s.Size)
		v.Sources = append(v.Sources, s.Name)
	}
	for _, t := range c.Tensors {
		line := tensorLine{Name: t.Name, Type: t.DType.String(), Dims: t.Shape, Bytes: uint64(t.Size())}
		if n := t.Elements(); n > 0 {
			line.BitsPerWeight = float64(t.Size()) * 8 / float64(n)
		}
		v.Tensors = append(v.Tensors, line)
	}
	return env.printInspection(v, full, asJSON)
}

// terseTensors is how many tensors the short view lists: it must fit a screen.
const terseTensors = 12

func (env *environment) printInspection(v inspection, full, asJSON bool) error {
	if asJSON {
		return env.writeJSON(v)
	}
	fmt.Fprintf(env.stdout, "%s: %s, %s, %d tensors\n", fault.Quote(v.File), v.Format, bytesText(v.Size), len(v.Tensors))
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	for _, m := range v.Metadata {
		if full || !strings.HasPrefix(m.Key, "tokenizer.ggml.") || !strings.HasPrefix(m.Value, "[") {
			fmt.Fprintf(w, "%s\t%s\t%s\n", oneLine(m.Key), m.Type, m.Value)
		}
	}
	fmt.Fprintln(w)
	for i, t := range v.Tensors {
		if !full && i == terseTensors {
			fmt.Fprintf(w, "... %d more; --full lists them\t\t\t\t\n", len(v.Tensors)-i)
			break
		}
		share := ""
		if t.Ternary != nil {
			share = t.Ternary.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%.4g bits/weight\t%s\n", oneLine(t.Name), t.Type, t.Dims, t.BitsPerWeight, share)
	}
	for _, s := range totals(v.Tensors) {
		fmt.Fprintln(w, s)
	}
	for _, n := range v.Notes {
		fmt.Fprintln(w, "note: "+oneLine(n))
	}
	return w.Flush()
}

// totals sums bytes by type, largest first.
func totals(tensors []tensorLine) []string {
	sum := map[string]uint64{}
	for _, t := range tensors {
		sum[t.Type] += t.Bytes
	}
	types := make([]string, 0, len(sum))
	for t := range sum {
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b string) int { return cmp.Or(cmp.Compare(sum[b], sum[a]), strings.Compare(a, b)) })
	for i, t := range types {
		types[i] = fmt.Sprintf("total %s\t%s", t, bytesText(sum[t]))
	}
	return types
}

func valueType(v any) string {
	if t := reflect.TypeOf(v); t.Kind() == reflect.Slice {
		return fmt.Sprintf("%s[%d]", t.Elem().Kind(), reflect.ValueOf(v).Len())
	}
	return reflect.TypeOf(v).Kind().String()
}

// valueText shows a value; arrays and long text are cut unless full.
func valueText(kv gguf.KV, full bool) string {
	v := reflect.ValueOf(kv.Value)
	if v.Kind() != reflect.Slice {
		if s, ok := kv.Value.(string); ok {
			if full {
				return fmt.Sprintf("%+q", s)
			}
			return fault.Quote(s)
		}
		return fmt.Sprint(kv.Value)
	}
	const terse = 4
	n, more := v.Len(), ""
	if !full && n > terse {
		n, more = terse, " ..."
	}
	parts := make([]string, n)
	for i := range parts {
		if parts[i] = fmt.Sprint(v.Index(i)); v.Index(i).Kind() == reflect.String {
			parts[i] = fault.Quote(v.Index(i).String())
		}
	}
	return "[" + strings.Join(parts, " ") + more + "]"
}
