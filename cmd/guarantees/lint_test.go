package guarantees

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// source is the module's packages with the types of everything in them.
type source struct {
	root   string
	files  *token.FileSet
	rooms  []*room
	roomOf map[*types.Package]*room
	bodies map[types.Object]ast.Node // of functions, and of variables that hold a function literal from the start
}

type room struct {
	path   string // from the module's root
	syntax []*ast.File
	info   types.Info
}

const module = "github.com/wrinklefree/wf/"

// load type-checks the module's non-test files against the compiler's export data.
func load(t *testing.T) *source {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export", "./...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
	}
	exports, ours := map[string]string{}, []listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, module) && len(p.GoFiles) > 0 {
			ours = append(ours, p)
		}
	}
	s := &source{files: token.NewFileSet(), roomOf: map[*types.Package]*room{}, bodies: map[types.Object]ast.Node{}}
	if s.root, err = filepath.Abs(root); err != nil {
		t.Fatal(err)
	}
	check := types.Config{Importer: importer.ForCompiler(s.files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	for _, p := range ours {
		r := &room{path: strings.TrimPrefix(p.ImportPath, module), info: types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
		}}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(s.files, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			r.syntax = append(r.syntax, file)
		}
		checked, err := check.Check(p.ImportPath, s.files, r.syntax, &r.info)
		if err != nil {
			t.Fatal(err)
		}
		s.rooms, s.roomOf[checked] = append(s.rooms, r), r
		s.collect(r)
	}
	return s
}

func (s *source) collect(r *room) {
	for _, f := range r.syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					s.bodies[r.info.Defs[n.Name]] = n.Body
				}
			case *ast.AssignStmt:
				for i, right := range n.Rhs {
					if literal, ok := right.(*ast.FuncLit); ok {
						if name, ok := n.Lhs[i].(*ast.Ident); ok && r.info.Defs[name] != nil {
							s.bodies[r.info.Defs[name]] = literal.Body
						}
					}
				}
			}
			return true
		})
	}
}

// readingRooms are where sizes that a file states enter. Behind them a size has been held against the file: an offset and a size of a tensor that was
// accepted lie inside it, and so does their sum.
var readingRooms = map[string]bool{"gguf": true, "gguf/disk": true, "convert/checkpoint": true, "convert/sglkernel": true}

// boundedSizes are the functions of these rooms that add, multiply or narrow 64-bit sizes without package checked, and why none of them can wrap.
var boundedSizes = map[string]string{
	"gguf/disk/disk.go Release":                         "offset and size are those of a tensor inside the file, and the map is sliced only where it reaches",
	"gguf/entries.go key":                               "a key has at most 65535 bytes",
	"gguf/entries.go strings":                           "the count is at most its limit, or fits the file at 8 bytes each",
	"gguf/entries.go numbers":                           "the count fits the file, and the budget is asked before it is narrowed",
	"gguf/file.go TensorReader":                         "a tensor's range lies inside the file",
	"gguf/file.go Bytes":                                "a tensor's range lies inside the file",
	"gguf/file.go Release":                              "a tensor's range lies inside the file",
	"gguf/file.go dirtyPadding":                         "a tensor's range lies inside the file",
	"gguf/file.go zeros":                                "from and to lie inside the file",
	"gguf/header.go version":                            "at most 512",
	"gguf/infos.go tensors":                             "count has bounded it",
	"gguf/parser.go take":                               "at most what is left of the file",
	"gguf/parser.go spend":                              "at most what is left of the budget",
	"gguf/plan.go newHeader":                            "each size is at most 2^63-1, their sum so far at most 2^62",
	"gguf/split.go gather":                              "sizes of at most 99999 files of this machine",
	"gguf/split.go Split":                               "Plan has found that all of it fits 2^62",
	"gguf/tensor.go Rows":                               "measure has checked the product of all dimensions",
	"gguf/tensor.go place":                              "placed has checked the sum",
	"gguf/writer.go Write":                              "bytes that were written",
	"convert/checkpoint/index.go readIndex":             "sizes of tensors inside files, for a warning",
	"convert/checkpoint/json.go hex":                    "four hexadecimal digits",
	"convert/checkpoint/pickle.go long":                 "a value of at most eight bytes, sign-extended",
	"convert/checkpoint/safetensors.go readSafetensors": "the header fits the file, and tile has held every range against the rest",
	"convert/checkpoint/safetensors.go scanTensor":      "a dtype's width",
	"convert/checkpoint/source.go Scan":                 "data has found the entry inside the file",
	"convert/checkpoint/tensor.go Size":                 "a dtype's width",
	"convert/checkpoint/tensor.go gather":               "no dimension is more than the elements, which are in the file",
	"convert/checkpoint/torch.go readTorch":             "data has found the entry inside the file",
	"convert/checkpoint/torch.go locate":                "at most the storage's elements, which are in the file",
	"convert/checkpoint/write.go Write":                 "bytes that were written",
	"convert/checkpoint/zip.go openZip":                 "findDirectory has found them inside the file",
	"convert/checkpoint/zip.go findDirectory":           "the file's own size, and an offset that Within has accepted",
	"convert/checkpoint/zip.go data":                    "the header lies inside the file, and two 16-bit lengths follow",
	"convert/sglkernel/sglkernel.go Size":               "sizes of tensors that are in memory or in a file",
	"convert/sglkernel/sglkernel.go Write":              "bytes that were written",
	"convert/sglkernel/sglkernel.go bytes":              "at most what is left of the file",
	"convert/sglkernel/sglkernel.go tensor":             "at most what is left of the file",
}

