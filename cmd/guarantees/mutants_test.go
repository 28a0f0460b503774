package guarantees

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readers are the rooms that read what others made, each with the rooms whose tests hold it: its own first.
var readers = []struct {
	room  string
	tests []string
}{
	{"gguf", []string{"./gguf", "./infer", "./cmd/wf"}},
	{"gguf/strictjson", []string{"./gguf/strictjson", "./convert", "./infer/server"}},
	{"quant", []string{"./quant", "./convert", "./cmd/wf"}},
	{"convert/checkpoint", []string{"./convert/checkpoint", "./convert", "./cmd/wf"}},
	{"convert", []string{"./convert", "./cmd/wf"}},
	{"infer", []string{"./infer", "./cmd/wf"}},
	{"infer/tokenizer", []string{"./infer/tokenizer", "./cmd/wf"}},
	{"infer/tokenizer/template", []string{"./infer/tokenizer/template", "./infer/tokenizer"}},
	{"infer/server", []string{"./infer/server", "./cmd/wf"}},
}

// validation is an if whose whole body makes an error with a code.
type validation struct {
	room       string
	tests      []string
	file       string // from the module's root
	line       int
	begin, end int // of its condition in the file
	condition  string
}

// refusal is what an error is made of: a code, whole or behind the prefix that convert adds, or the word of a helper that adds one.
var refusal = regexp.MustCompile(`"[A-Z]*(_[A-Z0-9]+)+"|\b(wrong|invalid|badRequest|malformed|bad|fail)\(`)

// validations lists those of the readers.
func validations(t *testing.T) (all []validation) {
	t.Helper()
	for _, r := range readers {
		files, err := filepath.Glob(filepath.Join(root, r.room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			text := func(n ast.Node) string {
				return string(source[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset])
			}
			ast.Inspect(file, func(n ast.Node) bool {
				check, ok := n.(*ast.IfStmt)
				if !ok || check.Else != nil || len(check.Body.List) != 1 {
					return true
				}
				condition := text(check.Cond)
				if !refusal.MatchString(text(check.Body.List[0])) || strings.Contains(condition, "err != nil") {
					return true
				}
				begin := set.Position(check.Cond.Pos())
				all = append(all, validation{
					r.room, r.tests, filepath.ToSlash(filepath.Join(r.room, filepath.Base(path))), begin.Line,
					begin.Offset, set.Position(check.Cond.End()).Offset, condition,
				})
				return true
			})
		}
	}
	return all
}

// without is the file with the validation removed: its condition never holds.
func (v validation) without(t *testing.T) string {
	source, err := os.ReadFile(filepath.Join(root, v.file))
	if err != nil {
		t.Fatal(err)
	}
	return string(source[:v.begin]) + "false && (" + v.condition + ")" + string(source[v.end:])
}

// failedRow finds a test that failed and names a row, failedTest any.
var (
	failedRow  = regexp.MustCompile(`--- FAIL: (\S*R\d+\S*)`)
	failedTest = regexp.MustCompile(`--- FAIL: (\S+)`)
)

// TestMutants is `make mutate`: WF_MUTATE validations, drawn by the seed WF_SEED, are removed in turn, and each time a test must fail.
// Without the variable it holds that there is enough to draw from, and that a removed validation still compiles.
func TestMutants(t *testing.T) {
	all := validations(t)
	if len(all) < 150 {
		t.Fatalf("R163: only %d validations are found", len(all))
	}
	count, err := strconv.Atoi(os.Getenv("WF_MUTATE"))
	if err != nil {
		t.Logf("R163: %d validations; make mutate removes ten of them", len(all))
		return
	}
	seed, err := strconv.ParseUint(os.Getenv("WF_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64N(1e6)
	}
	t.Logf("WF_SEED=%d draws %d of %d validations", seed, count, len(all))
	rows, other := 0, 0
	draw := rand.New(rand.NewPCG(seed, 163))
	drawn := draw.Perm(len(all))[:min(count, len(all))]
	if one := os.Getenv("WF_MUTANT"); one != "" { // file:line of a survivor, to try again
		drawn = slices.DeleteFunc(draw.Perm(len(all)), func(i int) bool { return fmt.Sprintf("%s:%d", all[i].file, all[i].line) != one })
	}
	for _, i := range drawn {
		v := all[i]
		t.Run(fmt.Sprintf("R163 %s:%d", v.file, v.line), func(t *testing.T) {
			overlay := overlaid(t, v.file, v.without(t))
			for _, room := range v.tests {
				switch found, isRow := v.foundIn(t, overlay, room); {
				case found == "":
					continue
				case isRow:
					rows++
				default:
					other++
				}
				return
			}
			t.Errorf("survives: if %s", v.condition)
		})
	}
	t.Logf("%d validations removed: %d found by tests of a row, %d by others, %d survive", len(drawn), rows, other, len(drawn)-rows-other)
}

// foundIn returns the test of a room that fails without the validation, and whether it names a row. A test that fails with it as well, since it measures
// time on a busy machine, is left out.
func (v validation) foundIn(t *testing.T, overlay, room string) (name string, isRow bool) {
	skip := "^$"
	for {
		out, err := goTest(t, root, "-overlay", overlay, "-failfast", "-vet", "off", "-skip", skip, room)
		if err == nil {
			return "", false
		}
		found := failedRow.FindSubmatch(out)
		if isRow = found != nil; !isRow {
			if found = failedTest.FindSubmatch(out); found == nil {
				t.Fatalf("no test failed, but go test did: %s", out)
			}
		}
		name = string(found[1])
		top, _, _ := strings.Cut(name, "/")
		if _, err := goTest(t, root, "-vet", "off", "-run", "^"+top+"$", room); err == nil {
			t.Logf("if %s: found by %s of %s", v.condition, name, room)
			return name, isRow
		}
		t.Logf("%s fails with it as well, and is left out", top)
		skip += "|^" + top + "$"
	}
}

// overlaid writes what go test -overlay takes: the file of that name has another content.
func overlaid(t *testing.T, file, content string) string {
	t.Helper()
	dir := t.TempDir()
	other, list := filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, "overlay.json")
	path, err := filepath.Abs(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{other: content, list: fmt.Sprintf(`{"Replace": {%q: %q}}`, path, other)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// goTest runs go test in a module's root. An error means that a test failed.
func goTest(t *testing.T, module string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test"}, args...)...)
	cmd.Dir = module
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")) {
		t.Fatalf("it does not compile: %s", out)
	}
	return out, err
}
