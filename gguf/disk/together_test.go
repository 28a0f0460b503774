package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// failsAt is a disk on which one rename, or one sync of the directory, fails.
type failsAt struct {
	System
	rename, syncDir string // base name; directory sync fails behind that rename
	last            string
}

func (f *failsAt) Rename(from, to string) error {
	if f.last = filepath.Base(to); f.last == f.rename {
		return errors.New("no")
	}
	return os.Rename(from, to)
}

func (f *failsAt) SyncDir(dir string) error {
	if f.last == f.syncDir {
		return errors.New("no")
	}
	return nil
}

func TestCommitAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		calls failsAt
		stays []string
	}{
		{"all", failsAt{}, []string{"a", "b", "c"}},
		{"second cannot be renamed", failsAt{rename: "b"}, []string{"a"}},
		{"last cannot be renamed", failsAt{rename: "c"}, []string{"a"}},
		{"directory cannot be synced behind the second", failsAt{syncDir: "b"}, []string{"a"}},
		{"directory cannot be synced behind the last", failsAt{syncDir: "c"}, []string{"a", "b", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o666); err != nil { // is replaced, so it stays
				t.Fatal(err)
			}
			var outputs []*Output
			for _, name := range []string{"a", "b", "c"} {
				out, err := Create(filepath.Join(dir, name), CreateOptions{Force: true, Calls: &c.calls})
				if err != nil {
					t.Fatal(err)
				}
				out.Write([]byte("new"))
				outputs = append(outputs, out)
			}
			err := CommitAll(context.Background(), outputs...)
			if (err == nil) != (c.calls == failsAt{last: "c"}) {
				t.Error(err)
			}
			for _, out := range outputs {
				out.Abort()
			}
			entries, _ := os.ReadDir(dir)
			var there []string
			for _, e := range entries {
				there = append(there, e.Name())
			}
			if len(there) != len(c.stays) || there[0] != "a" {
				t.Errorf("there are %v, want %v", there, c.stays)
			}
		})
	}
}