// rawSizes finds sums, products and narrowing conversions of uint64 values that are no constants.
func (s *source) rawSizes(r *room, f *ast.File, found func(in string, n ast.Node, what string)) {
	kind := func(e ast.Expr) types.BasicKind {
		if v := r.info.Types[e]; v.Value == nil && v.Type != nil {
			if b, ok := v.Type.Underlying().(*types.Basic); ok {
				return b.Kind()
			}
		}
		return types.Invalid
	}
	s.walk(f, func(in string, n ast.Node) {
		switch n := n.(type) {
		case *ast.CallExpr:
			if to := r.info.Types[n.Fun]; to.IsType() && len(n.Args) == 1 && kind(n.Args[0]) == types.Uint64 {
				if b, ok := to.Type.Underlying().(*types.Basic); ok && b.Info()&types.IsInteger != 0 && b.Kind() != types.Uint64 && b.Kind() != types.Uint8 {
					found(in, n, "narrows")
				}
			}
		case *ast.BinaryExpr:
			if (n.Op == token.MUL || n.Op == token.ADD) && kind(n) == types.Uint64 {
				found(in, n, "may wrap")
			}
		case *ast.AssignStmt:
			if (n.Tok == token.MUL_ASSIGN || n.Tok == token.ADD_ASSIGN) && kind(n.Lhs[0]) == types.Uint64 {
				found(in, n, "may wrap")
			}
		}
	})
}

// walk visits every node with the name of the function that it is in, as "gguf/file.go Bytes".
func (s *source) walk(f *ast.File, visit func(in string, n ast.Node)) {
	path, err := filepath.Rel(s.root, s.files.Position(f.Package).Filename)
	if err != nil {
		panic(err)
	}
	for _, d := range f.Decls {
		in := filepath.ToSlash(path)
		if fn, ok := d.(*ast.FuncDecl); ok {
			in += " " + fn.Name.Name
		}
		ast.Inspect(d, func(n ast.Node) bool { visit(in, n); return true })
	}
}

// unguarded are the functions that start a goroutine which no recover contains, and why it cannot panic or is contained elsewhere.
var unguarded = map[string]string{
	"quant/order.go InOrder":            "numbers the pieces; the goroutines that compute them recover",
	"infer/engine/admission.go enqueue": "ends a request, and runs nothing of it",
	"infer/engine/engine.go New":        "writes a line to the log",
	"infer/engine/engine.go Drain":      "wakes whoever waits",
	"cmd/wf/interrupt.go interruptible": "waits for a signal",
	"cmd/wf/serve.go run":               "net/http and guard recover in every connection",
}

// goroutines finds functions that run on a goroutine of their own: go f(), group.Go(f), AfterFunc(f).
func (s *source) goroutines(r *room, f *ast.File, found func(in string, n ast.Node, body ast.Node)) {
	s.walk(f, func(in string, n ast.Node) {
		switch n := n.(type) {
		case *ast.GoStmt:
			found(in, n, n.Call.Fun)
		case *ast.CallExpr:
			if of, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 && (of.Sel.Name == "Go" || of.Sel.Name == "AfterFunc") {
				found(in, n, n.Args[len(n.Args)-1])
			}
		}
	})
}

