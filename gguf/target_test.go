package gguf

import (
	"encoding/json"
	gobuild "go/build"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTargets: of all that Go can build for, a processor of 32 bits or with the high byte first gets a message in place of a program.
func TestTargets(t *testing.T) {
	out, err := exec.Command("go", "tool", "dist", "list", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var targets []struct{ GOOS, GOARCH string }
	if err := json.Unmarshal(out, &targets); err != nil {
		t.Fatal(err)
	}
	narrowOrBigEndian := []string{"386", "arm", "mips", "mipsle", "mips64", "ppc64", "s390x"}
	refused := 0
	for _, target := range targets {
		t.Run("R160 "+target.GOOS+"/"+target.GOARCH, func(t *testing.T) {
			c := gobuild.Default
			c.GOOS, c.GOARCH = target.GOOS, target.GOARCH
			got, err := c.MatchFile(".", "target.go")
			if want := slices.Contains(narrowOrBigEndian, c.GOARCH); err != nil || got != want {
				t.Errorf("refused: %v (%v), want %v", got, err, want)
			}
			if got {
				refused++
			}
		})
	}
	if refused == 0 {
		t.Error("no target is refused")
	}
	t.Run("R160 message", func(t *testing.T) { // the file needs no other, so the compiler says of it what a whole build would say
		out, err := exec.Command("go", "tool", "compile", "-p", "gguf", "-o", filepath.Join(t.TempDir(), "gguf.a"), "target.go").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "needs_a_64_bit_little_endian_processor") {
			t.Errorf("the compiler says %q (%v)", out, err)
		}
	})
}
