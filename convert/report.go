package convert

import (
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/quant"
)

// Report says what a conversion did, or with DryRun would do.
type Report struct {
	Out          string           `json:"out"`     // the first file, which stands for all
	Files        []quant.FilePart `json:"files"`   // more than one with SplitMaxSize
	Written      bool             `json:"written"` // false after a dry run
	Size         uint64           `json:"size"`    // bytes of the whole file
	quant.Extent                  // of the tensors
	Type         string           `json:"type"` // of the matrices
	Architecture Architecture     `json:"architecture"`
	Source       string           `json:"source"`               // wf.quant.source: online, offline-mul, offline-div, ternary, dense
	ScaleRule    string           `json:"scale_rule,omitempty"` // wf.quant.scale_rule: absmean, kept, none
	Diffusion    *Diffusion       `json:"diffusion,omitempty"`  // nil for an autoregressive model
	Tensors      []TensorReport   `json:"tensors"`
	Dropped      []string         `json:"dropped,omitempty"` // source tensors that were consumed or are implied, such as a tied head
	Sources      []string         `json:"sources"`           // files read
	Notices      []string         `json:"notices,omitempty"`
	Seconds      float64          `json:"seconds"`

	Keys *gguf.Metadata `json:"-"` // all that the file has or would have, the receipt's sums still zero
}

// TensorReport is one tensor of the output.
type TensorReport struct {
	Name          string   `json:"name"`
	Source        string   `json:"source"` // the checkpoint's name, or why the tensor is there
	From          string   `json:"from"`   // source dtype
	To            string   `json:"to"`     // GGUF type
	Dims          []uint64 `json:"dims"`   // ne order: fastest first
	Bytes         uint64   `json:"bytes"`  // in the output
	BitsPerWeight float64  `json:"bits_per_weight"`
	How           string   `json:"transform,omitempty"` // what happens to the values beside the change of type

	Ternary *quant.Share `json:"ternary,omitempty"` // Preview: what an I2_S tensor would hold
}

// report says what the plan does, with the sizes that the container gives it.
func (p *Plan) report(infos []gguf.TensorInfo, size uint64, sources []string) *Report {
	r := &Report{Size: size, Type: p.Type.String(), Architecture: p.Architecture, Source: p.Source, ScaleRule: p.ScaleRule,
		Diffusion: p.Diffusion, Dropped: p.Dropped, Sources: sources, Notices: p.Notices}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		line := TensorReport{Name: t.Name, Source: t.Source, To: t.Type.String(), Dims: t.Dims, Bytes: infos[i].Size, BitsPerWeight: r.Add(infos[i]), How: t.How()}
		if t.Values == nil {
			line.From = t.From.String()
		} else {
			line.Source, line.From = "computed from rope_scaling", gguf.F32.String()
		}
		r.Tensors = append(r.Tensors, line)
	}
	return r
}
