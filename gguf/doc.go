// Package gguf reads and writes the GGUF container, versions 2 and 3. It knows bytes, names and sizes, and no model.
//
// All numbers are little endian; nothing before the data section is aligned. A string is a uint64 length and that many bytes.
//
//	magic         "GGUF"
//	version       uint32, 2 or 3 (the layouts are the same)
//	tensor count  uint64
//	entry count   uint64
//	entries       key string, value type uint32, value; an array is element type uint32, count uint64, elements
//	tensor infos  name string, dimension count uint32, dimensions uint64 (fastest first), type uint32, offset uint64
//	zeros         up to a multiple of general.alignment (32 if absent)
//	data          the tensors, each at its offset from here, each followed by zeros up to the alignment
//
// Dimensions are stored in reverse: a PyTorch weight [out, in] is [in, out]. A row is the first dimension.
//
// Read takes nothing on trust: it allocates no more than the bytes that are really there justify, and refuses whatever llama.cpp would
// refuse and what could not be meant (overlapping tensors, keys that a terminal would obey). Writer writes files that ggml's own reader takes:
// tensors contiguous and in the order of their infos.
//
// Layout: ggml/docs/gguf.md and ggml/src/gguf.cpp; the type I2_S (36) is bitnet.cpp's.
package gguf
