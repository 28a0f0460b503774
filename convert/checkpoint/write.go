package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/nlpodyssey/safetensors"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

// Output is one tensor to be written: Fill writes its row-major little-endian bytes.
type Output struct {
	Name  string
	DType DType
	Shape []uint64
	Fill  func(w io.Writer) error
}

// WriteSafetensors writes a safetensors file of these tensors, in this order, without holding their data.
func WriteSafetensors(w io.Writer, tensors []Output) error {
	header, end := map[string]safetensors.TensorInfo{}, uint64(0)
	for _, t := range tensors {
		size, ok := checked.Product(append([]uint64{uint64(t.DType.Size())}, t.Shape...)...)
		next, fits := checked.Add(end, size)
		if !ok || !fits {
			return fault.New("ST_SIZE_OVERFLOW", "tensor %s: shape %s of %v is more than a file can hold", fault.Quote(t.Name), brief(t.Shape), t.DType)
		}
		header[t.Name] = safetensors.TensorInfo{DType: safetensors.DType(t.DType), Shape: append([]uint64{}, t.Shape...), DataOffsets: [2]uint64{end, next}} // a scalar is [], not null
		end = next
	}
	text, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("safetensors header: %w", err)
	}
	for len(text)%8 != 0 { // data begins at a multiple of 8
		text = append(text, ' ')
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(len(text))); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	for _, t := range tensors {
		counted := &countingWriter{w: w}
		if err := t.Fill(counted); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(t.Name), err)
		}
		if e := header[t.Name]; counted.n != e.DataOffsets[1]-e.DataOffsets[0] {
			return fmt.Errorf("tensor %s: %d bytes written, its shape needs %d", fault.Quote(t.Name), counted.n, e.DataOffsets[1]-e.DataOffsets[0])
		}
	}
	return nil
}

type countingWriter struct {
	w io.Writer
	n uint64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n)
	return n, err
}
