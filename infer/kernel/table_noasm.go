//go:build purego || !(amd64 || arm64)

package kernel

var features []feature

var kernels = []kernel{generic}
