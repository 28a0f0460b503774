//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

var features = []feature{
	{"avx2", cpu.X86.HasAVX2}, {"fma", cpu.X86.HasFMA}, {"f16c", cpu.X86.HasF16C},
}

var kernels = []kernel{ // best first
	{
		name: "avx2", supported: cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C,
		ternary: ternaryAVX2, finish: finishAVX2, quantize: quantizeAVX2,
		dotF32: dotF32AVX2, dotF16: dotF16AVX2, dotBF16: dotBF16AVX2, squares: squaresAVX2, dotQ8: dotQ8AVX2,
		decodeF16: decodeF16AVX2, decodeBF16: decodeBF16AVX2,
		mixF32: mixF32AVX2, mixF16: mixF16AVX2,
		exp:   expAVX2,
		peaks: []peakLoop{{"VPMADDUBSW+VPADDW", true, 256, peakMaddubs}, {"VFMADD231PS", false, 96, peakFMA}},
	},
	generic,
}
