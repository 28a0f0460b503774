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

// decodedSize is what readDense takes of the arena.
func decodedSize(t *tensor) int {
	if inPlace(t.Type) {
		return 0
	}
	return arenaSize(4 * t.rows * t.cols)
}

// readVector decodes a vector and checks that every number is finite.
func (w *weights) readVector(t *tensor) ([]float32, error) {
	if err := w.checkFinite(t); err != nil {
		return nil, err
	}
	v := gguf.Float32s(w.arena.take(4 * t.rows * t.cols))
	quant.Decode(v, t.Type, t.data)
	return v, nil
}

// readDense makes a matrix of floats or of Q8_0 blocks. Types that the kernel does not multiply with are decoded once, exactly.
func (w *weights) readDense(t *tensor) (*kernel.Dense, error) {
	if err := w.checkFinite(t); err != nil {
		return nil, err
	}
	typ, data := t.Type, t.data
	if !inPlace(typ) {
		typ, data = gguf.F32, w.decode(t)
	}
	m, err := kernel.NewDense(typ, data, t.rows, t.cols)
	if err != nil {
		return nil, fmt.Errorf("infer: tensor %q: %w", t.Name, err)
	}
	return m, nil
}

// decode returns a matrix as the bytes of an F32 tensor.
func (w *weights) decode(t *tensor) []byte {
	out := w.arena.take(4 * t.rows * t.cols)
	w.pool.Run(t.rows, 1, func(lo, hi int) {
		x := make([]float32, t.cols)
		for r := lo; r < hi; r++ {
			quant.Decode(x, t.Type, t.row(r))
			quant.Encode(out[4*r*t.cols:][:0], gguf.F32, x)
		}
	})
	w.file.Release(t.TensorInfo)
	return out
}

// readLinear makes a projection's matrix ternary if it should be, and dense otherwise.
func (w *weights) readLinear(l *linear, t *tensor) (err error) {
	if constant(t) {
		if err := w.suspicious(t); err != nil {
			return err
		}
	}
	if w.takesInt8(t.Type) {
		m, err := w.readTernary(t)
		if err == nil {
			l.ternary = m
			w.file.Release(t.TensorInfo)
		}
		if err != errNotTernary {
			return err
		}
		w.notTernary = append(w.notTernary, t.Name)
	}
	l.dense, err = w.readDense(t)
	return err
}
