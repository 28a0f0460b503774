package checkpoint

import (
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
)

func TestFixtures(t *testing.T) {
	for _, path := range []string{"fixtures/bitnet-online", "fixtures/bitnet-sharded", "fixtures/wrinklefree-pt", "fixtures/bitnet-packed-autobitlinear",
		"fixtures/llama-packed-bitlinear", "fixtures/bitnet-no-subln", "fixtures/fast-dllm-qwen", "tinydlm/hf", "tinydlm/pt"} {
		t.Run(path, func(t *testing.T) {
			c, err := Open("../../testdata/" + path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, s := range c.Sources {
				t.Log(s.Name, s.Size)
			}
			t.Log(c.Format, c.Dir, c.Notices)
			for _, x := range c.Tensors {
				h := sha256.New()
				n, err := io.Copy(h, io.NewSectionReader(x, 0, x.Size()))
				if err != nil || n != x.Size() {
					t.Fatal(n, err)
				}
				t.Log(x.Name, x.DType, x.Shape, fmt.Sprintf("%x", h.Sum(nil)[:4]))
			}
		})
	}
}
