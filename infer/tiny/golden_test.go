package tiny

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.json")

// golden is one decode by the reference program: testdata/tinydlm/README.md of the repository. cmd/wf holds what it does pass by pass.
type golden struct {
	Name          string  `json:"name"`
	Dialect       string  `json:"dialect"`
	Mode          string  `json:"mode"`
	Threshold     float32 `json:"threshold"`
	SubBlockCache bool    `json:"sub_block_cache"`
	MaxIterations int     `json:"max_iterations"`
	MaxNew        int     `json:"max_new"`
	PromptIDs     []int32 `json:"prompt_ids"`
	NewIDs        []int32 `json:"new_ids"`
}

// TestGoldenSet: the reference's ids, and on the way to them logits whose digests are those of every other machine, build, kernel and number of
// threads. CI runs it with GOAMD64=v3, for arm64, without AVX2 and without assembly. Plain Go and -short (emulation) take one prompt in all modes in
// place of all prompts; WF_EVAL=all (make eval) lifts that.
func TestGoldenSet(t *testing.T) {
	var goldens []golden
	readJSON(t, "../../testdata/tinydlm/golden/traces.json", &goldens)
	const digestsPath = "testdata/golden.json" // sha256 of a decode's logits, in the order of the traces
	digests := make([]string, len(goldens))
	if !*update {
		readJSON(t, digestsPath, &digests)
	}
	if len(goldens) != 135 || len(digests) != len(goldens) {
		t.Fatalf("%d golden traces, %d digests, want 135", len(goldens), len(digests))
	}
	some := (kernel.Name() == "generic" || testing.Short()) && os.Getenv("WF_EVAL") != "all"
	for _, threads := range []int{1, 2, 3, 8} {
		if some && threads != 2 {
			continue
		}
		t.Run(fmt.Sprintf("R157 logits and ids, GOARCH %s, kernel %s, %d threads", runtime.GOARCH, kernel.Name(), threads), func(t *testing.T) {
			models := map[string]*infer.Model{}
			for i, g := range goldens {
				if some && g.Name != "sum" {
					continue
				}
				m := models[g.Dialect]
				if m == nil {
					m = load(t, infer.Options{Threads: threads, Dialect: g.Dialect})
					models[g.Dialect] = m
				}
				ids, digest := g.decode(t, m)
				if !slices.Equal(ids, g.NewIDs) {
					t.Errorf("trace %d, %s/%s/%s: ids %v, want %v", i, g.Name, g.Dialect, g.Mode, ids, g.NewIDs)
				}
				if *update {
					digests[i] = digest
				}
				if digest != digests[i] {
					t.Errorf("trace %d, %s/%s/%s: the logits' digest is %s, on other machines %s", i, g.Name, g.Dialect, g.Mode, digest, digests[i])
				}
			}
		})
	}
	if *update {
		text, err := json.MarshalIndent(digests, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(digestsPath, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGoldenSetOnOtherKernels runs TestGoldenSet with every other kernel of this processor, each in a process that does not see the features of the
// better ones. WF_TEST_EXEC starts the process where this one is emulated, as -exec does for go test.
func TestGoldenSetOnOtherKernels(t *testing.T) {
	hide := map[string]string{ // what GODEBUG has to say
		"avxvnni": "cpu.avx512vnni=off",
		"avx2":    "cpu.avx512vnni=off,cpu.avxvnni=off",
		"neon":    "cpu.asimddp=off",
		"generic": "cpu.avx2=off,cpu.asimd=off",
	}
	if runtime.GOARCH == "arm64" {
		delete(hide, "generic") // the tests with -tags purego run it
	}
	var others []string
	for _, c := range kernel.Check() {
		if hide[c.Kernel] != "" && c.Kernel != kernel.Name() && !slices.Contains(others, c.Kernel) {
			others = append(others, c.Kernel)
		}
	}
	for _, name := range others {
		t.Run(name, func(t *testing.T) {
			args := append(strings.Fields(os.Getenv("WF_TEST_EXEC")), os.Args[0], "-test.run", "^TestGoldenSet$", "-test.v", fmt.Sprint("-test.short=", testing.Short()))
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "GODEBUG="+hide[name])
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "kernel_"+name+",") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func load(t *testing.T, o infer.Options) *infer.Model {
	t.Helper()
	file, err := gguf.Parse(Model)
	if err != nil {
		t.Fatal(err)
	}
	m, err := infer.LoadFile(file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// decode returns the new ids, and the digest of the logits of all passes in turn.
func (g *golden) decode(t *testing.T, m *infer.Model) (ids []int32, digest string) {
	t.Helper()
	tok, err := tokenizer.New(m.Metadata(), m.Config().Vocab, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	d, err := diffusion.NewDecoder(m, g.PromptIDs, diffusion.Options{
		Mode: g.Mode, Threshold: &g.Threshold, SubBlockCache: g.SubBlockCache, MaxIterations: g.MaxIterations, MaxTokens: g.MaxNew, Stop: tok.Stop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	var bytes []byte
	for seg := d.Next(); seg != nil; seg = d.Next() {
		if err := m.Forward([]*infer.Segment{seg}); err != nil {
			t.Fatal(err)
		}
		bytes = bytes[:0]
		for _, v := range seg.Out {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
		}
		hash.Write(bytes)
		if err := d.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	return d.Result().IDs, hex.EncodeToString(hash.Sum(nil)[:8])
}

func readJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
