//go:build unix

package kernel

import (
	"os"
	"testing"
	"unsafe"

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
