package kernel

var kernels = []kernel{generic}
