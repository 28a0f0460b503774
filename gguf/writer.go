package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

// WriterAt is what a Writer needs: sequential writing, and patching of values whose width is fixed. Offset 0 of WriteAt is the first byte
// written.
type WriterAt interface {
	io.Writer
	io.WriterAt
}

// header is an encoded header and what it says.
type header struct {
	bytes     []byte
	metadata  *Metadata
	values    map[string]int // key -> first byte of its value type and value
	infos     []TensorInfo
	alignment uint64
	size      uint64 // of the whole file
}

// Plan computes what NewWriter would write, without writing anything: the infos with Offset and Size, and the size of the file.
func Plan(md *Metadata, infos []TensorInfo) (sized []TensorInfo, size uint64, err error) {
	h, err := newHeader(md, infos)
	return h.infos, h.size, err
}

func newHeader(md *Metadata, infos []TensorInfo) (h header, err error) {
	h.metadata, h.infos = md.Clone(), slices.Clone(infos)
	if h.alignment, err = alignment(md); err != nil {
		return header{}, fmt.Errorf("gguf: %w", err)
	}
	end, bitNet := uint64(0), isBitNet(md)
	for i := range h.infos {
		t := &h.infos[i]
		if err := t.measure(bitNet); err != nil {
			return header{}, fmt.Errorf("gguf: %w", inTensor(t.Name, err))
		}
		t.Offset = end
		var ok bool
		if end, ok = checked.Align(end+t.Size, h.alignment); !ok || end > 1<<62 {
			return header{}, fault.New("GGUF_SIZE_OVERFLOW", "gguf: the data up to tensor %s take more than 2^62 bytes", fault.Quote(t.Name))
		}
	}
	h.encode()
	h.size = uint64(len(h.bytes)) + end
	// The reader is the one judge of what a header may hold: what Read would refuse is refused here, by the same code.
	if _, err := Read(bytes.NewReader(h.bytes), int64(h.size)); err != nil {
		return header{}, fmt.Errorf("this header cannot be written: %w", err)
	}
	return h, nil
}

func (h *header) encode() {
	le := binary.LittleEndian
	h.values = map[string]int{}
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = le.AppendUint64(b, uint64(len(h.infos)))
	b = le.AppendUint64(b, uint64(len(h.metadata.All())))
	for _, kv := range h.metadata.All() {
		b = appendString(b, kv.Key)
		h.values[kv.Key] = len(b)
		b = appendValue(b, kv.Value)
	}
	for _, t := range h.infos {
		b = appendString(b, t.Name)
		b = le.AppendUint32(b, uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint32(b, uint32(t.Type))
		b = le.AppendUint64(b, t.Offset)
	}
	h.bytes = append(b, make([]byte, padding(uint64(len(b)), h.alignment))...)
}

// padding returns how many zeros follow n bytes. n and alignment are far from overflow.
func padding(n, alignment uint64) uint64 { return -n & (alignment - 1) }

// Writer writes header, infos, then tensors in order, padding each. It never buffers a tensor. While data passes through, the xxh64 of each
// tensor (its Size bytes, without padding) is computed.
//
//	w, err := gguf.NewWriter(out, metadata, infos)
//	for range infos {
//		_, err = w.Write(data) // once or more
//		err = w.Next()
//	}
//	err = w.Close()
type Writer struct {
	w      WriterAt
	header header
	hash   *xxhash.Digest // of the current tensor
	got    uint64         // bytes of the current tensor
	hashes []uint64       // of the finished ones
}

// NewWriter writes the header. infos need Name, Type, Dims; Offset and Size are computed (contiguous, in order, aligned to
// general.alignment or 32) and can be read back with Infos. It refuses what Read would refuse (bad names, types that do not fit, limits).
func NewWriter(w WriterAt, md *Metadata, infos []TensorInfo) (*Writer, error) {
	h, err := newHeader(md, infos)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(h.bytes); err != nil {
		return nil, err
	}
	return &Writer{w: w, header: h, hash: xxhash.New()}, nil
}

// Infos returns the infos as written, with Offset and Size.
func (w *Writer) Infos() []TensorInfo { return w.header.infos }

// Size is the total file size, known as soon as the header is written.
func (w *Writer) Size() uint64 { return w.header.size }

// Hashes returns the xxh64 of the tensors finished so far, in info order.
func (w *Writer) Hashes() []uint64 { return w.hashes }

// current returns the tensor being written, or nil when all are complete.
func (w *Writer) current() *TensorInfo {
	if len(w.hashes) == len(w.header.infos) {
		return nil
	}
	return &w.header.infos[len(w.hashes)]
}

// Write appends to the current tensor's data. More than its Size bytes are an error, and nothing of p is written.
func (w *Writer) Write(p []byte) (int, error) {
	t := w.current()
	if t == nil {
		return 0, fmt.Errorf("gguf: %d bytes after the last tensor", len(p))
	}
	if uint64(len(p)) > t.Size-w.got {
		return 0, fmt.Errorf("gguf: tensor %s: %d bytes more than its %d", fault.Quote(t.Name), w.got+uint64(len(p))-t.Size, t.Size)
	}
	n, err := w.w.Write(p)
	w.hash.Write(p[:n])
	w.got += uint64(n)
	return n, err
}

// Next closes the current tensor (an error if it did not get exactly Size bytes), pads, and begins the next one.
func (w *Writer) Next() error {
	t := w.current()
	if t == nil {
		return fmt.Errorf("gguf: all %d tensors are complete", len(w.header.infos))
	}
	if w.got != t.Size {
		return fmt.Errorf("gguf: tensor %s: %d bytes of %d were written", fault.Quote(t.Name), w.got, t.Size)
	}
	if _, err := w.w.Write(make([]byte, padding(t.Size, w.header.alignment))); err != nil {
		return err
	}
	w.hashes = append(w.hashes, w.hash.Sum64())
	w.hash.Reset()
	w.got = 0
	return nil
}

// Patch overwrites the value of a metadata key in place. The new value must be of the same type and encode to the same number of bytes as
// the reserved one.
func (w *Writer) Patch(key string, value any) error {
	old, ok := w.header.metadata.Get(key)
	if !ok {
		return fmt.Errorf("gguf: key %q was not reserved", key)
	}
	if reflect.TypeOf(old) != reflect.TypeOf(value) {
		return fmt.Errorf("gguf: key %q: a %T was reserved, not a %T", key, old, value)
	}
	b := appendValue(nil, value)
	if reserved := len(appendValue(nil, old)); len(b) != reserved {
		return fmt.Errorf("gguf: key %q: the new value takes %d bytes, %d were reserved", key, len(b), reserved)
	}
	_, err := w.w.WriteAt(b, int64(w.header.values[key]))
	return err
}

// Close reports an error unless every tensor is complete. It does not close the destination.
func (w *Writer) Close() error {
	if t := w.current(); t != nil {
		return fmt.Errorf("gguf: %d of %d tensors are complete; %s is not", len(w.hashes), len(w.header.infos), fault.Quote(t.Name))
	}
	return nil
}
