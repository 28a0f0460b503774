package guarantees

import (
	"debug/buildinfo"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestR164 holds every module in the binary, and the Go that built it, to the first version without a known vulnerability, which testdata/minimum.txt
// lists. .ci/vulnerabilities asks the whole database; this test asks for no network. WF_BINARY names a binary that is to be given to others; without it
// this Go builds one, of which only the modules are judged.
func TestR164(t *testing.T) {
	binary := os.Getenv("WF_BINARY")
	released := binary != ""
	if !released {
		binary = filepath.Join(t.TempDir(), "wf")
		build := exec.Command("go", "build", "-o", binary, "./cmd/wf")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("testdata/minimum.txt")
	if err != nil {
		t.Fatal(err)
	}
	minimum := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] != "#" {
			minimum[fields[0]] = fields[1]
		}
	}
	t.Run("R164 modules", func(t *testing.T) {
		if len(info.Deps) < 10 {
			t.Fatalf("the binary names %d modules", len(info.Deps))
		}
		for _, m := range info.Deps {
			if least := minimum[m.Path]; least == "" {
				t.Errorf("%s is not in testdata/minimum.txt: look for its vulnerabilities and add it", m.Path)
			} else if older(m.Version, least) {
				t.Errorf("%s %s; wanted at least %s", m.Path, m.Version, least)
			}
		}
	})
	t.Run("R164 Go", func(t *testing.T) {
		least := minimum["go"]
		if !version.IsValid(least) {
			t.Fatalf("testdata/minimum.txt asks for Go %q", least)
		}
		if released && version.Compare(info.GoVersion, least) < 0 {
			t.Errorf("%s was built by %s; wanted at least %s", binary, info.GoVersion, least)
		}
	})
}

// older compares module versions, v1.2.3 or v1.2.3-rest.
func older(a, b string) bool {
	a, restA, _ := strings.Cut(a, "-")
	b, restB, _ := strings.Cut(b, "-")
	if c := slices.Compare(numbers(a), numbers(b)); c != 0 {
		return c < 0
	}
	return restA < restB
}

func numbers(version string) (n []int) {
	for part := range strings.SplitSeq(strings.TrimPrefix(version, "v"), ".") {
		v, _ := strconv.Atoi(part)
		n = append(n, v)
	}
	return n
}
