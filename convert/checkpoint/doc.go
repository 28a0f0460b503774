// Package checkpoint gives one lazy view of the tensors in a training checkpoint: safetensors (one file, or shards with an index) and PyTorch
// zip files (pytorch_model.bin, .pt, .pth, .ckpt). Open reads headers only; Tensor.ReadAt reads weights where they lie.
//
// # safetensors
//
//	0..7     u64 N, little endian, at most 100,000,000
//	8..7+N   JSON: optional "__metadata__" {string: string}, else name: {"dtype": "BF16", "shape": [2, 3], "data_offsets": [b, e]}
//	8+N..    data, row-major, little endian; b and e count from here; the tensors tile it: no hole, no overlap, nothing behind
//
// Source: huggingface/safetensors, README.md and src/tensor.rs. A header must be judged before it is believed, because two readers that
// understand it differently see different weights. github.com/nlpodyssey/safetensors gives the element types, their names and sizes and
// the form of an entry (TensorInfo), for reading and writing; the reading itself is done here, because that library
//
//   - needs the whole file in one slice, and about ten times the header in nested maps;
//   - takes the last of two equal keys, at every level, so that a second "dtype" or a second tensor of a name replaces the first unseen;
//   - folds bytes that are not UTF-8 and lone surrogates to U+FFFD, so that different names become one;
//   - accepts the header "null";
//   - bounds neither the number of tensors, metadata keys and dimensions nor the length of names;
//   - does not say which tensor overflows or mismatches, and prints what it found unescaped and whole.
//
// # PyTorch
//
// A zip file (PK\3\4) whose entries are stored, not compressed, below one root folder of any name:
//
//	ROOT/data.pkl     a pickle, protocol 2, of the saved object; each tensor in it names a storage
//	ROOT/data/KEY     the raw bytes of storage KEY, at a multiple of 64 behind a padded local header
//	ROOT/byteorder    "little"; absent in older files
//
// Source: torch/serialization.py, caffe2/serialize/inline_container.cc. A pickle is a program, and Python runs whatever it names. Here it runs on
// a machine that knows 33 instructions and a list of names (opcodes, globals) and can make nothing but maps of tensor descriptions: there is no
// instruction that calls, imports or looks anything up. Storages of the optimizer are never opened.
//
// # Checksums
//
// A zip entry has a CRC-32, meaningless where torch's option to compute it was off. To check it means to read everything, which Open must not do,
// and tensors are read in pieces, in any order and in parallel. But who converts reads every source file once anyway, for its SHA-256:
// Source.Scan feeds that hash and checks the sums of the same bytes.
package checkpoint
