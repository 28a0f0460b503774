//go:build race

package infer

// The race detector makes sync.Pool forget what it is given, so allocations cannot be counted under it.
const raceDetector = true
