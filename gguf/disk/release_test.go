package disk_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/wrinklefree/wf/gguf/disk"
)

// TestRelease gives up every kind of range of a map, and reads all of it again.
func TestRelease(t *testing.T) {
	want := make([]byte, 5*os.Getpagesize()+77)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range want {
		want[i] = byte(rng.Uint32())
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, want, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Release(0, uint64(f.Size())) // not mapped: nothing to release
	data, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	page, size := uint64(os.Getpagesize()), uint64(len(want))
	for _, r := range [][2]uint64{{0, size}, {1, size - 1}, {page, page}, {page + 1, page}, {7, 3}, {4 * page, page + 77}, {size, 0}, {size, 10 * page}} {
		f.Release(r[0], r[1])
		if !bytes.Equal(data, want) {
			t.Fatalf("after releasing %d bytes at %d the map reads differently", r[1], r[0])
		}
	}
}
