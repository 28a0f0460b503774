// Package sglkernel writes and reads the .bin files of WrinkleFree's engine for SGLang kernels.
//
// All numbers are little endian; nothing is aligned.
//
//	magic         "SGLBITNT"
//	version       uint32, 1
//	config        uint32 length, JSON
//	tensor count  uint32
//	tensors       name length uint32, name, dtype uint32, dimension count uint32, dimensions uint32 (slowest first, as PyTorch prints them),
//	              has_scale uint32 (0 or 1), scale float32 only if it is 1, data length uint64, data
//
// Dtypes are 0 uint8, 1 float32, 2 float16, 3 bfloat16. A projection [out, in] is uint8 [out, in/4] with a scale: each row in the blocks of 128
// weights of I2_S (package quant), and value = scale*(code-1). Names are Hugging Face's.
//
// Source: WrinkleFree's inference engine; FORMATS.md 9.
package sglkernel

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

const (
	magic   = "SGLBITNT"
	version = 1

	maxName    = 1024
	maxDims    = 4
	maxConfig  = 4 << 20
	maxTensors = 65536
)

// DType is how numbers are stored.
type DType uint32

// The dtypes.
const (
	U8 DType = iota
	F32
	F16
	BF16
)

var dtypes = [...]struct {
	name string
	size uint64
}{{"U8", 1}, {"F32", 4}, {"F16", 2}, {"BF16", 2}}

func (t DType) String() string { return dtypes[t].name }

// Tensor is one tensor. Offset is set by Read.
type Tensor struct {
	Name     string
	DType    DType
	Dims     []uint32 // slowest first
	HasScale bool
	Scale    float32
	Offset   int64 // of the data in the file
}

// Size returns the bytes of the data; ok is false if they do not fit 63 bits.
func (t *Tensor) Size() (n uint64, ok bool) {
	n = dtypes[t.DType].size
	for _, d := range t.Dims {
		if n, ok = checked.Product(n, uint64(d)); !ok {
			return 0, false
		}
	}
	return n, n <= math.MaxInt64
}

// header is what stands before a tensor's data.
func (t *Tensor) header(size uint64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(t.Name)))
	b = append(b, t.Name...)
	b = le.AppendUint32(b, uint32(t.DType))
	b = le.AppendUint32(b, uint32(len(t.Dims)))
	for _, d := range t.Dims {
		b = le.AppendUint32(b, d)
	}
	if t.HasScale {
		b = le.AppendUint32(b, 1)
		b = le.AppendUint32(b, math.Float32bits(t.Scale))
	} else {
		b = le.AppendUint32(b, 0)
	}
	return le.AppendUint64(b, size)
}

// Size returns the bytes of a file.
func Size(config []byte, tensors []Tensor) uint64 {
	n := uint64(len(magic) + 12 + len(config))
	for i := range tensors {
		size, _ := tensors[i].Size()
		n += uint64(len(tensors[i].header(size))) + size
	}
	return n
}

// Write writes a file; fill writes the data of tensor i.
func Write(w io.Writer, config []byte, tensors []Tensor, fill func(i int, w io.Writer) error) error {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte(magic), version)
	b = le.AppendUint32(b, uint32(len(config)))
	b = append(b, config...)
	if _, err := w.Write(le.AppendUint32(b, uint32(len(tensors)))); err != nil {
		return err
	}
	for i := range tensors {
		t := &tensors[i]
		size, _ := t.Size()
		if _, err := w.Write(t.header(size)); err != nil {
			return err
		}
		counted := counter{w: w}
		if err := fill(i, &counted); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(t.Name), err)
		}
		if counted.n != size {
			return fmt.Errorf("tensor %s: %d bytes of %d were written", fault.Quote(t.Name), counted.n, size)
		}
	}
	return nil
}

type counter struct {
	w io.Writer
	n uint64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n)
	return n, err
}

// File is a checked file; its data have not been read.
type File struct {
	Config  []byte
	Tensors []Tensor
}

// Recognise reports whether a file begins like one of this format.
func Recognise(head []byte) bool {
	return len(head) >= len(magic) && string(head[:len(magic)]) == magic
}

