package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite what is generated instead of comparing it")

//go:generate go test . -run TestGeneratedDocs -update

const docs = "../../docs/"

// TestGeneratedDocs holds docs/commands and docs/errors.md against the commands and codes they are made from.
func TestGeneratedDocs(t *testing.T) {
	want := map[string][]byte{"errors.md": errorsPage()}
	root := newRootCmd(&environment{})
	for _, cmd := range root.Commands() {
		if cmd.Runnable() && !cmd.Hidden {
			want["commands/"+cmd.Name()+".md"] = commandPage(cmd)
		}
	}
	for name, page := range want {
		if *update {
			if err := os.WriteFile(docs+name, page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(docs + name)
		if err != nil || !bytes.Equal(got, page) {
			t.Errorf("docs/%s is not what the commands say (%v): run make generate", name, err)
		}
	}
	pages, err := filepath.Glob(docs + "commands/*.md")
	if err != nil || len(pages) != len(want)-1 {
		t.Errorf("docs/commands has %d pages for %d commands (%v)", len(pages), len(want)-1, err)
	}
}

// commandPage is one command as Markdown: examples, what it does, flags.
func commandPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# wf %s\n\n%s.\n\n    %s\n", cmd.Name(), cmd.Short, cmd.UseLine())
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", regexp.MustCompile(`(?m)^  `).ReplaceAllString(cmd.Example, ""))
	}
	if cmd.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", cmd.Long)
	}
	b.WriteString("\n## Flags\n\n| flag | meaning |\n| --- | --- |\n")
	eachFlag(cmd, func(typed, usage string) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", typed, strings.ReplaceAll(usage, "|", `\|`))
	})
	return b.Bytes()
}

func errorsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Errors and exit status\n\nAn error is one line on standard error: `wf: PATH: what is wrong [CODE]`. The exit status is the code's.\n\n")
	b.WriteString("| status | meaning |\n| --- | --- |\n")
	for _, s := range statusMeaning {
		fmt.Fprintf(&b, "| %d | %s |\n", s.status, s.text)
	}
	b.WriteString("\n| code | status | meaning | what to do |\n| --- | --- | --- | --- |\n")
	for _, f := range faultCodes {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", f.code, f.status, f.means, f.remedy)
	}
	return b.Bytes()
}

// TestEveryCodeIsDocumented finds every code that a room can return (an upper-case string with an underscore or a known name, given to fault.New or
// returned by a Code method) and asks for exactly one line in the table, and no line without a code.
func TestEveryCodeIsDocumented(t *testing.T) {
	table := map[string]int{}
	for _, f := range faultCodes {
		table[f.code]++
		if table[f.code] > 1 {
			t.Errorf("code %s stands twice in faults.go", f.code)
		}
		if f.means == "" || f.remedy == "" || f.status < exitBug || f.status > exitBusy {
			t.Errorf("code %s: the line is incomplete", f.code)
		}
	}
	used := codesInSource(t)
	for code, where := range used {
		if table[code] == 0 {
			t.Errorf("code %s (%s) is not in faults.go", code, where)
		}
	}
	for code := range table {
		if used[code] == "" {
			t.Errorf("code %s is in faults.go, but no room returns it", code)
		}
	}
}

// isCode tells a code from other strings in the source.
var isCode = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$|^(USAGE|LOCKED|PERMISSION|OVERLOADED|DRAINING|STALLED|CANCELLED|DEADLINE|INTERNAL)$`)

// codesInSource lists the codes in the module's non-test files: string literals that look like one, where an error is made.
func codesInSource(t *testing.T) map[string]string {
	used := map[string]string{}
	inspectSource(t, func(set *token.FileSet, path string, n ast.Node) {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING || filepath.Base(path) == "faults.go" {
			return
		}
		s, err := strconv.Unquote(lit.Value)
		if err != nil {
			return
		}
		for _, code := range composed(path, s) {
			if isCode.MatchString(code) && !notCodes.MatchString(code) {
				used[code] = set.Position(lit.Pos()).String()
			}
		}
	})
	return used
}

// inspectSource visits every node of the module's non-test files.
func inspectSource(t *testing.T, visit func(set *token.FileSet, path string, n ast.Node)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			visit(set, path, n)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// composed returns the codes that a literal makes: itself, or, for the second half of a code, what convert puts in front. Any JSON file beside a checkpoint
// can be wrong in the ways of convert/json.go, the tokenizer's in some more.
func composed(path, literal string) []string {
	switch {
	case !strings.HasPrefix(literal, "_") || !strings.Contains(filepath.ToSlash(path), "/convert/"):
		return []string{literal}
	case strings.HasSuffix(path, "json.go"):
		return []string{"CONFIG" + literal, "TOKENIZER" + literal}
	}
	return []string{"TOKENIZER" + literal}
}

// notCodes are upper-case words that mean something else in this source: tensor types, variables, pickle opcodes.
var notCodes = regexp.MustCompile(`^(IQ|Q|TQ|F|I|MXFP|NVFP|TL)[0-9]|^WF_|^(MODEL_PATH|NO_COLOR|XDG_STATE_HOME)$|^(SHORT_|LONG_|EMPTY_(SET|LIST|DICT|TUPLE))|` +
	`^(STACK_GLOBAL|READONLY_BUFFER|NEXT_BUFFER|POP_MARK|NEWOBJ_EX)$`)
