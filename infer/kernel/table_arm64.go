//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

var features = []feature{{"asimd", cpu.ARM64.HasASIMD}, {"asimddp", cpu.ARM64.HasASIMDDP}}

var kernels = []kernel{ // best first
	withTernary(neon, "neondot", cpu.ARM64.HasASIMDDP, ternarySDOT, peakLoop{"SDOT", true, 256, peakSDOT}),
	neon,
	generic,
}

var neon = kernel{
	name: "neon", supported: cpu.ARM64.HasASIMD,
	ternary: ternaryNEON, finish: finishNEON, magnitude: magnitudeNEON, round: roundNEON,
	dotF32: dotF32NEON, dotF16: dotF16NEON, dotBF16: dotBF16NEON, squares: squaresNEON,
	dotQ8: dotQ8NEON, dotsQ8: dotsQ8NEON, unpackQ8: unpackQ8Generic, dotQ6: dotQ6NEON, dotsQ6: dotsQ6NEON, unpackQ6: unpackQ6NEON,
	decodeF16: decodeF16NEON, decodeBF16: decodeBF16NEON,
	dots: dotsNEON, mixF32: mixF32NEON, mixF16: mixF16NEON, mixes: mixesNEON,
	top: topNEON, divide: divideNEON, scale: scaleNEON, add: addNEON, gate: gateNEON, relu: reluNEON, exp: expNEON,
	peaks: []peakLoop{{"SMLAL", true, 128, peakSMLAL}, {"FMLA", false, 64, peakFMLA}},
}
