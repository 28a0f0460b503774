package infer

import (
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/quant"
)

// takesInt8 says which product a projection takes (DESIGN.md, Numbers): int8 activations for the ternary types always, for float types if
// the file says so.
func (w *weights) takesInt8(t gguf.Type) bool {
	return quant.IsTernary(t) || w.int8 && slices.Contains(floats, t)
}

// inPlace reports whether the kernel multiplies with the file's own bytes.
func inPlace(t gguf.Type) bool { return t == gguf.Q8_0 || slices.Contains(floats, t) }

// decodedSize is what readDense allocates.
func decodedSize(t *gguf.TensorInfo) uint64 {
	if inPlace(t.Type) {
		return 0
	}
	return t.Dims[0] * t.Rows() * 4
}

// readVector decodes a vector and checks that every number is finite.
func (w *weights) readVector(t *gguf.TensorInfo) ([]float32, error) {
	data := w.file.Bytes(t)
	if err := w.checkFinite(t, data); err != nil {
		return nil, err
	}
	v := make([]float32, t.Dims[0]*t.Rows())
	quant.Decode(v, t.Type, data)
	return v, nil
}

// readDense makes a matrix of floats or of Q8_0 blocks. Types that the kernel does not multiply with are decoded once, exactly.
func (w *weights) readDense(t *gguf.TensorInfo) (*kernel.Dense, error) {
	data := w.file.Bytes(t)
	if err := w.checkFinite(t, data); err != nil {
		return nil, err
	}
	typ, rows, cols := t.Type, int(t.Rows()), int(t.Dims[0])
	if !inPlace(typ) {
		data, typ = w.decode(t, data), gguf.F32
	}
	m, err := kernel.NewDense(typ, data, rows, cols)
	if err != nil {
		return nil, fmt.Errorf("infer: tensor %q: %w", t.Name, err)
	}
	return m, nil
}

// decode returns a matrix as the bytes of an F32 tensor.
func (w *weights) decode(t *gguf.TensorInfo, data []byte) []byte {
	cols, rows, stride := int(t.Dims[0]), int(t.Rows()), rowBytes(t)
	out := make([]byte, rows*cols*4)
	w.pool.Run(rows, 1, func(lo, hi int) {
		x := make([]float32, cols)
		for r := lo; r < hi; r++ {
			quant.Decode(x, t.Type, data[r*stride:][:stride])
			quant.Encode(out[r*cols*4:][:0], gguf.F32, x)
		}
	})
	return out
}

// rowBytes is the size of one row of a type whose blocks run along rows: of every type but I2_S.
func rowBytes(t *gguf.TensorInfo) int { return int(t.Size / t.Rows()) }

// readLinear makes a projection's matrix ternary if it should be, and dense otherwise.
func (w *weights) readLinear(l *linear, t *gguf.TensorInfo) (err error) {
	data := w.file.Bytes(t)
	if constant(t, data) {
		if err := w.suspicious(t); err != nil {
			return err
		}
	}
	if w.takesInt8(t.Type) {
		if l.ternary, err = w.readTernary(t, data); err != errNotTernary {
			return err
		}
		w.notTernary = append(w.notTernary, t.Name)
	}
	l.dense, err = w.readDense(t)
	return err
}
