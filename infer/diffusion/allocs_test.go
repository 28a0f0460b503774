//go:build !race

// The race detector makes sync.Pool forget on purpose.

package diffusion

import (
	"testing"

	"github.com/wrinklefree/wf/infer"
)

// A denoise step allocates nothing (PERFORMANCE.md, goal 7).
func TestStepsAllocateNothing(t *testing.T) {
	for _, temperature := range []float32{0, 1} {
		m := newStub(dialectA, 512, 512)
		m.logits = halves
		d, err := NewDecoder(m, []int32{1}, Options{Temperature: temperature, TopK: 3, Threshold: ptr(float32(1)), OnEvent: func(Event) {}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Forward([]*infer.Segment{d.Next()}); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			if err := d.Accept(); err != nil {
				t.Fatal(err)
			}
			d.Next()
		}); n > 0 {
			t.Errorf("temperature %v: %v allocations a step", temperature, n)
		}
	}
}
