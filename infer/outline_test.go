package infer

import (
	"runtime"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/tiny"
)

// TestCheck holds what the header alone says against the loaded model.
func TestCheck(t *testing.T) {
	f, err := gguf.Parse(tiny.Model)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Check(f, Options{}, 64)
	if err != nil {
		t.Fatal(err)
	}
	m, err := LoadFile(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if out.Config.Hidden != m.Config().Hidden || out.Config.Layers != m.Config().Layers {
		t.Errorf("config %+v, loaded %+v", out.Config, *m.Config())
	}
	if got, want := out.Cache, 2*m.PageBytes(); got != want {
		t.Errorf("64 positions take %d bytes, want two pages, %d", got, want)
	}
	var head uint64 // the only matrices that are not laid out anew
	for _, name := range []string{"token_embd.weight", "output.weight"} {
		if info, ok := f.Tensor(name); ok {
			head += info.Size
		}
	}
	if out.Weights == 0 || out.Mapped != head {
		t.Errorf("%d bytes laid out, %d mapped; want some and %d", out.Weights, out.Mapped, head)
	}
	c := &m.config
	ids := make([]int32, 12)
	half := func() *Segment { return &Segment{Cache: newCache(t, m, 64), IDs: ids, Logits: allRows(len(ids))} }
	forward(t, m, half(), half())
	p := m.pass
	floats := cap(p.x) + cap(p.h.x) + cap(p.delta) + cap(p.angles) + cap(p.q) + cap(p.k) + cap(p.v) + cap(p.o.x) + cap(p.gate.x) + cap(p.up) + cap(p.logits)
	for _, scores := range p.scores {
		floats += cap(scores)
	}
	if got, want := passBytes(c, 24, 64, len(p.scores)), 4*floats+24*(c.Hidden+c.Heads*c.HeadDim+c.FeedForward); got != uint64(want) {
		t.Errorf("a pass is said to take %d bytes and takes %d", got, want)
	}
	if out.Pass != passBytes(c, 64, 64, runtime.GOMAXPROCS(0)) {
		t.Errorf("a pass over 64 positions is said to take %d bytes", out.Pass)
	}
	f.Metadata.Set(f.Metadata.All()[0].Key, "no architecture")
	if _, err := Check(f, Options{}, 0); fault.Code(err) != "MODEL_UNKNOWN_ARCH" {
		t.Errorf("[%s] %v", fault.Code(err), err)
	}
}
