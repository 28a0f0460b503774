package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shared = "../../testdata/"

// TestFixtures holds every published shape of checkpoint against testdata/fixtures.txt, which testdata/fixtures.py made without this package:
// name, type, shape and SHA-256 of each tensor.
func TestFixtures(t *testing.T) {
	want, err := os.ReadFile("testdata/fixtures.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, test := range []struct{ path, format, sources, notices string }{
		{"fixtures/bitnet-online", "safetensors", "model.safetensors", ""},
		{"fixtures/bitnet-sharded", "safetensors", shard1 + " " + shard2 + " " + indexName, ""},
		{"fixtures/wrinklefree-pt", "pytorch", "checkpoint.pt", `dropped the prefix "module." from every tensor name`},
		{"fixtures/bitnet-packed-autobitlinear", "safetensors", "model.safetensors", ""},
		{"fixtures/llama-packed-bitlinear", "safetensors", "model.safetensors", ""},
		{"fixtures/bitnet-no-subln", "pytorch", "pytorch_model.bin", ""},
		{"fixtures/fast-dllm-qwen", "safetensors", "model.safetensors", ""},
		{"tinydlm/hf", "safetensors", "model.safetensors", ""},
		{"tinydlm/pt", "pytorch", "checkpoint.pt", ""},
	} {
		c, data := accepted(t, shared+test.path)
		if c.Dir != shared+test.path || c.Format != test.format || strings.Join(c.Notices, "\n") != test.notices {
			t.Errorf("%s: folder %s, format %s, notices %q", test.path, c.Dir, c.Format, c.Notices)
		}
		var sources []string
		for _, s := range c.Sources {
			sources = append(sources, s.Name)
			hash := sha256.New()
			notices, err := s.Scan(hash)
			whole, _ := os.ReadFile(s.Path)
			if err != nil || len(notices) > 0 || [32]byte(hash.Sum(nil)) != sha256.Sum256(whole) || s.Size != int64(len(whole)) {
				t.Errorf("%s: %v %q", s.Path, err, notices)
			}
		}
		if strings.Join(sources, " ") != test.sources {
			t.Errorf("%s: sources %s", test.path, sources)
		}
		fmt.Fprintln(&got, test.path)
		for _, x := range c.Tensors {
			sum := sha256.Sum256(data[x.Name])
			fmt.Fprintf(&got, "    %s %v %v %x\n", x.Name, x.DType, x.Shape, sum[:8])
		}
	}
	if got.String() != string(want) {
		t.Errorf("differs from testdata/fixtures.txt:\n%s", got.String())
	}
}

// TestSameWeights compares two ways in which the same values were saved.
func TestSameWeights(t *testing.T) {
	one, a := accepted(t, shared+"fixtures/bitnet-online")
	_, b := accepted(t, shared+"fixtures/bitnet-sharded")
	if len(a) == 0 || len(a) != len(b) {
		t.Fatalf("%d and %d tensors", len(a), len(b))
	}
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs between one file and two shards", name)
		}
	}
	if _, ok := one.Tensor("model"); ok {
		t.Error("a tensor that is not there was found")
	}
	hf, a := accepted(t, shared+"tinydlm/hf")
	pt, b := accepted(t, shared+"tinydlm/pt")
	if len(a) == 0 || len(a) != len(b) {
		t.Fatalf("%d and %d tensors", len(a), len(b))
	}
	for i, x := range hf.Tensors { // bf16 is the upper half of float32, and the values are the same
		y := pt.Tensors[i]
		if x.Name != y.Name || x.DType != BF16 || y.DType != F32 || fmt.Sprint(x.Shape) != fmt.Sprint(y.Shape) {
			t.Fatalf("%s %v %v, but %s %v %v", x.Name, x.DType, x.Shape, y.Name, y.DType, y.Shape)
		}
		short, long := a[x.Name], b[y.Name]
		for j := 0; j < len(short); j += 2 {
			if !bytes.Equal(short[j:j+2], long[2*j+2:2*j+4]) || long[2*j] != 0 || long[2*j+1] != 0 {
				t.Fatalf("%s: element %d is %x and %x", x.Name, j/2, short[j:j+2], long[2*j:2*j+4])
			}
		}
	}
}

func TestOpenChooses(t *testing.T) {
	weights := bytesOf("w")
	index := indexOf(1, "w", shard1)
	for _, test := range []struct {
		files string // in the folder
		want  string // the first source, or a code
	}{
		{"model.safetensors pytorch_model.bin checkpoint.pt x.safetensors", "model.safetensors"},
		{"model.safetensors.index.json " + shard1 + " pytorch_model.bin", shard1},
		{"pytorch_model.bin x.safetensors optimizer.pt", "pytorch_model.bin"},
		{"pytorch_model.bin.index.json x.pt " + shard1, shard1},
		{"checkpoint.pt golden.safetensors", "checkpoint.pt"},
		{"x.safetensors config.json", "x.safetensors"},
		{"last.ckpt", "last.ckpt"},
		{"x.pth", "x.pth"},
		{"a.pt b.safetensors", "CKPT_AMBIGUOUS"},
		{"config.json", "CKPT_NOT_FOUND"},
	} {
		t.Run(test.files, func(t *testing.T) {
			files := map[string]string{}
			for name := range strings.FieldsSeq(test.files) {
				files[name] = weights
				if strings.HasSuffix(name, ".index.json") {
					files[name] = index
				}
			}
			dir := folder(t, files)
			if !strings.Contains(test.want, ".") {
				refused(t, dir, test.want)
				return
			}
			c, data := accepted(t, dir)
			if c.Sources[0].Name != test.want || len(data) != 1 || c.Dir != dir {
				t.Errorf("%v", c.Sources)
			}
			one, _ := accepted(t, filepath.Join(dir, strings.Fields(test.files)[0]))
			if one.Dir != dir {
				t.Error(one.Dir)
			}
		})
	}
	for name, code := range map[string]string{"nothing/at/all": "NOT_FOUND", "nothing.pt": "NOT_FOUND"} {
		t.Run(name, func(t *testing.T) { refused(t, filepath.Join(t.TempDir(), name), code) })
	}
	t.Run("an empty file", func(t *testing.T) { refused(t, write(t, "model.safetensors", nil), "FILE_EMPTY") })
}
