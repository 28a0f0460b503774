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

// dense is the type in which the kernel multiplies with a matrix that does not take int8 activations: the file's own, or else one that holds
// the same values.
func (t *tensor) dense() gguf.Type {
	switch t.Type {
	case gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q6_K:
		if !t.scaled {
			return t.Type
		}
	case gguf.Q4_0:
		if !t.scaled {
			return gguf.Q8_0
		}
	}
	return gguf.F32
}

// decodedSize is what readDense takes of the arena.
func (t *tensor) decodedSize() int {
	if t.dense() == t.Type {
		return 0
	}
	size, _ := t.dense().ByteSize(t.Dims) // fits: claim has compared the shape with the model's
	return int(size)
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

// readDense makes a matrix of floats or of blocks. A type that the kernel does not multiply with is decoded once, exactly.
func (w *weights) readDense(t *tensor) (*kernel.Dense, error) {
	if err := w.checkFinite(t); err != nil {
		return nil, err
	}
	data := t.data
	if t.dense() != t.Type {
		data = w.arena.take(t.decodedSize())
		w.decode(data, t)
		w.file.Release(t.TensorInfo)
	}
	m, err := kernel.NewDense(t.dense(), data, t.rows, t.cols)
	if err != nil {
		return nil, fmt.Errorf("infer: tensor %q: %w", t.Name, err)
	}
	return m, nil
}

// decode writes a matrix to out as t.dense() has it.
func (w *weights) decode(out []byte, t *tensor) {
	stride := len(out) / t.rows
	w.pool.Run(t.rows, 1, func(lo, hi int) {
		x := make([]float32, t.cols)
		for r := lo; r < hi; r++ {
			row := out[r*stride:][:stride]
			if t.dense() == gguf.Q8_0 {
				quant.WidenQ4(row, t.row(r))
				continue
			}
			quant.Decode(x, t.Type, t.row(r))
			for i := range x {
				x[i] *= t.factor
			}
			quant.Encode(row[:0], gguf.F32, x)
		}
	})
}

// readLinear makes a projection's matrix ternary if it should be, and dense otherwise.
func (w *weights) readLinear(l *linear, t *tensor) (err error) {
	if l.scale != nil {
		t.factor = l.scale[0]
		if err := checkScale(t, t.factor); err != nil {
			return err
		}
	}
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
