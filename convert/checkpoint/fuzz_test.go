package checkpoint

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"

	"github.com/wrinklefree/wf/gguf/fault"
)

// fuzzed writes data where the last input lay and opens it; what is refused must have a code.
func fuzzed(t *testing.T, path string, data []byte) *Checkpoint {
	if len(data) == 0 || len(data) > 1<<20 {
		t.Skip("no file, or more than a mutation should make")
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path)
	if err != nil {
		if fault.Code(err) == "" {
			t.Fatalf("no code: %v", err)
		}
		return nil
	}
	t.Cleanup(func() { c.Close() })
	for _, x := range c.Tensors {
		if n, err := io.Copy(io.Discard, io.NewSectionReader(x, 0, x.Size())); err != nil || n != x.Size() || n > int64(len(data)) {
			t.Fatalf("%s: %d of %d bytes: %v", x.Name, n, x.Size(), err)
		}
	}
	return c
}

// FuzzSafetensorsHeader also holds that what is accepted here means the same to the library.
func FuzzSafetensorsHeader(f *testing.F) {
	f.Add([]byte(one("w", "w")), counting(4))
	f.Add([]byte(` {"__metadata__":{"a":"\ud83d\ude00"},"s":{"shape":[],"dtype":"F64","data_offsets":[0,8]},"e":{"dtype":"I8","shape":[0,4],"data_offsets":[8,8]}} `), counting(8))
	f.Add([]byte(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}`), counting(4))
	path := filepath.Join(f.TempDir(), "model.safetensors")
	f.Fuzz(func(t *testing.T, header, data []byte) {
		file := st(string(header), data...)
		c := fuzzed(t, path, file)
		if c == nil || c.Format != safetensorsFormat {
			return
		}
		_, metadata, err := safetensors.ReadMetadata(file)
		if err != nil {
			t.Fatalf("accepted here, but the library says %v", err)
		}
		theirs := metadata.Tensors()
		for _, x := range c.Tensors {
			found := false
			for name, info := range theirs { // the library's name may have a prefix that was dropped
				begin := int64(8 + len(header) + int(info.DataOffsets[0]))
				found = found || strings.HasSuffix(name, x.Name) && DType(info.DType) == x.DType && slices.Equal(info.Shape, x.Shape) && begin == x.start &&
					info.DataOffsets[1]-info.DataOffsets[0] == uint64(x.Size())
			}
			if !found {
				t.Fatalf("%+v is not what the library sees: %v", x, theirs)
			}
		}
	})
}

func FuzzPickle(f *testing.F) {
	f.Add([]byte(weight(6, 0, []int64{2, 3}, []int64{1, 2})))
	f.Add([]byte(proto + dictOf("state_dict", dictOf("module.a", float32s("0", 6, 1, []int64{5}, []int64{1})), "rng", call(glob("_codecs", "encode"), str("a"), str("latin1"))) + stop))
	f.Add([]byte(proto + "]q\x00(h\x00h\x00e." + "c__builtin__\neval\n"))
	path := filepath.Join(f.TempDir(), "x.pt")
	f.Fuzz(func(t *testing.T, pickle []byte) {
		fuzzed(t, path, pt(string(pickle), counting(24)))
	})
}

// FuzzZip also holds that a scan passes on exactly the file.
func FuzzZip(f *testing.F) {
	f.Add(pt(weight(6, 0, []int64{2, 3}, []int64{3, 1}), counting(24)))
	f.Add(zipOf(item{name: "a/data.pkl", data: []byte(weight(6, 0, []int64{6}, []int64{1})), plain: true}, item{name: "a/data/0", data: counting(24), plain: true, sum: 1}))
	f.Add(zipOf(item{name: "a/data.pkl", data: []byte(weight(1, 0, []int64{0}, []int64{1}))}, item{name: "a/data/0", data: counting(4)}, item{name: "a/data/1"}))
	f.Add(zipOf())
	path := filepath.Join(f.TempDir(), "x.pt")
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzzed(t, path, data)
		if c == nil {
			return
		}
		var copied bytes.Buffer
		if _, err := c.Sources[0].Scan(&copied); err == nil && !bytes.Equal(copied.Bytes(), data) {
			t.Fatal("the scan passed on something else")
		} else if err != nil && fault.Code(err) == "" {
			t.Fatalf("no code: %v", err)
		}
	})
}
