// Package tiny is the demonstration model wf-tiny, embedded so that a newcomer sees text without downloading anything.
//
// It is a block-diffusion model (dialect fast-dllm-v2) of 3.4 million parameters with ternary weights, trained for this project on short
// checkable chat. testdata/tinydlm holds its checkpoint, its training code and its golden traces; docs/wf-tiny.md says what it can do.
package tiny

import _ "embed" // for Model

//go:generate sh generate.sh

// Model is wf-tiny.gguf: I2_S ternary layers, BF16 embedding.
//
//go:embed wf-tiny.gguf
var Model []byte

// Name is what reports call the model.
const Name = "wf-tiny"
