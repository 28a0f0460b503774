package gguf

import (
	"reflect"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// TestSalvage cuts a file everywhere in its header: what comes beside the error is a beginning of what the whole file has.
func TestSalvage(t *testing.T) {
	file := everything(t)
	whole, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3, 7, 8, 20, 24, 60, 200, 400, int(whole.infosEnd) - 1, int(whole.DataOffset) + 5, len(file)} {
		f, trusted, err := Salvage(saved(t, file[:n]))
		if n == len(file) {
			if err != nil || trusted != whole.infosEnd || !reflect.DeepEqual(f.Tensors, whole.Tensors) {
				t.Errorf("whole: %d bytes, %v", trusted, err)
			}
			f.Close()
			continue
		}
		if fault.Code(err) == "" || trusted > uint64(n) {
			t.Errorf("%d bytes: %d trusted, error %v", n, trusted, err)
		}
		if n < 8 {
			if f != nil {
				t.Errorf("%d bytes: a file without a version", n)
			}
			continue
		}
		entries, tensors := f.Metadata.All(), f.Tensors
		if f.Version != 3 || len(entries) > 0 && !reflect.DeepEqual(entries, whole.Metadata.All()[:len(entries)]) {
			t.Errorf("%d bytes: version %d, entries %v", n, f.Version, entries)
		}
		for i := range tensors {
			if tensors[i].Name != whole.Tensors[i].Name {
				t.Errorf("%d bytes: tensor %d is %s", n, i, tensors[i].Name)
			}
		}
		if n >= int(whole.infosEnd)-1 && len(entries) != len(whole.Metadata.All()) {
			t.Errorf("%d bytes: %d entries of %d", n, len(entries), len(whole.Metadata.All()))
		}
	}
}
