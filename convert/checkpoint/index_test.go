package checkpoint

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// folder writes files into a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	indexName = "model.safetensors.index.json"
	shard1    = "model-00001-of-00002.safetensors"
	shard2    = "model-00002-of-00002.safetensors"
)

// bytesOf is a shard with a U8 tensor of one byte for each name.
func bytesOf(names ...string) string {
	var entries []string
	for i, name := range names {
		entries = append(entries, fmt.Sprintf(`"%s":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, name, i, i+1))
	}
	return string(st("{"+strings.Join(entries, ",")+"}", []byte(strings.Repeat("x", len(names)))...))
}

func indexOf(total int, pairs ...string) string {
	var entries []string
	for i := 0; i < len(pairs); i += 2 {
		name, _ := json.Marshal(pairs[i])
		shard, _ := json.Marshal(pairs[i+1])
		entries = append(entries, string(name)+":"+string(shard))
	}
	return fmt.Sprintf(`{"metadata":{"total_size":%d,"x":[{"y":[1.5e3,true,null]}]},"weight_map":{%s},"more":"text"}`, total, strings.Join(entries, ","))
}

func TestIndexPaths(t *testing.T) {
	for _, name := range []string{"../x", "/etc/passwd", "a/b", `a\b`, "..", ".", "", "C:x", "x..y", "a\x1b[31m"} {
		t.Run("R64 "+name, func(t *testing.T) {
			dir := folder(t, map[string]string{indexName: indexOf(2, "a", shard1, "b", name), shard1: bytesOf("a")})
			refused(t, dir, "INDEX_BAD_PATH")
			c := &Checkpoint{}
			err := c.open(filepath.Join(dir, indexName))
			if fault.Code(err) != "INDEX_BAD_PATH" || len(c.Sources) != 1 { // each open file is a source, so nothing but the index was opened
				t.Errorf("%v, %d files opened", err, len(c.Sources))
			}
			c.Close()
		})
	}
	t.Run("R64 all bad names at once", func(t *testing.T) {
		err := refused(t, folder(t, map[string]string{indexName: indexOf(2, "a", "../a", "b", "/b")}), "INDEX_BAD_PATH")
		if n := len(strings.Split(err.Error(), "\n")); n != 2 {
			t.Errorf("%d lines, wanted 2: %v", n, err)
		}
	})
	t.Run("R64 links", func(t *testing.T) {
		elsewhere := write(t, "blob", []byte(bytesOf("a")))
		for target, code := range map[string]string{elsewhere: "", t.TempDir(): "NOT_A_REGULAR_FILE", "/nowhere/at/all": "NOT_FOUND"} {
			dir := folder(t, map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2), shard2: bytesOf("b")})
			if err := os.Symlink(target, filepath.Join(dir, shard1)); err != nil {
				t.Fatal(err)
			}
			if code != "" {
				refused(t, dir, code)
			} else if _, data := accepted(t, dir); string(data["a"]) != "x" {
				t.Errorf("the link to a regular file gave %q", data)
			}
		}
	})
}

func TestIndexConsistency(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		wants []string // parts of the lines, each of one
	}{
		{"R65 missing shard", map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2), shard1: bytesOf("a")}, []string{shard2}},
		{"R65 two missing", map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2)}, []string{shard1, shard2}},
		{"R65 tensor in two shards", map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2), shard1: bytesOf("a"), shard2: bytesOf("a", "b")},
			[]string{`tensor "a" is in "` + shard1 + `" and in "` + shard2}},
		{"R65 tensor not in the index", map[string]string{indexName: indexOf(2, "a", shard1), shard1: bytesOf("a", "z")}, []string{`"z"`}},
		{"R65 tensor in no shard", map[string]string{indexName: indexOf(2, "a", shard1, "z", shard1), shard1: bytesOf("a")}, []string{`"z"`}},
		{"R65 tensor in another shard", map[string]string{indexName: indexOf(2, "a", shard2, "b", shard2), shard1: bytesOf("a"), shard2: bytesOf("b")}, []string{`"a"`}},
		{"R65 duplicate key", map[string]string{indexName: indexOf(2, "a", shard1, "a", shard2), shard1: bytesOf("a"), shard2: bytesOf("a")}, []string{`"a"`}},
		{"R65 everything at once", map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2, "c", "gone", "d", shard1, "e", "gone2"), shard1: bytesOf("a", "b", "y"), shard2: bytesOf("b")},
			[]string{`"gone"`, `"gone2"`, `tensor "b"`, `tensor "b"`, `tensor "y"`, `tensor "d"`}},
		{"R65 shards of two formats", map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2), shard1: bytesOf("a"),
			shard2: string(pt(proto+dictOf("b", float32s("0", 1, 0, []int64{1}, []int64{1}))+stop, make([]byte, 4)))}, []string{shard2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := refused(t, folder(t, test.files), "INDEX_INCONSISTENT")
			lines := strings.Split(err.Error(), "\n")
			for _, want := range test.wants {
				i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, want) })
				if i < 0 {
					t.Fatalf("no line has %s:\n%v", want, err)
				}
				lines = slices.Delete(lines, i, i+1)
			}
			if len(lines) > 0 {
				t.Errorf("more lines than wanted: %q", lines)
			}
		})
	}
	t.Run("R65 wrong total_size alone", func(t *testing.T) {
		c, data := accepted(t, folder(t, map[string]string{indexName: indexOf(3, "a", shard1, "b", shard2), shard1: bytesOf("a"), shard2: bytesOf("b")}))
		if len(c.Notices) != 1 || !strings.Contains(c.Notices[0], "total_size 3") || len(data) != 2 {
			t.Errorf("%q %q", c.Notices, data)
		}
	})
	t.Run("a total_size that is no integer is ignored", func(t *testing.T) {
		for _, total := range []string{`"3"`, `3.5e0`, `[3]`, `{"a":3}`, `null`} {
			index := strings.Replace(indexOf(3, "a", shard1), `"total_size":3`, `"total_size":`+total, 1)
			if c, _ := accepted(t, folder(t, map[string]string{indexName: index, shard1: bytesOf("a")})); len(c.Notices) > 0 {
				t.Errorf("%s: %q", total, c.Notices)
			}
		}
	})
	t.Run("R65 many problems are counted", func(t *testing.T) {
		var pairs []string
		for i := range maxProblems + 5 {
			pairs = append(pairs, fmt.Sprint("t", i), shard1)
		}
		err := refused(t, folder(t, map[string]string{indexName: indexOf(2, pairs...), shard1: bytesOf("t0")}), "INDEX_INCONSISTENT")
		if !strings.HasSuffix(err.Error(), "and 4 more problems") {
			t.Error(err.Error()[max(0, len(err.Error())-200):])
		}
	})
	t.Run("no wrong total_size", func(t *testing.T) {
		c, _ := accepted(t, folder(t, map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2), shard1: bytesOf("a"), shard2: bytesOf("b")}))
		if len(c.Notices) != 0 || len(c.Sources) != 3 || c.Sources[2].Name != indexName {
			t.Errorf("%q %v", c.Notices, c.Sources)
		}
	})
}

