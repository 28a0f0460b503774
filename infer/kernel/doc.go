// Package kernel holds the arithmetic of the forward pass: ternary and dense matrix products, attention, norms, activations.
//
// # One order for every sum
//
// The same file gives the same logits on every machine, for any number of threads, because each float32 sum has one order:
//
//   - 16 lanes start at +0. Lane l takes elements l, l+16, l+32, ... upward: acc = fma(x, w, acc), rounded once to float32, for a dot
//     product, acc = acc + e for a plain sum. A last group of fewer than 16 elements leaves the other lanes as they are.
//   - Then the tree: lane l += lane l+8, l+4, l+2, l+1, always over all 16 lanes, and lane 0 is the sum. (So a sum of fewer than 16
//     elements is never -0.)
//   - Of quantised blocks (Q8_0, Q6_K) lane b%16 takes block b: acc = fma(float32(s), dx*dw, acc), s being the block's exact sum.
//   - A weighted sum of rows (attention's p·V) starts at +0 and goes upward over the rows: acc = fma(p[j], v[j][i], acc).
//
// Outside sums nothing is fused: the code says float32(a*b) + c, which the language forbids to fuse, since arm64 and GOAMD64=v3 would
// otherwise round differently. exp, cos and sin are polynomials of our own, because package math has assembly on some platforms only.
//
// Integer sums are exact, so their order is free.
//
// # One contract, one reference, one table
//
// The functions that the hot loops call are fields of [kernel]. generic.go holds the definition of right in plain Go; the assembly beside
// it gives the same bits, and tests hold it to that. The best row that the processor supports is chosen before main;
// GODEBUG=cpu.avx2=off (or avx512vnni, avxvnni, asimddp) reaches the next one, and the build tag purego leaves generic alone.
package kernel
