//go:build !(amd64 || arm64 || loong64 || mips64le || ppc64le || riscv64 || wasm)

package gguf

// Numbers of a GGUF file are read where they lie, and a file may be larger than a 32-bit address space. So a build for any other processor ends
// here, before it could run and be wrong.
const _ = wf_needs_a_64_bit_little_endian_processor_such_as_amd64_or_arm64
