package convert

import (
	"github.com/wrinklefree/wf/convert/checkpoint"
)

// Inventory is what a plan needs to know of the weights: everything in the headers, and what a look at the values found.
type Inventory struct {
	Tensors []Tensor
	Values  map[string]Values // by output tensor; a tensor that nobody looked at has none
}

// Tensor is one tensor of the checkpoint.
type Tensor struct {
	Name  string
	DType checkpoint.DType
	Shape []uint64 // torch order: [out, in]
}

// Values is what a look at the weights of one output tensor found.
type Values struct {
	Ternary     bool    // every value is -Unit, 0 or +Unit; of packed codes always
	Unit        float32 // that magnitude; 1 for packed codes
	Density     float64 // share of values that are not zero, where Ternary
	Mean        float32 // mean |W|, at least 1e-5: the scale of FORMATS.md 3.1. Only of master weights
	Max         float32 // largest magnitude. Only for outtype auto
	Constant    bool    // all values are equal
	Residual    string  // how far from ternary the values are, for messages
	WeightScale float32 // the checkpoint's weight_scale, if it has one
	SameAsEmbed bool    // of an output head: the same bytes as the embedding
}

// takeInventory lists a checkpoint's tensors; it reads no weights.
func takeInventory(c *checkpoint.Checkpoint) *Inventory {
	inv := &Inventory{Tensors: make([]Tensor, len(c.Tensors)), Values: map[string]Values{}}
	for i, t := range c.Tensors {
		inv.Tensors[i] = Tensor{t.Name, t.DType, t.Shape}
	}
	return inv
}
