package gguf

import (
	"fmt"
	"io"
	"reflect"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf/fault"
)

// WriterAt is what a Writer needs: sequential writing, and patching of values whose width is fixed. Offset 0 of WriteAt is the first byte
// written.
type WriterAt interface {
	io.Writer
	io.WriterAt
}

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