// recovers reports whether what runs is contained: it defers a recover, or calls a function of the module that does.
func (s *source) recovers(r *room, body ast.Node, depth int) (yes bool) {
	if depth == 0 {
		return false
	}
	ast.Inspect(body, func(n ast.Node) bool {
		if yes {
			return false
		}
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		switch object := r.info.Uses[id].(type) {
		case *types.Builtin:
			yes = object.Name() == "recover"
		case *types.Func, *types.Var:
			if made := s.bodies[object]; made != nil && made != body {
				yes = s.recovers(s.roomOf[object.Pkg()], made, depth-1)
			}
		}
		return true
	})
	return yes
}

// TestR165 is what no linter for all the world can know: where a house rule may be broken, and why.
func TestR165(t *testing.T) {
	s := load(t)
	used := map[string]bool{}
	excused := func(table map[string]string, in string) bool {
		used[in] = true
		return table[in] != ""
	}
	for _, r := range s.rooms {
		for _, f := range r.syntax {
			if readingRooms[r.path] {
				s.rawSizes(r, f, func(in string, n ast.Node, what string) {
					if !excused(boundedSizes, in) {
						t.Errorf("R165 %s: %s: a size from a file %s: use gguf/checked", s.files.Position(n.Pos()), in, what)
					}
				})
			}
			s.goroutines(r, f, func(in string, n, body ast.Node) {
				if !s.recovers(r, body, 4) && !excused(unguarded, in) {
					t.Errorf("R165 %s: %s: a goroutine without recover", s.files.Position(n.Pos()), in)
				}
			})
			s.walk(f, func(in string, n ast.Node) {
				switch n := n.(type) {
				case *ast.ImportSpec:
					if path, _, _ := strings.Cut(in, " "); n.Path.Value == `"unsafe"` && path != "gguf/view.go" && !besideAssembly(t, path) {
						t.Errorf("R165 %s imports unsafe", path)
					}
				case *ast.Ident:
					if o := r.info.Uses[n]; o != nil && o.Pkg() != nil && o.Pkg().Path() == "net/http" && globalMux[o.Name()] && o.Parent() == o.Pkg().Scope() {
						t.Errorf("R165 %s: %s uses http.%s, which anybody may add routes to", s.files.Position(n.Pos()), in, o.Name())
					}
				case *ast.CallExpr:
					of, ok := n.Fun.(*ast.SelectorExpr)
					if o := r.info.Uses[selected(of, ok)]; o != nil && o.Pkg() != nil && o.Pkg().Path() == "regexp" && strings.Contains(o.Name(), "Compile") &&
						r.info.Types[n.Args[0]].Value == nil && !excused(compiled, in) {
						t.Errorf("R165 %s: %s compiles a pattern that is no constant", s.files.Position(n.Pos()), in)
					}
				}
			})
		}
	}
	for _, table := range []map[string]string{boundedSizes, unguarded, compiled} {
		for in := range table {
			if !used[in] {
				t.Errorf("R165: %s needs no excuse any more", in)
			}
		}
	}
}

func selected(of *ast.SelectorExpr, ok bool) *ast.Ident {
	if !ok {
		return nil
	}
	return of.Sel
}

// globalMux is what net/http has for whoever is content with one mux in a process.
var globalMux = map[string]bool{"DefaultServeMux": true, "Handle": true, "HandleFunc": true, "ListenAndServe": true, "ListenAndServeTLS": true}

// compiled are the functions that compile a pattern that is no constant, and where it comes from.
var compiled = map[string]string{
	"quant/types.go ParseRule": "the command line; regexp takes time linear in the text",
	"cmd/wf/quantize.go":       "the names of wf's own types",
}

// besideAssembly reports whether a file of infer/kernel has its assembly beside it.
func besideAssembly(t *testing.T, path string) bool {
	all, err := filepath.Glob(filepath.Join(root, "infer/kernel/*.s"))
	if err != nil || len(all) == 0 {
		t.Fatal("no assembly is found")
	}
	return filepath.Dir(path) == "infer/kernel" && (strings.HasSuffix(path, "_amd64.go") || strings.HasSuffix(path, "_arm64.go"))
}
