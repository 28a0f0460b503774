package sglkernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// example has a projection with a scale and a vector without.
func example(t testing.TB) []byte {
	t.Helper()
	tensors := []Tensor{
		{Name: "a.weight", DType: U8, Dims: []uint32{2, 32}, HasScale: true, Scale: 0.5},
		{Name: "b", DType: F16, Dims: []uint32{3}},
	}
	config := []byte(`{"hidden_size":128}`)
	var file bytes.Buffer
	if err := Write(&file, config, tensors, func(i int, w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte{byte(i + 1)}, []int{64, 6}[i]))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if uint64(file.Len()) != Size(config, tensors) {
		t.Fatalf("%d bytes; Size is %d", file.Len(), Size(config, tensors))
	}
	return file.Bytes()
}

// TestBytes holds the writer against the format, typed out.
func TestBytes(t *testing.T) {
	le := binary.LittleEndian
	want := le.AppendUint32([]byte("SGLBITNT"), 1)
	want = append(le.AppendUint32(want, 19), `{"hidden_size":128}`...)
	want = le.AppendUint32(want, 2)
	want = append(le.AppendUint32(want, 8), "a.weight"...)
	for _, v := range []uint32{0, 2, 2, 32, 1, 0x3f000000} {
		want = le.AppendUint32(want, v)
	}
	want = append(le.AppendUint64(want, 64), bytes.Repeat([]byte{1}, 64)...)
	want = append(le.AppendUint32(want, 1), "b"...)
	for _, v := range []uint32{2, 1, 3, 0} {
		want = le.AppendUint32(want, v)
	}
	want = append(le.AppendUint64(want, 6), bytes.Repeat([]byte{2}, 6)...)
	if got := example(t); !bytes.Equal(got, want) {
		t.Errorf("wrote %x, want %x", got, want)
	}
	f, err := Read(bytes.NewReader(want), int64(len(want)))
	if err != nil || len(f.Tensors) != 2 || !f.Tensors[0].HasScale || f.Tensors[0].Scale != 0.5 || f.Tensors[1].Offset != int64(len(want)-6) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestWriteErrors(t *testing.T) {
	no := errors.New("no")
	one := []Tensor{{Name: "a", DType: F32, Dims: []uint32{2}}}
	if err := Write(io.Discard, nil, one, func(int, io.Writer) error { return no }); !errors.Is(err, no) {
		t.Error(err)
	}
	if err := Write(io.Discard, nil, one, func(_ int, w io.Writer) error { _, err := w.Write(make([]byte, 7)); return err }); err == nil {
		t.Error("a tensor of 7 bytes of 8 was written")
	}
}

func TestHostile(t *testing.T) {
	good := example(t)
	for n := range good {
		if _, err := Read(bytes.NewReader(good[:n]), int64(n)); fault.Code(err) != "SGL_TRUNCATED" {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	const config, tensor = 16, 8 + 4 + 4 + 19 + 4 // where the config's text and the first tensor begin
	put := func(at int, v uint32) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return b }
	}
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		code   string
	}{
		"magic":             {func(b []byte) []byte { b[0] = 'X'; return b }, "SGL_BAD_HEADER"},
		"version":           {put(8, 2), "SGL_BAD_HEADER"},
		"config is no JSON": {func(b []byte) []byte { b[config] = '['; return b }, "SGL_BAD_HEADER"},
		"large config":      {put(12, 1<<31), "SGL_BAD_HEADER"},
		"many tensors":      {put(tensor-4, 1<<31), "SGL_BAD_HEADER"},
		"bytes behind":      {func(b []byte) []byte { return append(b, 0) }, "SGL_BAD_HEADER"},
		"no name":           {put(tensor, 0), "SGL_BAD_TENSOR"},
		"long name":         {put(tensor, 1025), "SGL_BAD_TENSOR"},
		"name with escape":  {func(b []byte) []byte { b[tensor+4] = 0x1b; return b }, "SGL_BAD_TENSOR"},
		"dtype":             {put(tensor+12, 4), "SGL_BAD_TENSOR"},
		"no dimensions":     {put(tensor+16, 0), "SGL_BAD_TENSOR"},
		"five dimensions":   {put(tensor+16, 5), "SGL_BAD_TENSOR"},
		"dimension 0":       {put(tensor+20, 0), "SGL_BAD_TENSOR"},
		"huge dimension":    {put(tensor+20, 1<<32-1), "SGL_BAD_TENSOR"},
		"has_scale 2":       {put(tensor+28, 2), "SGL_BAD_TENSOR"},
		"scale 0":           {put(tensor+32, 0), "SGL_BAD_TENSOR"},
		"scale NaN":         {put(tensor+32, 0x7fc00000), "SGL_BAD_TENSOR"},
		"scale infinite":    {put(tensor+32, 0x7f800000), "SGL_BAD_TENSOR"},
		"data length":       {put(tensor+36, 63), "SGL_BAD_TENSOR"},
		"data length 2^32":  {put(tensor+40, 1), "SGL_BAD_TENSOR"},
		"name twice": {func(b []byte) []byte {
			f, _ := Read(bytes.NewReader(b), int64(len(b)))
			second := append([]byte{}, b[tensor:int(f.Tensors[0].Offset)+64]...)
			return append(b[:int(f.Tensors[0].Offset)+64], second...)
		}, "SGL_BAD_TENSOR"},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.change(bytes.Clone(good))
			if _, err := Read(bytes.NewReader(b), int64(len(b))); fault.Code(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	good := example(f)
	f.Add(good)
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if fault.Code(err) == "" {
				t.Fatal(err)
			}
			return
		}
		var again bytes.Buffer
		err = Write(&again, file.Config, file.Tensors, func(i int, w io.Writer) error {
			size, _ := file.Tensors[i].Size()
			_, err := w.Write(b[file.Tensors[i].Offset:][:size])
			return err
		})
		if err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Fatalf("what was read is written differently: %v", err)
		}
	})
}
