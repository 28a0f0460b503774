//go:build purego || !amd64

package kernel

var kernels = []kernel{generic}
