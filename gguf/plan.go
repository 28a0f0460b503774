package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

// header is an encoded header and what it says.
type header struct {
	bytes     []byte
	metadata  *Metadata
	values    map[string]int // key -> first byte of its value type and value
	infos     []TensorInfo
	alignment uint64
	size      uint64 // of the whole file
	file      *File  // as read back; its data is not there
}

// Plan computes what NewWriter would write, without writing anything: the infos with Offset and Size, and the size of the file.
func Plan(md *Metadata, infos []TensorInfo) (sized []TensorInfo, size uint64, err error) {
	h, err := newHeader(md, infos)
	return h.infos, h.size, err
}

// Planned returns what Read would return for the file that NewWriter would begin, but without data: to ask about a file that is not written yet.
func Planned(md *Metadata, infos []TensorInfo) (*File, error) {
	h, err := newHeader(md, infos)
	return h.file, err
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
	if h.file, err = parse(bytes.NewReader(h.bytes), int64(h.size)); err != nil {
		return header{}, fmt.Errorf("gguf: this header cannot be written: %w", err)
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
