package convert

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/wrinklefree/wf/gguf"
)

func TestTry(t *testing.T) {
	for _, typ := range []string{"f32", "f16", "bf16", "q8_0", "i2_s"} {
		out := filepath.Join(t.TempDir(), "x.gguf")
		r, err := Run(context.Background(), Options{Path: "../testdata/tinydlm/hf", Out: out, Type: typ, Version: "test", Notice: func(s string) { t.Log(s) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", r.Architecture)
		f, err := gguf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if typ == "i2_s" {
			for _, kv := range f.Metadata.All() {
				if kv.Key == "tokenizer.ggml.tokens" || kv.Key == "tokenizer.ggml.merges" || kv.Key == "tokenizer.ggml.token_type" {
					continue
				}
				t.Log(kv.Key, kv.Value)
			}
			for _, x := range r.Tensors {
				t.Log(x)
			}
		}
		f.Close()
	}
}
