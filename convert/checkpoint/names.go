package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// wrappers are the keys under which training checkpoints keep the state dict, and siblings what stands beside it and is no weight.
var (
	wrappers = []string{"model_state_dict", "state_dict", "model"}
	siblings = []string{"optimizer_states", "optimizer_state_dict", "optimizer", "lr_schedulers", "scheduler", "loops", "callbacks", "curriculum_state",
		"early_stopper", "loss_ema", "rng_state", "rng_states", "cuda_rng_state"}
)

// stateDict descends at most twice to the map that holds the tensors. It says which other tensors it left aside.
func (f *file) stateDict(d *dict) (*dict, []string) {
	var left []string
	for range 2 {
		i := slices.IndexFunc(wrappers, func(key string) bool { return holdsTensors(d.items[key], 1) })
		if i < 0 {
			break
		}
		for key, v := range d.items {
			if _, ok := v.(*pickled); (ok || holdsTensors(v, 1)) && key != wrappers[i] && !slices.Contains(siblings, key) {
				left = append(left, key)
			}
		}
		d = d.items[wrappers[i]].(*dict)
	}
	for key, v := range d.items {
		if holdsTensors(v, 1) {
			left = append(left, key)
		}
	}
	if len(left) == 0 {
		return d, nil
	}
	return d, []string{fmt.Sprintf("%s: left out %d values that hold tensors and are not in the state dict, such as %s", f.label, len(left), fault.Quote(slices.Min(left)))}
}

// holdsTensors reports whether v is a map with a tensor in it, or with such a map at most depth levels down.
func holdsTensors(v any, depth int) bool {
	d, ok := v.(*dict)
	if !ok {
		return false
	}
	for _, item := range d.items {
		if _, ok := item.(*pickled); ok || depth > 0 && holdsTensors(item, depth-1) {
			return true
		}
	}
	return false
}

// rename drops what training wraps around the names of a model, and tensors that are not the model's:
//
//	teacher_model.*, objective_manager.*         modules beside it
//	*.rotary_emb.inv_freq, *.attention.bias      buffers that are computed, not learnt
//	module., _orig_mod.                          DistributedDataParallel, torch.compile
//	model. before model.layers                   Lightning
//
// A prefix goes only if every name has it, so that no two names become equal.
func (c *Checkpoint) rename() {
	all, dropped := len(c.Tensors), ""
	for {
		c.Tensors = slices.DeleteFunc(c.Tensors, func(t *Tensor) bool { return notModel(t.Name) })
		prefix := c.prefix()
		if prefix == "" {
			break
		}
		for _, t := range c.Tensors {
			t.Name = t.Name[len(prefix):]
		}
		dropped += prefix
	}
	if dropped != "" {
		c.Notices = append(c.Notices, fmt.Sprintf("dropped the prefix %s from every tensor name", fault.Quote(dropped)))
	}
	if n := all - len(c.Tensors); n > 0 {
		c.Notices = append(c.Notices, fmt.Sprintf("left out %d tensors that belong to training or are computed", n))
	}
}

// prefix returns the prefix that every name has and no model needs, or "".
func (c *Checkpoint) prefix() string {
	for _, prefix := range []string{"module.", "_orig_mod.", "model."} {
		every, inner := len(c.Tensors) > 0, false
		for _, t := range c.Tensors {
			rest, ok := strings.CutPrefix(t.Name, prefix)
			every = every && ok && rest != ""
			rest = strings.TrimPrefix(strings.TrimPrefix(rest, "module."), "_orig_mod.")
			inner = inner || strings.HasPrefix(rest, "model.")
		}
		if every && (inner || prefix != "model.") { // model.layers.* keeps its model.
			return prefix
		}
	}
	return ""
}

// notModel reports whether a tensor is not the model's.
func notModel(name string) bool {
	return strings.HasPrefix(name, "teacher_model.") || strings.HasPrefix(name, "objective_manager.") || strings.HasSuffix(name, ".rotary_emb.inv_freq") ||
		strings.HasSuffix(name, ".attention.masked_bias") || strings.HasSuffix(name, ".attention.bias")
}
