package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/quant"
)

// planSummary is what wf convert --outtype auto would make of a checkpoint.
type planSummary struct {
	Architecture convert.Architecture   `json:"architecture"`
	Type         string                 `json:"type"`
	Size         uint64                 `json:"size"`
	Source       string                 `json:"source"`
	ScaleRule    string                 `json:"scale_rule,omitempty"`
	Tensors      []convert.TensorReport `json:"tensors"`
	Dropped      []string               `json:"dropped,omitempty"`
}

func (p *planSummary) String() string {
	text := fmt.Sprintf("%s file of %s, architecture %s", p.Type, bytesText(p.Size), p.Architecture.To)
	if p.Architecture.Reason != "" {
		text += ": " + p.Architecture.Reason
	}
	return text
}

// inspectCheckpoint returns what the headers say with the error that wf convert would give.
func inspectCheckpoint(ctx context.Context, path, _ string) (*inspection, error) {
	c, err := checkpoint.Open(path)
	if err != nil {
		return inspectJunk(path, err)
	}
	defer c.Close()
	v := &inspection{File: path, Format: c.Format + " checkpoint"}
	for _, s := range c.Sources {
		v.Size += uint64(s.Size)
		v.Sources = append(v.Sources, s.Name)
	}
	for _, t := range c.Tensors {
		v.Tensors = append(v.Tensors, tensorLine{Name: t.Name, Type: t.DType.String(), Dims: t.Shape, Bytes: uint64(t.Size()),
			BitsPerWeight: bitsPerWeight(uint64(t.Size()), t.Elements())})
	}
	v.Types = totals(v.Tensors)
	r, err := convert.Preview(ctx, convert.Options{Path: path, Type: "auto", Version: version})
	switch code := fault.Code(err); {
	case code == "CONFIG_NOT_FOUND": // tensors, but of no model
		v.Notes = append(v.Notes, c.Notices...)
		v.Notes = append(v.Notes, "no config.json says what these tensors are")
		return v, nil
	case err != nil:
		v.Notes = append(v.Notes, c.Notices...)
		return v, inFile(path, err)
	}
	v.Notes = append(v.Notes, r.Notices...)
	return v, inFile(path, v.addPlan(r))
}

// addPlan shows what the file would be, by looking at the header that it would have.
func (v *inspection) addPlan(r *convert.Report) error {
	v.Plan = &planSummary{Architecture: r.Architecture, Type: r.Type, Size: r.Size, Source: r.Source, ScaleRule: r.ScaleRule,
		Tensors: r.Tensors, Dropped: r.Dropped}
	f, err := plannedFile(r)
	if err != nil {
		return err
	}
	v.Tokenizer = summarizeTokenizer(r.Keys)
	v.Ternary = &ternarySummary{}
	for _, t := range r.Tensors {
		if quant.IsProjection(t.Name) {
			v.Ternary.add(strings.Contains(t.How, "scale"), t.Ternary)
		}
	}
	v.addTernary(f, quant.Layout128)
	outline, err := infer.Check(f, infer.Options{Warn: func(text string) { v.Notes = append(v.Notes, text) }}, usualContext)
	v.addOutline(f, outline)
	return err
}

// plannedFile is the header of a file that has not been written, and no data.
func plannedFile(r *convert.Report) (*gguf.File, error) {
	infos := make([]gguf.TensorInfo, len(r.Tensors))
	for i, t := range r.Tensors {
		typ, _ := gguf.ParseType(t.To)
		infos[i] = gguf.TensorInfo{Name: t.Name, Type: typ, Dims: t.Dims}
	}
	return gguf.Planned(r.Keys, infos)
}
