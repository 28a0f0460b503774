package guarantees

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plantedBug is a fuzz target with a bug that it must find: in file, old, which stands there once, becomes new.
type plantedBug struct{ room, target, file, old, new string }

var planted = []plantedBug{
	{"gguf", "FuzzReader", "gguf/entries.go", `is not printable UTF-8", fault.Quote(key))`, `is not printable UTF-8", key)`},
	{"gguf", "FuzzMetadata", "gguf/parser.go", "return p.text.String()[start:], nil", "return p.text.String()[start+len(b)/20:], nil"},
	{"convert", "FuzzConfig", "convert/json.go", `*f.problems = append(*f.problems, f.doc.fail(missingKey, "%s`, `_ = append(*f.problems, f.doc.fail(missingKey, "%s`},
	{"convert", "FuzzTokenizerJSON", "convert/vocabulary.go", `r.fail(missingKey, "an entry`, `r.fail("-", "an entry`},
	{"convert", "FuzzSentencePiece", "convert/sentencepiece.go", `fault.New("TOKENIZER_BAD_MODEL"`, `fault.New("BAD_MODEL"`},
	{"convert/sglkernel", "FuzzRead", "convert/sglkernel/sglkernel.go", "if n > uint64(p.size-p.pos) {", "if n > uint64(p.size-p.pos)+1 {"},
	{"convert/checkpoint", "FuzzSafetensorsHeader", "convert/checkpoint/safetensors.go", "if covered < size {", "if covered < size/2 {"},
	{"convert/checkpoint", "FuzzPickle", "convert/checkpoint/pickle.go", "if len(m.marks) == 0 {", "if len(m.marks) == 0 && m.off > 1000 {"},
	{"convert/checkpoint", "FuzzZip", "convert/checkpoint/zip.go", "zip64(text[nameLength:], &size", "zip64(text[nameLength+nameLength%2:], &size"},
	{"infer", "FuzzLoad", "infer/ternary.go", `fault.New("TENSOR_BAD_TERNARY_CODE"`, `fault.New(""`},
	{"infer/tokenizer", "FuzzEncodeDecode", "infer/tokenizer/encode.go", "return s.take(len(s.pending))", "return s.take(len(s.pending) / 2)"},
	{"infer/tokenizer", "FuzzSentencePieceText", "infer/tokenizer/spm.go", `strings.ReplaceAll(text, " ", blank)`, `strings.ReplaceAll(strings.ToLower(text), " ", blank)`},
	{"infer/tokenizer/template", "FuzzTemplate", "infer/tokenizer/template/run.go", `b == -1); op == "%" {`, `b == -1); result == 3 { panic(op) } else if op == "%" {`},
	{"infer/diffusion", "FuzzEvent", "infer/diffusion/events.go", "math.Round(float64(t.Confidence)*1e6)", "math.Floor(float64(t.Confidence)*1e6)"},
	{"cmd/wf", "FuzzConversation", "cmd/wf/chat_session.go", `return malformedSession("member %s is unknown", fault.Quote(key))`, `panic(fault.Quote(key))`},
	{"infer/diffusion", "FuzzReadInfill", "infer/diffusion/infilltext.go", `fault.New("BAD_INFILL", "hole %d, %s, has no end`, `fault.New("", "hole %d, %s, has no end`},
	{"infer/show", "FuzzReadTrace", "infer/show/read.go", `t.fail("TRACE_MALFORMED", format`, `t.fail("", format`},
	{"infer/server", "FuzzBody", "gguf/strictjson/strictjson.go", "if _, err := d.Token(); err != io.EOF {", "if _, err := d.Token(); err == io.ErrNoProgress {"},
	{"quant", "FuzzRecall", "quant/words.go", `if rest != "" || Record(words, o) != text {`, `if rest != "" {`},
	{"quant", "FuzzDecode", "quant/tq.go", "int8(uint16(rest)*3>>8) - 1", "int8((uint16(rest)*3+3)>>8) - 1"},
	{"quant", "FuzzUnpackI2S", "quant/i2s.go", "if v&(v>>1)&0x55 == 0 {", "if v&(v>>1)&0x54 == 0 {"},
}

// TestFuzzTargets keeps the table complete: a target without a planted bug, or a bug that no longer can be planted, fails. The targets' own seeds run
// with every go test.
func TestFuzzTargets(t *testing.T) {
	known := map[string]bool{}
	for _, p := range planted {
		known[p.room+" "+p.target] = true
		t.Run("R162 "+p.target, func(t *testing.T) { p.source(t) })
	}
	targets := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				targets++
				room, err := filepath.Rel(root, filepath.Dir(path))
				if name := filepath.ToSlash(room) + " " + f.Name.Name; err != nil || !known[name] {
					t.Errorf("R162: %s has no planted bug in fuzz_test.go (%v)", name, err)
				}
			}
		}
		return nil
	})
	if err != nil || targets != len(planted) {
		t.Errorf("R162: %d targets are in the source, %d in the table (%v)", targets, len(planted), err)
	}
}

// source is the file with the bug.
func (p *plantedBug) source(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, p.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte(p.old)); n != 1 {
		t.Fatalf("%s has %d times %q: plant another bug", p.file, n, p.old)
	}
	return strings.Replace(string(source), p.old, p.new, 1)
}

// TestPlantedBugs is the second half of `make fuzz`: with its bug in place, every target must fail within WF_PLANT, by its seeds or by what the fuzzer
// makes of them. It works on a copy of the tree and a cache of its own, since the fuzzer keeps what it finds in both.
func TestPlantedBugs(t *testing.T) {
	limit := os.Getenv("WF_PLANT")
	if limit == "" {
		return
	}
	tree := t.TempDir()
	if err := exec.Command("sh", "-c", `cd "$1" && tar -c --exclude ./.git --exclude ./bin . | tar -x -C "$2"`, "sh", root, tree).Run(); err != nil {
		t.Fatal(err)
	}
	for _, p := range planted {
		t.Run("R162 "+p.target, func(t *testing.T) {
			began, file := time.Now(), filepath.Join(tree, p.file)
			sound, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			defer os.WriteFile(file, sound, 0o600)
			if err := os.WriteFile(file, []byte(p.source(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := goTest(t, tree, "-vet", "off", "-run", "^"+p.target+"$", "-fuzz", "^"+p.target+"$", "-fuzztime", limit,
				"-fuzzminimizetime", "10x", "./"+p.room, "-test.fuzzcachedir", t.TempDir())
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: "+p.target)) {
				t.Errorf("%s: %s becomes %s: not found within %s: %s", p.file, p.old, p.new, limit, out)
			}
			t.Logf("after %v", time.Since(began).Round(time.Second))
		})
	}
}