// Read reads and checks everything but the data, of a file of size bytes. Codes: SGL_BAD_HEADER, SGL_TRUNCATED, SGL_BAD_TENSOR.
func Read(r io.ReaderAt, size int64) (*File, error) {
	p := &parser{r: r, size: size}
	f := &File{}
	head := p.bytes(uint64(len(magic)))
	if p.err == nil && !Recognise(head) {
		p.fail("SGL_BAD_HEADER", "it begins with %s, not with %s", fault.Quote(string(head)), magic)
	}
	if v := p.uint32(); p.err == nil && v != version {
		p.fail("SGL_BAD_HEADER", "version %d; wf reads version %d", v, version)
	}
	n := p.uint32()
	if n > maxConfig {
		p.fail("SGL_BAD_HEADER", "a config of %d bytes; at most %d are read", n, maxConfig)
	}
	f.Config = p.bytes(uint64(n))
	if p.err == nil && !json.Valid(f.Config) {
		p.fail("SGL_BAD_HEADER", "the config is not JSON")
	}
	count := p.uint32()
	if count > maxTensors {
		p.fail("SGL_BAD_HEADER", "%d tensors; at most %d are read", count, maxTensors)
	}
	names := map[string]bool{}
	for i := uint32(0); i < count && p.err == nil; i++ {
		f.Tensors = append(f.Tensors, p.tensor(names))
	}
	if p.err == nil && p.pos != size {
		p.fail("SGL_BAD_HEADER", "%d bytes follow the last tensor", size-p.pos)
	}
	if p.err != nil {
		return nil, fmt.Errorf("sglkernel: %w", p.err)
	}
	return f, nil
}

// parser reads front to back; the first problem sticks.
type parser struct {
	r         io.ReaderAt
	pos, size int64
	err       error
}

func (p *parser) fail(code, format string, args ...any) {
	if p.err == nil {
		p.err = fault.New(code, format, args...)
	}
}

func (p *parser) bytes(n uint64) []byte {
	if p.err != nil {
		return nil
	}
	if n > uint64(p.size-p.pos) {
		p.fail("SGL_TRUNCATED", "%d bytes are wanted at byte %d of %d; fetch the file again", n, p.pos, p.size)
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(bufio.NewReader(io.NewSectionReader(p.r, p.pos, int64(n))), b); err != nil {
		p.err = err
	}
	p.pos += int64(n)
	return b
}

func (p *parser) uint32() uint32 {
	if b := p.bytes(4); p.err == nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (p *parser) tensor(seen map[string]bool) (t Tensor) {
	at := p.pos
	n := p.uint32()
	if n < 1 || n > maxName {
		p.fail("SGL_BAD_TENSOR", "the tensor at byte %d has a name of %d bytes; want 1 to %d", at, n, maxName)
	}
	t.Name = string(p.bytes(uint64(n)))
	if !fault.Printable(t.Name) {
		p.fail("SGL_BAD_TENSOR", "name %s is not printable UTF-8", fault.Quote(t.Name))
	}
	if seen[t.Name] && p.err == nil {
		p.fail("SGL_BAD_TENSOR", "tensor %s stands twice", fault.Quote(t.Name))
	}
	seen[t.Name] = true
	dtype, dims := p.uint32(), p.uint32()
	if dtype >= uint32(len(dtypes)) {
		p.fail("SGL_BAD_TENSOR", "tensor %s: dtype %d is unknown; wf reads 0 to %d", fault.Quote(t.Name), dtype, len(dtypes)-1)
	}
	if dims < 1 || dims > maxDims {
		p.fail("SGL_BAD_TENSOR", "tensor %s: %d dimensions; want 1 to %d", fault.Quote(t.Name), dims, maxDims)
	}
	for i := uint32(0); i < dims && p.err == nil; i++ {
		d := p.uint32()
		if t.Dims = append(t.Dims, d); d == 0 {
			p.fail("SGL_BAD_TENSOR", "tensor %s: dimension %d is 0", fault.Quote(t.Name), i)
		}
	}
	switch scaled := p.uint32(); {
	case scaled > 1:
		p.fail("SGL_BAD_TENSOR", "tensor %s: has_scale is %d; want 0 or 1", fault.Quote(t.Name), scaled)
	case scaled == 1:
		t.HasScale, t.Scale = true, math.Float32frombits(p.uint32())
		if !(t.Scale > 0 && t.Scale <= math.MaxFloat32) {
			p.fail("SGL_BAD_TENSOR", "tensor %s: the scale is %g; want a positive number", fault.Quote(t.Name), t.Scale)
		}
	}
	length := p.bytes(8)
	if p.err != nil {
		return t
	}
	t.DType, t.Offset = DType(dtype), p.pos
	want, ok := t.Size()
	switch has := binary.LittleEndian.Uint64(length); {
	case !ok || has != want:
		p.fail("SGL_BAD_TENSOR", "tensor %s: %v of %v has %d bytes, not %d", fault.Quote(t.Name), t.Dims, t.DType, want, has)
	case want > uint64(p.size-p.pos):
		p.fail("SGL_TRUNCATED", "tensor %s: %d bytes of data at byte %d of %d; fetch the file again", fault.Quote(t.Name), want, p.pos, p.size)
	default:
		p.pos += int64(want)
	}
	return t
}
