package gguf

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

// saved writes bytes to a file of the test's own.
func saved(t *testing.T, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, file, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenAndMap(t *testing.T) {
	path := saved(t, everything(t))
	for name, open := range map[string]func(string) (*File, error){"Open": Open, "Map": Map} {
		t.Run(name, func(t *testing.T) {
			f, err := open(path)
			if err != nil {
				t.Fatal(err)
			}
			if f.Path != path {
				t.Errorf("Path is %q", f.Path)
			}
			for i := range f.Tensors {
				info := &f.Tensors[i]
				got, err := io.ReadAll(f.TensorReader(info))
				if err != nil || !bytes.Equal(got, fill(i, *info)) {
					t.Errorf("%s: read %d bytes, %v", info.Name, len(got), err)
				}
				if name == "Map" && !bytes.Equal(f.Bytes(info), got) {
					t.Errorf("%s: the map has other bytes", info.Name)
				}
			}
			if err := f.Changed(); err != nil {
				t.Error(err)
			}
			if _, ok := f.Tensor("absent"); ok {
				t.Error("found a tensor that is not there")
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("an error names the file", func(t *testing.T) {
		path := saved(t, []byte("GGUF\x00\x00\x00\x00"))
		for _, open := range []func(string) (*File, error){Open, Map} {
			if _, err := open(path); fault.Code(err) != "GGUF_BAD_VERSION" || !strings.HasPrefix(err.Error(), path+": gguf: version 0") {
				t.Errorf("[%s] %v", fault.Code(err), err)
			}
		}
	})
}

func TestFileThatChanges(t *testing.T) {
	const size = 1 << 20
	file := write(t, metadata(), TensorInfo{Name: "t", Type: F32, Dims: []uint64{size / 4}})
	t.Run("R35 grows", func(t *testing.T) {
		path := saved(t, file)
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.WriteFile(path, append(file, 0), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := f.Changed(); fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("[%s] %v", fault.Code(err), err)
		}
	})
	t.Run("R35 shrinks", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("an open file cannot be truncated there")
		}
		path := saved(t, file)
		f, err := Map(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, _ := f.Tensor("t")
		if err := os.Truncate(path, 4096); err != nil {
			t.Fatal(err)
		}
		if err := f.Changed(); fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("Changed: [%s] %v", fault.Code(err), err)
		}
		if _, err := io.Copy(io.Discard, f.TensorReader(info)); fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("TensorReader: [%s] %v", fault.Code(err), err)
		}
		sum := byte(0)
		err = disk.Guard(path, func() error {
			for _, b := range f.Bytes(info) {
				sum += b
			}
			return nil
		})
		if fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("Bytes: [%s] %v, sum %d", fault.Code(err), err, sum)
		}
	})
}

func TestTrailing(t *testing.T) {
	file := everything(t)
	for name, extra := range map[string][]byte{"R32 1 MiB of bytes": make([]byte, 1<<20), "R32 a zip": []byte("PK\x03\x04..."), "R32 nothing": nil} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(append(bytes.Clone(file), extra...))
			if err != nil || f.Trailing != uint64(len(extra)) || f.DirtyPadding() != nil {
				t.Errorf("%d trailing bytes, want %d, %v", f.Trailing, len(extra), err)
			}
		})
	}
	t.Run("R32 without tensors", func(t *testing.T) {
		f, err := Parse(append(write(t, metadata()), "extra"...))
		if err != nil || f.Trailing != 5 {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

func TestDirtyPadding(t *testing.T) {
	clean := write(t, metadata("k", "v"), TensorInfo{Name: "a", Type: F32, Dims: []uint64{1}}, TensorInfo{Name: "b", Type: F32, Dims: []uint64{9}})
	f, err := Parse(clean)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.DirtyPadding(); err != nil {
		t.Fatal(err)
	}
	data := int(f.DataOffset)
	for _, c := range []struct {
		name  string
		at    int
		words string
	}{
		{"R33 before the data", int(f.infosEnd), "behind the tensor infos"},
		{"R33 last byte before the data", data - 1, "behind the tensor infos"},
		{"R33 first byte between tensors", data + 4, `behind tensor "a"`},
		{"R33 last byte between tensors", data + 31, `behind tensor "a"`},
		{"R33 after the last tensor", len(clean) - 1, `behind tensor "b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dirty := bytes.Clone(clean)
			dirty[c.at] = 1
			f, err := Parse(dirty)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.DirtyPadding(); fault.Code(err) != "GGUF_DIRTY_PADDING" || !strings.Contains(err.Error(), c.words) {
				t.Errorf("[%s] %v, want %q", fault.Code(err), err, c.words)
			}
		})
	}
	t.Run("R33 data is not padding", func(t *testing.T) {
		full := bytes.Clone(clean)
		copy(full[data:], "\x01\x02\x03\x04")
		if f, err := Parse(full); err != nil || f.DirtyPadding() != nil {
			t.Errorf("%v, %v", f.DirtyPadding(), err)
		}
	})
}

func TestViews(t *testing.T) {
	b := Float32s(make([]byte, 16)) // aligned memory
	if len(b) != 4 || len(Float32s(nil)) != 0 {
		t.Errorf("%d numbers in 16 bytes", len(b))
	}
	if got := Uint16s([]byte{1, 2, 3, 4}); got[0] != 0x0201 || got[1] != 0x0403 {
		t.Errorf("%x", got)
	}
	aligned := make([]byte, 32)
	for name, view := range map[string]func(){
		"length":  func() { Float32s(aligned[:6]) },
		"address": func() { Float32s(aligned[2:6]) },
		"odd":     func() { Uint16s(aligned[1:3]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			view()
		}()
	}
	t.Run("Parse aligns", func(t *testing.T) {
		file := everything(t)
		for shift := range 8 {
			f, err := Parse(append(make([]byte, shift, shift+len(file)), file...)[shift:])
			if err != nil {
				t.Fatal(err)
			}
			info, _ := f.Tensor("t.F32")
			if got := Float32s(f.Bytes(info)); len(got) != 768 {
				t.Errorf("%d numbers", len(got))
			}
		}
	})
}
