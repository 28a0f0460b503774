package infer

import "github.com/wrinklefree/wf/gguf/fault"

// fitsMemory refuses an allocation that the machine cannot hold, before it is made: the kernel would otherwise kill the process in the middle.
func fitsMemory(what string, need, available uint64) error {
	if need <= available {
		return nil
	}
	const mib = 1 << 20
	return fault.New("MEMORY_ESTIMATE", "infer: %s need %d MiB and %d MiB are available", what, need/mib+1, available/mib)
}