func TestIndexMalformed(t *testing.T) {
	for name, test := range map[string]struct{ index, code string }{
		"no weight_map":      {`{"metadata":{}}`, "INDEX_BAD_JSON"},
		"not an object":      {`"text"`, "INDEX_BAD_JSON"},
		"shard is a number":  {`{"weight_map":{"a":1}}`, "INDEX_BAD_JSON"},
		"nested":             {`{"metadata":` + strings.Repeat("[", 10_000_000), "INDEX_BAD_JSON"},
		"text behind it":     {indexOf(1, "a", shard1) + "x", "INDEX_BAD_JSON"},
		"too many shards":    {`{"weight_map":{` + repeat(maxShards+1, `"%[1]d":"s%[1]d"`) + `}}`, "INDEX_LIMIT"},
		"too many tensors":   {`{"weight_map":{` + repeat(maxTensors+1, `"%d":"s"`) + `}}`, "INDEX_LIMIT"},
		"no tensors":         {`{"weight_map":{}}`, "CKPT_NO_TENSORS"},
		"Git LFS pointer":    {"version https://git-lfs.github.com/spec/v1\n", "NOT_WEIGHTS"},
		"an HTML error page": {"<!DOCTYPE html><html>404</html>", "NOT_WEIGHTS"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, folder(t, map[string]string{indexName: test.index, shard1: bytesOf("a")}), test.code)
		})
	}
}

func TestNotWeights(t *testing.T) {
	for text, reason := range map[string]string{
		"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n": "git lfs pull",
		"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>":              "HTML",
		"\n<html>Access denied</html>":                                          "HTML",
		`{"error":"Repository not found"}`:                                      "JSON",
		"GGUF\x03\x00\x00\x00":                                                  "GGUF",
	} {
		t.Run("R66 "+reason, func(t *testing.T) {
			err := refused(t, folder(t, map[string]string{indexName: indexOf(2, "a", shard1, "b", shard2), shard1: bytesOf("a"), shard2: text}), "NOT_WEIGHTS")
			if !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), shard2) {
				t.Error(err)
			}
			refused(t, write(t, "model.safetensors", []byte(text)), "NOT_WEIGHTS")
			refused(t, write(t, "pytorch_model.bin", []byte(text)), "NOT_WEIGHTS")
		})
	}
	t.Run("R66 something else", func(t *testing.T) {
		refused(t, write(t, "pytorch_model.bin", []byte("hello, world")), "NOT_WEIGHTS")
	})
}
