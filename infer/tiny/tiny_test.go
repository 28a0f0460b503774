package tiny

import (
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
)

// TestFingerprint: this machine, with the kernel and the number of threads in use, computes the same bits as every other.
func TestFingerprint(t *testing.T) {
	file, err := gguf.Parse(Model)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 3} {
		m, err := infer.LoadFile(file, infer.Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		got, err := m.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		if got != Fingerprint {
			t.Errorf("%d threads: the logits' fingerprint is %s, on other machines %s", threads, got, Fingerprint)
		}
	}
}
