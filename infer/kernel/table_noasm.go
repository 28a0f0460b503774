//go:build purego || !amd64

package kernel

var features []feature

var kernels = []kernel{generic}
