package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// TestR168 holds the codes of the acceptance list: one entry in the documentation, the exit status that scripts rely on. Whatever an error says, its
// line stays short; and each place that makes a coded error shows a value, unless there is none to show.
func TestR168(t *testing.T) {
	list, err := os.ReadFile("testdata/codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(docs + "errors.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		code, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		status, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		t.Run("R168 "+code, func(t *testing.T) {
			if n := strings.Count(string(page), "| `"+code+"` |"); n != 1 {
				t.Errorf("docs/errors.md has %d entries", n)
			}
			err := fmt.Errorf("%s: %w", strings.Repeat("long/", 100), fault.New(code, "value %s", fault.Quote(strings.Repeat("x", 1000))))
			if got := exitStatus(err); got != status {
				t.Errorf("exit status %d, want %d", got, status)
			}
			if text := errorLine(err); len(text) > maxErrorLine || !strings.HasSuffix(text, " ["+code+"]") {
				t.Errorf("%d bytes: %s", len(text), text)
			}
		})
	}
	if seen < 80 {
		t.Errorf("R168: %d codes are listed", seen)
	}
	t.Run("R168 values", func(t *testing.T) {
		list, err := os.ReadFile("testdata/valueless.txt")
		if err != nil {
			t.Fatal(err)
		}
		valueless := strings.Split(string(list), "\n")
		inspectSource(t, func(set *token.FileSet, _ string, n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return
			}
			for i := range len(call.Args) - 1 {
				code, text := constant(call.Args[i]), constant(call.Args[i+1])
				if isCode.MatchString(code) && !notCodes.MatchString(code) && !isCode.MatchString(text) && text != "" && !strings.Contains(text, "%") && len(call.Args) == i+2 &&
					!slices.Contains(valueless, text) {
					t.Errorf("%s: %q shows no value; if there is none, list it in testdata/valueless.txt", set.Position(call.Pos()), text)
				}
			}
		})
	})
}

// constant is a literal text, or what begins with one.
func constant(e ast.Expr) string {
	for {
		sum, ok := e.(*ast.BinaryExpr)
		if !ok {
			break
		}
		e = sum.X
	}
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		return text
	}
	return ""
}
