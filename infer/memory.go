package infer

import (
	"math"

	"github.com/wrinklefree/wf/gguf/fault"
)

// arena is the memory of weights that are laid out anew: one allocation, outside of Go's heap where the system allows it, since it neither
// moves nor ends before the model.
type arena struct{ whole, free []byte }

// arenaUnit is where pieces begin: with a cache line.
const arenaUnit = 64

func newArena(size uint64) (*arena, error) {
	if err := fitsMemory("the weights", size, min(availableMemory(), math.MaxInt)); err != nil {
		return nil, err
	}
	whole, err := allocate(int(size))
	if err != nil {
		return nil, fault.New("MEMORY_ESTIMATE", "infer: the system does not grant %d MiB for the weights: %w", size>>20, err)
	}
	return &arena{whole, whole}, nil
}

// take returns n zero bytes. What load could not foresee, a TQ matrix that turns out not to be ternary, comes from the heap.
func (a *arena) take(n int) []byte {
	if arenaSize(n) > len(a.free) {
		return make([]byte, n)
	}
	piece := a.free[:n:n]
	a.free = a.free[arenaSize(n):]
	return piece
}

// arenaSize is what a piece of n bytes takes of an arena.
func arenaSize(n int) int { return (n + arenaUnit - 1) / arenaUnit * arenaUnit }

func (a *arena) close() error {
	whole := a.whole
	a.whole, a.free = nil, nil
	return free(whole)
}

// fitsMemory refuses an allocation that the machine cannot hold, before it is made: the kernel would otherwise kill the process in the middle.
func fitsMemory(what string, need, available uint64) error {
	if need <= available {
		return nil
	}
	const mib = 1 << 20
	return fault.New("MEMORY_ESTIMATE", "infer: %s need %d MiB and %d MiB are available", what, need/mib+1, available/mib)
}
