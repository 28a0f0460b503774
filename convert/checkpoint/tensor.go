package checkpoint

import (
	"io"
	"slices"

	"github.com/nlpodyssey/safetensors"
)

// DType is a tensor's element type: those that safetensors files have, under their names there. PyTorch's are a subset.
type DType safetensors.DType

// The element types that can be read. Newer ones (8 bits and less, complex) are refused by name when a file is opened.
const (
	F64  = DType(safetensors.F64)
	F32  = DType(safetensors.F32)
	F16  = DType(safetensors.F16)
	BF16 = DType(safetensors.BF16)
	I64  = DType(safetensors.I64)
	I32  = DType(safetensors.I32)
	I16  = DType(safetensors.I16)
	I8   = DType(safetensors.I8)
	U64  = DType(safetensors.U64)
	U32  = DType(safetensors.U32)
	U16  = DType(safetensors.U16)
	U8   = DType(safetensors.U8)
	Bool = DType(safetensors.BOOL)
)

// Size returns the bytes of one element.
func (d DType) Size() int { return int(safetensors.DType(d).Size()) }

// String returns the name that safetensors gives the type, such as BF16.
func (d DType) String() string { return safetensors.DType(d).String() }

// Tensor is one named tensor: name, type and shape are known, its bytes are read on demand.
type Tensor struct {
	Name  string
	DType DType
	Shape []uint64 // torch order: [out, in]; empty for a scalar

	file     io.ReaderAt
	start    int64   // offset of the first element in file
	size     int64   // bytes in row-major order
	elements uint64  // product of Shape
	strides  []int64 // in bytes, one per dimension; nil: the file holds the tensor in row-major order
}

// Elements returns the product of the shape: 1 for a scalar, 0 if a dimension is 0.
func (t *Tensor) Elements() uint64 { return t.elements }

// Size returns the bytes of all elements.
func (t *Tensor) Size() int64 { return t.size }

// SharesStorage reports whether both tensors are the same view of the same bytes of one file: tied weights in a PyTorch checkpoint.
func (t *Tensor) SharesStorage(o *Tensor) bool {
	return t.file == o.file && t.start == o.start && t.size > 0 && t.DType == o.DType && slices.Equal(t.Shape, o.Shape) && slices.Equal(t.strides, o.strides)
}

// ReadAt reads the tensor's little-endian bytes in row-major order, whatever order the file has: p gets the bytes from off on. As with every
// io.ReaderAt, the error is io.EOF where the tensor ends before p does. It is safe for concurrent use.
func (t *Tensor) ReadAt(p []byte, off int64) (int, error) {
	var end error
	if left := t.size - off; off < 0 || int64(len(p)) > left {
		p, end = p[:min(int64(len(p)), max(left, 0))], io.EOF
	}
	if off < 0 || len(p) == 0 {
		return 0, end
	}
	if t.strides == nil {
		if n, err := t.file.ReadAt(p, t.start+off); n < len(p) {
			return n, unexpected(err)
		}
		return len(p), end
	}
	if err := t.gather(p, off); err != nil {
		return 0, err
	}
	return len(p), end
}

// gather reads whole elements: a request that begins or ends inside one goes through a buffer that does not.
func (t *Tensor) gather(p []byte, off int64) error {
	width := int64(t.DType.Size())
	head := off % width
	if tail := (off + int64(len(p))) % width; head != 0 || tail != 0 {
		whole := make([]byte, head+int64(len(p))+(width-tail)%width)
		if err := t.gather(whole, off-head); err != nil {
			return err
		}
		copy(p, whole[head:])
		return nil
	}
	// The last two dimensions are a matrix [rows, cols]; index counts the elements before p.
	last := len(t.Shape) - 1
	rows, cols, rowStride, colStride := int64(1), int64(t.Shape[last]), int64(0), t.strides[last]
	if last > 0 {
		rows, rowStride = int64(t.Shape[last-1]), t.strides[last-1]
	}
	for index := off / width; len(p) > 0; {
		row, col, left := index/cols, index%cols, int64(len(p))/width
		b := block{rows: 1, cols: min(cols-col, left), rowStride: rowStride, colStride: colStride, width: width}
		if col == 0 && left >= cols {
			b.rows = min(rows-row%rows, left/cols)
		}
		b.start = t.start + row%rows*rowStride + col*colStride
		for d, rest := last-2, row/rows; d >= 0; d-- {
			n := int64(t.Shape[d])
			b.start += rest % n * t.strides[d]
			rest /= n
		}
		n := b.rows * b.cols
		if err := b.read(t.file, p[:n*width]); err != nil {
			return err
		}
		index, p = index+n, p[n*width:]
	}
	return nil
}

// block is a matrix of elements, strided in the file. All but the counts are bytes.
type block struct {
	rows, cols                  int64
	start, rowStride, colStride int64
	width                       int64
}

// window is how much of a file is read at once when only some of its bytes are wanted.
const window = 64 << 10

// read fills p, row-major. It walks along the smaller stride, so that a transposed matrix is read by its columns.
func (b block) read(file io.ReaderAt, p []byte) error {
	lines, length, lineStride, stride := b.rows, b.cols, b.rowStride, b.colStride
	lineStep, step := b.cols*b.width, b.width
	if b.rows > 1 && b.rowStride < b.colStride {
		lines, length, lineStride, stride = length, lines, stride, lineStride
		lineStep, step = step, lineStep
	}
	var buf []byte
	for line := range lines {
		at, to := b.start+line*lineStride, line*lineStep
		if stride == b.width && step == b.width {
			if n, err := file.ReadAt(p[to:to+length*b.width], at); int64(n) < length*b.width {
				return unexpected(err)
			}
			continue
		}
		most := int64(1)
		if stride < window {
			most = window / max(stride, b.width)
		}
		for done := int64(0); done < length; {
			n := min(most, length-done)
			span := (n-1)*stride + b.width
			if int64(len(buf)) < span {
				buf = make([]byte, min(window, (length-1)*stride+b.width))
			}
			if got, err := file.ReadAt(buf[:span], at+done*stride); int64(got) < span {
				return unexpected(err)
			}
			for i := range n {
				copy(p[to+(done+i)*step:][:b.width], buf[i*stride:])
			}
			done += n
		}
	}
	return nil
}

// unexpected is the end of a file where its header says that data are.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
