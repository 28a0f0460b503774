package gguf

import (
	"fmt"
	"unsafe"
)

// Float32s views little-endian bytes as numbers without copying. It panics if the length does not divide or the address is not aligned;
// tensor data from Map and Parse is.
func Float32s(b []byte) []float32 { return view[float32](b) }

// Uint16s is Float32s for 16-bit codes (F16 and BF16 weights).
func Uint16s(b []byte) []uint16 { return view[uint16](b) }

func view[T float32 | uint16](b []byte) []T {
	size := int(unsafe.Sizeof(*new(T)))
	if len(b)%size != 0 || misaligned(b, size) {
		panic(fmt.Sprintf("gguf: %d bytes at %p are not aligned numbers of %d bytes", len(b), unsafe.SliceData(b), size))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/size)
}

// misaligned reports whether the first byte's address is not a multiple of size.
func misaligned(b []byte, size int) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%uintptr(size) != 0
}
