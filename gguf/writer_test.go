package gguf

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// memory is a WriterAt in memory.
type memory []byte

func (m *memory) Write(p []byte) (int, error) { *m = append(*m, p...); return len(p), nil }

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy((*m)[off:], p), nil }

// write makes a whole file in memory; data holds each tensor's bytes.
func write(t testing.TB, md *Metadata, infos []TensorInfo, data ...[]byte) []byte {
	t.Helper()
	var file memory
	w, err := NewWriter(&file, md, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range data {
		if _, err := w.Write(d); err != nil {
			t.Fatal(err)
		}
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if uint64(len(file)) != w.Size() {
		t.Fatalf("wrote %d bytes, Size is %d", len(file), w.Size())
	}
	return file
}

// worked is the example of FORMATS.md 1.7.
func worked(t testing.TB) []byte {
	md := &Metadata{}
	md.Set("general.architecture", "llama")
	data, _ := hex.DecodeString("000000000000803f0000004000004040000080400000a040")
	return write(t, md, []TensorInfo{{Name: "t", Type: F32, Dims: []uint64{3, 2}}}, data)
}

func TestWriterWorkedExample(t *testing.T) {
	const want = "aea77f1c82e2d827822ac2e3befd9f8b08f39566275ae2e69380d5b0e96e1a13"
	file := worked(t)
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != want {
		t.Errorf("%d bytes, sha256 %x, want 160 bytes, %s", len(file), sum, want)
	}
	f, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	info, ok := f.Tensor("t")
	if !ok || info.Rows() != 2 || f.DataOffset != 128 || f.Trailing != 0 {
		t.Fatalf("read back %+v of %+v", info, f)
	}
	for i, x := range Float32s(f.Bytes(info)) {
		if x != float32(i) {
			t.Errorf("element %d is %g", i, x)
		}
	}
}
