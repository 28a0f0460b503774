package gguf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf/fault"
)

// memory is a WriterAt in memory.
type memory []byte

func (m *memory) Write(p []byte) (int, error) { *m = append(*m, p...); return len(p), nil }

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy((*m)[off:], p), nil }

// metadata makes Metadata of keys and values in turn.
func metadata(pairs ...any) *Metadata {
	m := &Metadata{}
	for i := 0; i < len(pairs); i += 2 {
		m.Set(pairs[i].(string), pairs[i+1])
	}
	return m
}

// write makes a whole file in memory; tensor i is filled with the byte i+1.
func write(t testing.TB, m *Metadata, infos ...TensorInfo) []byte {
	t.Helper()
	var file memory
	w, err := NewWriter(&file, m, infos)
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range w.Infos() {
		if _, err := w.Write(fill(i, info)); err != nil {
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

func fill(i int, info TensorInfo) []byte { return bytes.Repeat([]byte{byte(i + 1)}, int(info.Size)) }

// everything is a file with a value of every type, an array of every type, these values too, and a tensor of every type.
func everything(t testing.TB, more ...any) []byte {
	m := &Metadata{}
	for _, v := range append([]any{
		uint8(200), int8(-3), uint16(60000), int16(-300), uint32(1 << 31), int32(-1 << 31), float32(0.1), true, false, "text", "", "\xff\x00 any bytes",
		uint64(1 << 63), int64(math.MinInt64), math.Pi, []uint8{1, 2}, []int8{-1}, []uint16{1, 65535}, []int16{-1, 1}, []uint32{7, 8, 9}, []int32{-7},
		[]float32{0.5, -0.5}, []bool{true, false, true}, []string{"a", "", "\xfe"}, []uint64{1 << 60}, []int64{-1}, []float64{1e300},
		[]string{}, []float64{},
	}, more...) {
		m.Set(fmt.Sprintf("k%d.%T", len(m.All()), v), v)
	}
	var infos []TensorInfo
	for _, l := range layouts {
		infos = append(infos, TensorInfo{Name: "t." + l.name, Type: l.id, Dims: []uint64{256, 3}})
	}
	infos = append(infos, TensorInfo{Name: "scalar", Type: F32, Dims: []uint64{1}}, TensorInfo{Name: "four", Type: F16, Dims: []uint64{3, 1, 5, 1}})
	return write(t, m, infos...)
}

func TestWriterWorkedExample(t *testing.T) { // FORMATS.md 1.7
	var file memory
	w, err := NewWriter(&file, metadata("general.architecture", "llama"), []TensorInfo{{Name: "t", Type: F32, Dims: []uint64{3, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 { // in pieces
		if _, err := w.Write(build(float32(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Next(), w.Close()); err != nil {
		t.Fatal(err)
	}
	const want = "aea77f1c82e2d827822ac2e3befd9f8b08f39566275ae2e69380d5b0e96e1a13"
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
	if got, want := w.Hashes(), []uint64{xxhash.Sum64(f.Bytes(info))}; !reflect.DeepEqual(got, want) {
		t.Errorf("hashes %x, want %x", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	large := make([]uint16, 100_000) // more than is read at a time
	large[99_999] = 7
	file := everything(t, large)
	f, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if again := write(t, f.Metadata, f.Tensors...); !bytes.Equal(again, file) {
		t.Error("what was read is not written the same")
	}
	if v, _, err := Value[[]uint16](f.Metadata, "k29.[]uint16"); err != nil || !slices.Equal(v, large) {
		t.Errorf("%d elements, %v", len(v), err)
	}
	if v, ok, err := Value[string](f.Metadata, "k11.string"); !ok || err != nil || v != "\xff\x00 any bytes" {
		t.Errorf("%q, %v, %v", v, ok, err)
	}
	sized, size, err := Plan(f.Metadata, f.Tensors)
	if err != nil || size != f.Size || !reflect.DeepEqual(sized, f.Tensors) {
		t.Errorf("planned %d bytes, %+v, %v", size, sized, err)
	}
	for i := range f.Tensors {
		info := &f.Tensors[i]
		if got := f.Bytes(info); !bytes.Equal(got, fill(i, *info)) || cap(got) != len(got) {
			t.Errorf("%s: %d bytes of capacity %d", info.Name, len(got), cap(got))
		}
	}
}

func TestWriterAlignment(t *testing.T) {
	for _, a := range []uint32{8, 64, 65536} {
		file := write(t, metadata("general.alignment", a), TensorInfo{Name: "a", Type: F32, Dims: []uint64{1}}, TensorInfo{Name: "b", Type: F32, Dims: []uint64{3}})
		f, err := Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		if f.DataOffset%uint64(a) != 0 || f.Tensors[1].Offset != uint64(a) && a > 8 || f.Size%uint64(a) != 0 || f.DirtyPadding() != nil {
			t.Errorf("alignment %d: %+v", a, f)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	one := []TensorInfo{{Name: "t", Type: F32, Dims: []uint64{1}}}
	with := func(change func(*TensorInfo)) []TensorInfo {
		info := one[0]
		change(&info)
		return []TensorInfo{info}
	}
	many := &Metadata{}
	for i := range maxEntries + 1 {
		many.Set(fmt.Sprint("k", i), uint8(1))
	}
	for _, c := range []struct {
		name, code string
		metadata   *Metadata
		infos      []TensorInfo
	}{
		{"empty key", "GGUF_BAD_KEY_LENGTH", metadata("", uint8(1)), one},
		{"long key", "GGUF_BAD_KEY_LENGTH", metadata(strings.Repeat("k", maxKey+1), uint8(1)), one},
		{"key with escape", "GGUF_BAD_KEY", metadata("\x1b[1m", uint8(1)), one},
		{"long string", "GGUF_LIMIT_STRING", metadata("k", strings.Repeat("s", maxString+1)), one},
		{"large metadata", "GGUF_LIMIT_METADATA", metadata("k", make([]uint8, maxMetadata)), one},
		{"many entries", "GGUF_LIMIT_KV", many, one},
		{"alignment 4", "GGUF_BAD_ALIGNMENT", metadata("general.alignment", uint32(4)), one},
		{"no name", "GGUF_BAD_TENSOR_NAME", metadata(), with(func(t *TensorInfo) { t.Name = "" })},
		{"long name", "GGUF_BAD_TENSOR_NAME", metadata(), with(func(t *TensorInfo) { t.Name = strings.Repeat("n", maxName+1) })},
		{"name with slash", "GGUF_BAD_TENSOR_NAME", metadata(), with(func(t *TensorInfo) { t.Name = "a/b" })},
		{"same name", "GGUF_DUPLICATE_TENSOR", metadata(), append(one, one...)},
		{"no dimensions", "GGUF_BAD_NDIMS", metadata(), with(func(t *TensorInfo) { t.Dims = nil })},
		{"five dimensions", "GGUF_BAD_NDIMS", metadata(), with(func(t *TensorInfo) { t.Dims = []uint64{1, 1, 1, 1, 1} })},
		{"dimension 0", "GGUF_BAD_DIM", metadata(), with(func(t *TensorInfo) { t.Dims = []uint64{4, 0} })},
		{"too large", "GGUF_SIZE_OVERFLOW", metadata(), with(func(t *TensorInfo) { t.Dims = []uint64{1 << 61} })},
		{"unknown type", "GGUF_UNKNOWN_TYPE", metadata(), with(func(t *TensorInfo) { t.Type = 3 })},
		{"half a block", "GGUF_BAD_ROW", metadata(), with(func(t *TensorInfo) { t.Type, t.Dims = Q8_0, []uint64{16} })},
	} {
		t.Run(c.name, func(t *testing.T) {
			var file memory
			_, err := NewWriter(&file, c.metadata, c.infos)
			if fault.Code(err) != c.code || len(file) != 0 {
				t.Errorf("[%s] %v, and %d bytes written; want %s", fault.Code(err), err, len(file), c.code)
			}
		})
	}
}

// full fails every write after some bytes.
type full struct {
	memory
	room int
}

var errFull = fault.New("NO_SPACE", "full")

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) {
		return n, errFull
	}
	return f.memory.Write(p)
}

func TestWriterMisuse(t *testing.T) {
	infos := []TensorInfo{{Name: "a", Type: F32, Dims: []uint64{2}}, {Name: "b", Type: F32, Dims: []uint64{1}}}
	var file memory
	w, err := NewWriter(&file, metadata(), infos)
	if err != nil {
		t.Fatal(err)
	}
	wantError := func(err error, words string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want %q", err, words)
		}
	}
	_, err = w.Write(make([]byte, 9))
	wantError(err, `tensor "a": 1 bytes more than its 8`)
	w.Write(make([]byte, 4))
	wantError(w.Next(), "4 bytes of 8")
	w.Write(make([]byte, 4))
	if err := w.Next(); err != nil {
		t.Fatal(err)
	}
	wantError(w.Close(), `1 of 2 tensors are complete; "b" is not`)
	w.Write(make([]byte, 4))
	if err := w.Next(); err != nil {
		t.Fatal(err)
	}
	_, err = w.Write([]byte{0})
	wantError(err, "after the last tensor")
	wantError(w.Next(), "all 2 tensors are complete")
	if err := w.Close(); err != nil {
		t.Error(err)
	}

	size := int(w.Size())
	for room := range size {
		w, err := NewWriter(&full{room: room}, metadata(), infos)
		for i := 0; err == nil && i < len(infos); i++ {
			if _, err = w.Write(make([]byte, infos[i].Dims[0]*4)); err == nil {
				err = w.Next()
			}
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("room for %d of %d bytes: %v", room, size, err)
		}
	}
}

func TestPatch(t *testing.T) {
	values := func(hashes []uint64, files []string, note string) *Metadata {
		return metadata("a", "first", "hashes", hashes, "files", files, "note", note, "z", uint32(9))
	}
	tensor := TensorInfo{Name: "t", Type: F32, Dims: []uint64{4}}
	want := write(t, values([]uint64{1 << 63, 5}, []string{"abc", "de"}, "new!"), tensor)

	var file memory
	w, err := NewWriter(&file, values([]uint64{0, 0}, []string{"---", "--"}, "    "), []TensorInfo{tensor})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(bytes.Repeat([]byte{1}, 16))
	if err := errors.Join(w.Next(), w.Patch("hashes", []uint64{1 << 63, 5}), w.Patch("files", []string{"abc", "de"}), w.Patch("note", "new!"), w.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, want) {
		t.Error("a patched file differs from one written with the values at once")
	}
	for _, c := range []struct {
		key   string
		value any
		words string
	}{
		{"absent", "x", "was not reserved"},
		{"hashes", []uint64{1}, "takes 24 bytes, 32 were reserved"},
		{"hashes", []int64{1, 2}, "a []uint64 was reserved"},
		{"note", "longer", "takes 18 bytes, 16 were reserved"},
		{"z", nil, "a uint32 was reserved"},
	} {
		if err := w.Patch(c.key, c.value); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("patching %s with %v: %v, want %q", c.key, c.value, err, c.words)
		}
	}
	if !bytes.Equal(file, want) {
		t.Error("a refused patch changed the file")
	}
}
