package checkpoint

import (
	"fmt"
	"strings"
)

// rename drops what training wraps around the names of a model, and tensors that are not the model's:
//
//	teacher_model.*, objective_manager.*         modules beside it
//	*.rotary_emb.inv_freq, *.attention.bias      buffers that are computed, not learnt
//	module., _orig_mod.                          DistributedDataParallel, torch.compile
//	model. before model.layers                   Lightning
//
// A prefix goes only if every name has it, so that no two names become equal.
func (c *Checkpoint) rename() {
	for {
		c.drop()
		prefix := c.wrapper()
		if prefix == "" {
			return
		}
		for _, t := range c.Tensors {
			t.Name = t.Name[len(prefix):]
		}
		c.Notices = append(c.Notices, fmt.Sprintf("dropped the prefix %q from every tensor name", prefix))
	}
}

// wrapper returns the prefix that every name has and no model needs, or "".
func (c *Checkpoint) wrapper() string {
	for _, prefix := range []string{"module.", "_orig_mod.", "model."} {
		all, inner := len(c.Tensors) > 0, false
		for _, t := range c.Tensors {
			rest, ok := strings.CutPrefix(t.Name, prefix)
			all = all && ok && rest != ""
			inner = inner || strings.HasPrefix(rest, "model.") || strings.HasPrefix(rest, "module.") || strings.HasPrefix(rest, "_orig_mod.")
		}
		if all && (inner || prefix != "model.") { // model.layers.* keeps its model.
			return prefix
		}
	}
	return ""
}

// drop removes the tensors that are not the model's.
func (c *Checkpoint) drop() {
	kept := c.Tensors[:0]
	for _, t := range c.Tensors {
		switch n := t.Name; {
		case strings.HasPrefix(n, "teacher_model."), strings.HasPrefix(n, "objective_manager."), strings.HasSuffix(n, ".rotary_emb.inv_freq"),
			strings.HasSuffix(n, ".attention.masked_bias"), strings.HasSuffix(n, ".attention.bias"):
		default:
			kept = append(kept, t)
		}
	}
	if n := len(c.Tensors) - len(kept); n > 0 {
		c.Notices = append(c.Notices, fmt.Sprintf("left out %d tensors that are computed or belong to training", n))
	}
	c.Tensors = kept
}
