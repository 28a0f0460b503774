package gguf

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// splitModel writes a model of eight tensors of 1000 numbers in files of at most 10000 bytes, two tensors each, and returns the first's path and
// the single file's bytes. change may damage what is written.
func splitModel(t *testing.T, change func(i int, p *Part)) (path string, whole []byte) {
	t.Helper()
	md := metadata("general.architecture", "llama", "general.name", "split")
	var infos []TensorInfo
	for i := range 8 {
		infos = append(infos, TensorInfo{Name: fmt.Sprint("t", i), Type: F32, Dims: []uint64{1000}})
	}
	parts, err := Split(md, infos, 10000)
	if err != nil || len(parts) != 4 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	stem := filepath.Join(t.TempDir(), "m.gguf")
	for i := range parts {
		if parts[i].Size > 10000 {
			t.Errorf("part %d has %d bytes", i, parts[i].Size)
		}
		p := parts[i]
		if change != nil {
			change(i, &p)
		}
		if err := os.WriteFile(SplitName(stem, i, 4), writeTensors(t, p.Metadata, p.Infos), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return SplitName(stem, 0, 4), writeTensors(t, md, infos)
}

// writeTensors makes a file whose tensors are filled with a byte of their names.
func writeTensors(t *testing.T, md *Metadata, infos []TensorInfo) []byte {
	t.Helper()
	var file memory
	w, err := NewWriter(&file, md, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range w.Infos() {
		w.Write(bytes.Repeat([]byte{info.Name[1]}, int(info.Size)))
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func TestSplitFiles(t *testing.T) {
	path, data := splitModel(t, nil)
	want, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(string) (*File, error){"Open": Open, "Map": Map, "Salvage": func(p string) (*File, error) { f, _, err := Salvage(p); return f, err }} {
		f, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Metadata.All(); fmt.Sprint(got) != fmt.Sprint(want.Metadata.All()) {
			t.Errorf("%s: metadata %v", name, got)
		}
		if len(f.Paths()) != 4 || f.Paths()[3] != strings.Replace(path, "00001-of", "00004-of", 1) || f.Path != path {
			t.Errorf("%s: %v", name, f.Paths())
		}
		size := uint64(0)
		for _, p := range f.Paths() {
			info, _ := os.Stat(p)
			size += uint64(info.Size())
		}
		if f.Size != size || f.Trailing != 0 || f.DirtyPadding() != nil || f.Changed() != nil || len(f.Tensors) != len(want.Tensors) {
			t.Errorf("%s: %d bytes, %d tensors", name, f.Size, len(f.Tensors))
		}
		for i := range want.Tensors {
			info, ok := f.Tensor(want.Tensors[i].Name)
			got, err := io.ReadAll(f.TensorReader(info))
			if !ok || info != &f.Tensors[i] || err != nil || !bytes.Equal(got, want.Bytes(&want.Tensors[i])) {
				t.Errorf("%s: tensor %d: %+v, %v", name, i, info, err)
			}
			if name == "Map" && !bytes.Equal(f.Bytes(info), got) {
				t.Errorf("tensor %d is another in the map", i)
			}
			f.Release(info)
		}
		if err := os.Chtimes(f.Paths()[2], time.Unix(1, 0), time.Now().Add(time.Duration(len(name))*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := f.Changed(); fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("%s: a part that changed: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if one, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	} else if _, err := Parse(one); fault.Code(err) != "GGUF_SPLIT" {
		t.Errorf("a part in memory: %v", err)
	}
}

func TestSplitRefusals(t *testing.T) {
	part := func(path string, i int) string {
		return strings.Replace(path, "00001-of", fmt.Sprintf("%05d-of", i), 1)
	}
	for _, c := range []struct {
		name, code string
		change     func(i int, p *Part)
		damage     func(t *testing.T, path string) string
		words      []string
	}{
		{name: "missing files", code: "NOT_FOUND", words: []string{"00002-of-00004", "00004-of-00004"}, damage: func(t *testing.T, path string) string {
			os.Remove(part(path, 2))
			os.Remove(part(path, 4))
			return path
		}},
		{name: "another than the first", code: "GGUF_SPLIT", words: []string{"file 3 of 4", "name the first", "00001-of-00004"}, damage: func(t *testing.T, path string) string {
			return part(path, 3)
		}},
		{name: "renamed", code: "GGUF_SPLIT", words: []string{"-00001-of-00004.gguf"}, damage: func(t *testing.T, path string) string {
			os.Rename(path, path+".gguf")
			return path + ".gguf"
		}},
		{name: "files exchanged", code: "GGUF_SPLIT", words: []string{"00002-of-00004", "file 3 of 4", "00003-of-00004"}, damage: func(t *testing.T, path string) string {
			os.Rename(part(path, 2), path+"x")
			os.Rename(part(path, 3), part(path, 2))
			os.Rename(path+"x", part(path, 3))
			return path
		}},
		{name: "a whole model among them", code: "GGUF_SPLIT", words: []string{"00002-of-00004"}, change: func(i int, p *Part) {
			if i == 1 {
				p.Metadata = metadata()
			}
		}},
		{name: "another count of tensors", code: "GGUF_SPLIT", words: []string{"9 tensors", "00002-of"}, change: func(i int, p *Part) {
			if i == 1 {
				p.Metadata = p.Metadata.Clone()
				p.Metadata.Set(names.SplitTensors, int32(9))
			}
		}},
		{name: "a tensor too few", code: "GGUF_SPLIT", words: []string{"7 tensors", "is 8"}, change: func(i int, p *Part) {
			if i == 1 {
				p.Infos = p.Infos[1:]
			}
		}},
		{name: "a tensor twice", code: "GGUF_DUPLICATE_TENSOR", words: []string{"t0", "00001-of", "00002-of"}, change: func(i int, p *Part) {
			if i == 1 {
				p.Infos = append([]TensorInfo{{Name: "t0", Type: F32, Dims: []uint64{1}}}, p.Infos[1:]...)
			}
		}},
		{name: "a damaged part", code: "GGUF_TENSOR_PAST_EOF", words: []string{"00003-of"}, damage: func(t *testing.T, path string) string {
			os.Truncate(part(path, 3), 4200)
			return path
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, _ := splitModel(t, c.change)
			if c.damage != nil {
				path = c.damage(t, path)
			}
			_, err := Open(path)
			if fault.Code(err) != c.code {
				t.Fatalf("[%s] %v, want %s", fault.Code(err), err, c.code)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not say %s", err, w)
				}
			}
		})
	}
}

func TestSplitPlan(t *testing.T) {
	md := metadata("general.alignment", uint32(64))
	infos := []TensorInfo{{Name: "large", Type: F32, Dims: []uint64{5000}}, {Name: "small", Type: F32, Dims: []uint64{10}}, {Name: "s2", Type: F32, Dims: []uint64{10}}}
	for most, want := range map[uint64]int{1 << 40: 1, 5000: 2, 1: 3} {
		parts, err := Split(md, infos, most)
		if err != nil || len(parts) != want {
			t.Errorf("at most %d: %d parts, %v", most, len(parts), err)
		}
		if len(parts) == 1 && (parts[0].Metadata.Has(names.SplitCount) || len(parts[0].Infos) != 3) {
			t.Errorf("not split: %+v", parts[0])
		}
		for i, p := range parts[1:] {
			if a, _ := p.Metadata.Get("general.alignment"); a != uint32(64) || p.Infos[0].Offset != 0 {
				t.Errorf("part %d: alignment %v, %+v", i+1, a, p.Infos)
			}
		}
	}
	many := make([]TensorInfo, maxParts+1)
	for i := range many {
		many[i] = TensorInfo{Name: fmt.Sprint("t", i), Type: F32, Dims: []uint64{1000}}
	}
	if _, err := Split(md, many, 4000); fault.Code(err) != "GGUF_SPLIT" {
		t.Error(err)
	}
}

// TestSplitLimit: no part has too many tensors, and all of them together have.
func TestSplitLimit(t *testing.T) {
	f := &File{index: map[string]int{}}
	for part := range 2 {
		p := &File{}
		for i := range maxTensors/2 + 1 {
			p.Tensors = append(p.Tensors, TensorInfo{Name: fmt.Sprint(part, ".", i)})
		}
		f.parts = append(f.parts, p)
	}
	if err := f.gather(split{count: 2, tensors: maxTensors + 2}); fault.Code(err) != "GGUF_LIMIT_TENSORS" {
		t.Errorf("error %v", err)
	}
}
