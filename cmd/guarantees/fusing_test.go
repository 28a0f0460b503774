package guarantees

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fused matches a line of the compiler's assembly that rounds a product and a sum together.
var fused = regexp.MustCompile(`(?m)\((\S+:\d+)\)\t(FN?M(?:ADD|SUB)[SD]|VFN?M(?:ADD|SUB)\d+S[SD])\t.*$`)

// TestFusing: where the source adds to a product, the compiler may round both at once, and does so for arm64 and with GOAMD64=v3, unless a
// conversion rounds the product first. So that bits do not depend on the build, the rooms that make logits, ids and files always have one. Sums that
// are fused on purpose are assembly, or Go that computes the same everywhere (infer/kernel/fma.go).
func TestFusing(t *testing.T) {
	rooms := []string{"./gguf/...", "./quant/...", "./convert/...", "./infer", "./infer/kernel", "./infer/diffusion", "./infer/synthetic", "./infer/tokenizer/..."}
	control := filepath.Join(t.TempDir(), "control.go")
	if err := os.WriteFile(control, []byte("package p\n\nfunc f(a, b, c float32) float32 { return a*b + c }\n\nvar _ = f\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, settings := range []string{"GOARCH=arm64", "GOARCH=amd64 GOAMD64=v3"} {
		t.Run("R157 fusing policy, "+settings, func(t *testing.T) {
			find := func(packages ...string) [][]string {
				cmd := exec.Command("go", append([]string{"build", "-gcflags=-S"}, packages...)...)
				cmd.Dir, cmd.Env = root, append(os.Environ(), strings.Fields(settings)...)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%.2000s", err, out)
				}
				return fused.FindAllStringSubmatch(string(out), -1)
			}
			if len(find(control)) != 1 {
				t.Error("the compiler fuses no longer where it may, or its listing looks different: this test proves nothing")
			}
			for _, line := range find(rooms...) {
				t.Errorf("%s: %s; round the product by a conversion before adding to it", line[1], line[2])
			}
		})
	}
}
