//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// The AVX-512 flags are set only if the system saves ZMM registers.
var features = []feature{
	{"avx2", cpu.X86.HasAVX2}, {"fma", cpu.X86.HasFMA}, {"f16c", cpu.X86.HasF16C}, {"avxvnni", cpu.X86.HasAVXVNNI},
	{"avx512f", cpu.X86.HasAVX512F}, {"avx512bw", cpu.X86.HasAVX512BW}, {"avx512vnni", cpu.X86.HasAVX512VNNI},
}

var kernels = []kernel{ // best first
	withTernary(avx2, "avx512vnni", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VNNI, ternaryAVX512VNNI,
		peakLoop{"VPDPBUSD, 512 bits", true, 1024, peakVNNI}),
	withTernary(avx2, "avxvnni", cpu.X86.HasAVXVNNI, ternaryAVXVNNI, peakLoop{"VPDPBUSD, 256 bits", true, 384, peakAVXVNNI}),
	avx2,
	generic,
}

var avx2 = kernel{
	name: "avx2", supported: cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C,
	ternary: ternaryAVX2, finish: finishAVX2, magnitude: magnitudeAVX2, round: roundAVX2,
	dotF32: dotF32AVX2, dotF16: dotF16AVX2, dotBF16: dotBF16AVX2, squares: squaresAVX2,
	dotQ8: dotQ8AVX2, dotsQ8: dotsQ8AVX2, unpackQ8: unpackQ8AVX2, dotQ6: dotQ6AVX2, dotsQ6: dotsQ6AVX2, unpackQ6: unpackQ6AVX2,
	decodeF16: decodeF16AVX2, decodeBF16: decodeBF16AVX2,
	dots: dotsAVX2, mixF32: mixF32AVX2, mixF16: mixF16AVX2, mixes: mixesAVX2,
	top: topAVX2, divide: divideAVX2, scale: scaleAVX2, add: addAVX2, gate: gateAVX2, relu: reluAVX2, exp: expAVX2,
	peaks: []peakLoop{{"VPMADDUBSW+VPADDW", true, 256, peakMaddubs}, {"VFMADD231PS", false, 96, peakFMA}},
}
