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

// Fingerprint is infer.Model.Fingerprint of Model, on every machine. It changes with the model and with the order of float sums, and with nothing
// else.
const Fingerprint = "41625cf29ed78adfdeb2efb42bac17cb426f225391a548763eec3495bb739ed5"
