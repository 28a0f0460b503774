package infer

import (
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
	f.Metadata.Set(f.Metadata.All()[0].Key, "no architecture")
	if _, err := Check(f, Options{}, 0); fault.Code(err) != "MODEL_UNKNOWN_ARCH" {
		t.Errorf("[%s] %v", fault.Code(err), err)
	}
}
