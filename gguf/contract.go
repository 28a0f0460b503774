package gguf

import (
	"io"
)

// ValueType is the type of a metadata value, as stored.
type ValueType uint32

const (
	Uint8   ValueType = 0
	Int8    ValueType = 1
	Uint16  ValueType = 2
	Int16   ValueType = 3
	Uint32  ValueType = 4
	Int32   ValueType = 5
	Float32 ValueType = 6
	Bool    ValueType = 7
	String  ValueType = 8
	Array   ValueType = 9
	Uint64  ValueType = 10
	Int64   ValueType = 11
	Float64 ValueType = 12
)

// KV is one metadata entry. Value holds the Go type of the stored type: uint8 ... float64, bool, string, or a slice of one of those
// ([]string, []uint32, []bool ...) for an array.
type KV struct {
	Key   string
	Value any
}

// Metadata is an ordered set of entries with unique keys. The zero value is empty and ready.
type Metadata struct{}

func (m *Metadata) Set(key string, value any)  { panic("contract") } // replaces in place or appends; panics on a Go type GGUF has not
func (m *Metadata) Delete(key string)          { panic("contract") }
func (m *Metadata) All() []KV                  { panic("contract") } // in file order; do not modify
func (m *Metadata) Has(key string) bool        { panic("contract") }
func (m *Metadata) Get(key string) (any, bool) { panic("contract") }
func (m *Metadata) Clone() *Metadata           { panic("contract") }

// Value reads one entry as exactly type T (strict, as llama.cpp is): ok is false and err nil when the key is absent; a key of another type
// is an error with code MODEL_BAD_PARAM_TYPE that names key, type found and type wanted.
func Value[T any](m *Metadata, key string) (v T, ok bool, err error) { panic("contract") }

// TensorInfo is one tensor as the header describes it.
type TensorInfo struct {
	Name   string
	Type   Type
	Dims   []uint64 // ne order: fastest first, so torch [out, in] is [in, out]
	Offset uint64   // from the start of the data section
	Size   uint64   // bytes
}

// Rows returns the product of all dims but the first.
func (t *TensorInfo) Rows() uint64 { panic("contract") }

// File is a parsed and checked container. Every rule of the header has been checked; tensor data has not been read.
type File struct {
	Path       string // "" unless from Open or Map
	Version    uint32
	Alignment  uint64
	Metadata   *Metadata
	Tensors    []TensorInfo
	DataOffset uint64 // of the data section in the file
	Size       uint64 // of the file
	Trailing   uint64 // bytes after the last tensor's padding (R32: a warning for runners, an error for verify)
}

// Read parses a container of size bytes.
func Read(r io.ReaderAt, size int64) (*File, error) { panic("contract") }

// Open opens a regular file for reading with ReadAt; Map maps it as well, so that Bytes works. Close releases either.
func Open(path string) (*File, error) { panic("contract") }
func Map(path string) (*File, error)  { panic("contract") }
func (f *File) Close() error          { panic("contract") }

// Parse reads a container that is already in memory (the embedded model); Bytes works, data is not copied.
func Parse(data []byte) (*File, error) { panic("contract") }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (*TensorInfo, bool) { panic("contract") }

// TensorReader reads a tensor's raw bytes; offset 0 is its first byte.
func (f *File) TensorReader(t *TensorInfo) *io.SectionReader { panic("contract") }

// Bytes returns a tensor's raw bytes inside the map (capacity clipped). Only for Map; a fault while the file is being truncated is turned into
// an error by disk.Guard.
func (f *File) Bytes(t *TensorInfo) []byte { panic("contract") }

// Changed returns a FILE_CHANGED error when the file on disk is no longer the one that was opened (size or modification time).
func (f *File) Changed() error { panic("contract") }

// Views of mapped or read bytes as numbers (unsafe lives in view.go alone). They panic if the length does not divide or the address is not
// aligned; tensor data in a file with alignment >= 8 is.
func Float32s(b []byte) []float32 { panic("contract") }
func Uint16s(b []byte) []uint16   { panic("contract") }

// WriterAt is what a Writer needs: sequential writing, and patching of values whose width is fixed.
type WriterAt interface {
	io.Writer
	io.WriterAt
}

// Writer writes header, infos, then tensors in order, padding each. It never buffers a tensor. While data passes through, the xxh64 of each
// tensor (its Size bytes, without padding) is computed.
type Writer struct{}

// NewWriter writes the header. infos need Name, Type, Dims; Offset and Size are computed (contiguous, in order, aligned to
// general.alignment or 32) and can be read back with Infos. It refuses what Read would refuse (bad names, types that do not fit, limits).
func NewWriter(w WriterAt, md *Metadata, infos []TensorInfo) (*Writer, error) { panic("contract") }

func (w *Writer) Infos() []TensorInfo { panic("contract") }

// Size is the total file size, known as soon as the header is written. Plan computes the same without writing anything.
func (w *Writer) Size() uint64 { panic("contract") }
func Plan(md *Metadata, infos []TensorInfo) (sized []TensorInfo, size uint64, err error) {
	panic("contract")
}

// Write appends to the current tensor's data; Next closes it (an error if it did not get exactly Size bytes), pads, and begins the next one.
func (w *Writer) Write(p []byte) (int, error) { panic("contract") }
func (w *Writer) Next() error                 { panic("contract") }

// Hashes returns the xxh64 of the tensors finished so far, in info order.
func (w *Writer) Hashes() []uint64 { panic("contract") }

// Patch overwrites the value of a metadata key in place. The new value must encode to the same number of bytes as the reserved one.
func (w *Writer) Patch(key string, value any) error { panic("contract") }

// Close reports an error unless every tensor is complete. It does not close the destination.
func (w *Writer) Close() error { panic("contract") }
