package checkpoint

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// naive reads element by element, as FORMATS.md 4.2 defines it.
func naive(storage []byte, width, offset int64, size, stride []int64) []byte {
	out := []byte{}
	index := make([]int64, len(size))
	for {
		at := offset
		for d, i := range index {
			at += i * stride[d]
		}
		out = append(out, storage[at*width:][:width]...)
		d := len(size) - 1
		for ; d >= 0; d-- {
			if index[d]++; index[d] < size[d] {
				break
			}
			index[d] = 0
		}
		if d < 0 {
			return out
		}
	}
}

func TestStrides(t *testing.T) {
	const numel = 3 * window // elements of 2 bytes, so that a line is longer than a window
	storage := make([]byte, 2*numel)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range storage {
		storage[i] = byte(rng.Uint32())
	}
	for name, view := range map[string]struct {
		offset       int64
		size, stride []int64
		gathers      bool
	}{
		"contiguous":                 {1, []int64{2, 3, 4}, []int64{12, 4, 1}, false},
		"one row, any stride":        {0, []int64{1, 5}, []int64{99, 1}, false},
		"transposed":                 {0, []int64{3, 2}, []int64{1, 3}, true},
		"transposed, large":          {7, []int64{300, 500}, []int64{1, 300}, true},
		"columns of a matrix":        {3, []int64{50, 7}, []int64{100, 1}, true},
		"every third":                {2, []int64{60000}, []int64{3}, true},
		"every third row and column": {2, []int64{30, 40}, []int64{900, 3}, true},
		"far apart":                  {0, []int64{3, 2}, []int64{window / 2, window}, true},
		"rows of a long storage":     {0, []int64{2, window}, []int64{window + 1, 1}, true},
		"permuted":                   {5, []int64{4, 3, 5, 2}, []int64{1, 8, 24, 4}, true},
		"permuted, outer transposed": {5, []int64{4, 3, 5, 6}, []int64{30, 120, 6, 1}, true},
		"repeated row":               {0, []int64{4, 10}, []int64{0, 1}, true},
		"repeated element":           {9, []int64{4, 10}, []int64{1, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := proto + dictOf("w", call(glob("torch._utils", "_rebuild_tensor_v2"), storageOf(glob("torch", "HalfStorage"), "0", numel), num(view.offset),
				nums(view.size...), nums(view.stride...), "\x89", orderedDict)) + stop
			c, data := accepted(t, write(t, "x.pt", pt(p, storage)))
			want := naive(storage, 2, view.offset, view.size, view.stride)
			w := c.Tensors[0]
			if !bytes.Equal(data["w"], want) || (w.strides != nil) != view.gathers {
				t.Fatalf("wrong bytes, or gathers = %v", w.strides != nil)
			}
			var group sync.WaitGroup
			for i := range 200 { // any piece, at any byte, from many goroutines
				off := rng.Int64N(w.Size() + 1)
				p := make([]byte, rng.Int64N(w.Size()-off+1))
				if i%2 == 0 {
					p = p[:min(len(p), 64)]
				}
				group.Go(func() {
					if n, err := w.ReadAt(p, off); n != len(p) || err != nil || !bytes.Equal(p, want[off:off+int64(n)]) {
						t.Errorf("%d bytes at %d: %d, %v", len(p), off, n, err)
					}
				})
			}
			group.Wait()
		})
	}
}

func TestReadAtEnds(t *testing.T) {
	for name, stride := range map[string][]int64{"contiguous": {3, 1}, "transposed": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "x.pt", pt(weight(6, 0, []int64{2, 3}, stride), counting(24)))
			c, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, test := range []struct {
				length int
				off    int64
				n      int
				err    error
			}{{24, 0, 24, nil}, {25, 0, 24, io.EOF}, {4, 22, 2, io.EOF}, {1, 24, 0, io.EOF}, {1, 99, 0, io.EOF}, {0, 0, 0, nil}, {1, -1, 0, io.EOF}} {
				if n, err := c.Tensors[0].ReadAt(make([]byte, test.length), test.off); n != test.n || err != test.err {
					t.Errorf("%d bytes at %d: %d, %v", test.length, test.off, n, err)
				}
			}
			if err := c.Changed(); err != nil {
				t.Error(err)
			}
			if err := os.Truncate(path, 100); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Tensors[0].ReadAt(make([]byte, 24), 0); fault.Code(err) != "FILE_CHANGED" || fault.Code(c.Changed()) != "FILE_CHANGED" {
				t.Errorf("after truncation: %v, %v", err, c.Changed())
			}
		})
	}
}

func TestDTypes(t *testing.T) {
	for d, want := range map[DType]int{F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, Bool: 1} {
		if d.Size() != want {
			t.Errorf("%v has %d bytes, wanted %d", d, d.Size(), want)
		}
	}
	if F32.String() != "F32" || Bool.String() != "BOOL" {
		t.Error(F32, Bool)
	}
	for name, g := range globals {
		if (g.kind == storageClass || g.kind == elementType) && !slices.Contains([]DType{F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool}, g.dtype) {
			t.Errorf("%s has no type", name)
		}
	}
}
