//go:build unix

package kernel

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"unsafe"

	"github.com/wrinklefree/wf/gguf"
	"golang.org/x/sys/unix"
)

// guarded returns a copy of s that ends where an unreadable page begins: reading one byte past it crashes the test.
func guarded[T any](t testing.TB, s []T) []T {
	if len(s) == 0 {
		return s
	}
	page, size := os.Getpagesize(), len(s)*int(unsafe.Sizeof(s[0]))
	room := roundUp(size, page)
	mem, err := unix.Mmap(-1, 0, room+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	if err := unix.Mprotect(mem[room:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	g := unsafe.Slice((*T)(unsafe.Pointer(&mem[room-size])), len(s))
	copy(g, s)
	return g
}

// TestPoolFault: weights that vanish from under a mapping are a panic on the caller's goroutine, from every worker and from assembly.
func TestPoolFault(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	const rows, cols = 64, 64
	mem, err := unix.Mmap(-1, 0, rows*cols*4, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mem) }()
	d, err := NewDense(gguf.F32, mem, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool(3)
	defer p.Close()
	for range 20 {
		func() {
			defer func() {
				if _, ok := recover().(runtime.Error); !ok {
					t.Error("no fault is reported")
				}
			}()
			d.MatMul(make([]float32, rows), make([]float32, cols), 1, nil, p)
		}()
	}
}
