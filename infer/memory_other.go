//go:build !linux

package infer

// availableMemory is a guess where the system has no simple answer: large enough for every model that a desk machine runs, small enough to
// refuse a context of four billion positions.
func availableMemory() uint64 { return 64 << 30 }

func allocate(n int) ([]byte, error) { return make([]byte, n), nil }
func free([]byte) error              { return nil }
