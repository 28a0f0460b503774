package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/wrinklefree/wf/"

// mayImport is the house's plan: which rooms a room may import. Everything outside the module is free but for ownedModules.
var mayImport = map[string][]string{
	"gguf/fault":               {},
	"gguf/checked":             {},
	"gguf/names":               {},
	"gguf/disk":                {"gguf/fault", "gguf/checked"},
	"gguf/strictjson":          {"gguf/fault"},
	"gguf":                     {"gguf/fault", "gguf/checked", "gguf/names", "gguf/disk"},
	"quant":                    {"gguf", "gguf/fault", "gguf/checked", "gguf/names", "gguf/disk"},
	"convert/checkpoint":       {"gguf/fault", "gguf/checked", "gguf/disk"},
	"convert/sglkernel":        {"gguf/fault", "gguf/checked"},
	"convert":                  {"convert/checkpoint", "convert/sglkernel", "quant", "gguf", "gguf/fault", "gguf/checked", "gguf/names", "gguf/disk", "gguf/strictjson"},
	"infer/kernel":             {"quant", "gguf", "gguf/fault", "gguf/checked"},
	"infer":                    {"infer/kernel", "quant", "gguf", "gguf/fault", "gguf/checked", "gguf/names", "gguf/disk"},
	"infer/tokenizer":          {"infer/tokenizer/template", "gguf", "gguf/fault", "gguf/checked", "gguf/names"},
	"infer/tokenizer/template": {"gguf/fault", "gguf/checked"},
	"infer/diffusion":          {"infer", "infer/kernel", "gguf/fault", "gguf/names"},
	"infer/engine":             {"infer/diffusion", "infer", "gguf/fault"},
	"infer/server": {
		"infer/server/page", "infer/engine", "infer/diffusion", "infer/tokenizer", "infer", "gguf/fault", "gguf/strictjson",
	},
	"infer/server/page": {},
	"infer/show":        {"infer/diffusion", "gguf/fault", "gguf/strictjson"},
	"infer/synthetic":   {"quant", "gguf", "gguf/names"},
	"infer/tiny":        {},
	"cmd/guarantees":    {},
	"cmd/wf":            nil, // everything
}

// ownedModules may be imported by one room alone.
var ownedModules = map[string]string{
	"github.com/spf13/cobra":            "cmd/wf",
	"github.com/spf13/viper":            "cmd/wf",
	"github.com/schollz/progressbar/v3": "cmd/wf",
	"github.com/prometheus":             "infer/server",
	"github.com/rivo/uniseg":            "infer/show",
	"github.com/nlpodyssey/safetensors": "convert/checkpoint",
	"archive/zip":                       "convert/checkpoint",
	"net/http":                          "infer/server",
	"unsafe":                            "gguf",
}

// TestImports holds the plan against what go list sees of the non-test imports.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		room := strings.TrimPrefix(fields[0], module)
		seen++
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("room %s is not in the plan: add it to mayImport and to CONTRIBUTING.md", room)
		}
		for _, path := range fields[1:] {
			if inner, ok := strings.CutPrefix(path, module); ok && room != "cmd/wf" && !slices.Contains(allowed, inner) {
				t.Errorf("%s imports %s: imports point downward only", room, inner)
			}
			for owned, owner := range ownedModules {
				if (path == owned || strings.HasPrefix(path, owned+"/")) && room != owner && !(owned == "unsafe" && room == "infer/kernel") {
					t.Errorf("%s imports %s, which only %s may", room, path, owner)
				}
			}
		}
	}
	if seen < len(mayImport)-1 {
		t.Errorf("go list found %d rooms, the plan has %d", seen, len(mayImport))
	}
}
