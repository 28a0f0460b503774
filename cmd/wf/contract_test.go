package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
)

// contracts are command lines whose output docs/json.md describes, by the page's section. A command that gets --json gets a section there and a line
// here. A line may end in another exit status, as "= 3".
var contracts = map[string][]string{
	"wf convert": {
		"convert checkpoint --json",
		"convert checkpoint --json --outtype i2_s --split-max-size 1M -o split.gguf",
		"convert checkpoint --json --dry-run -o x.gguf --threshold 0.9 --decode-mode greedy",
		"convert checkpoint --json --dry-run -o x.gguf --mask-token-id none",
		"convert dense --json --dry-run",
		"convert packed --json --dry-run",
	},
	"wf quantize":               {"quantize model.gguf I2_S --json", "quantize model.gguf TQ1_0 --json --dry-run"},
	"wf quantize --print-rules": {"quantize --print-rules --json I2_S"},
	"wf inspect": {
		"inspect model.gguf --json",
		"inspect packed.gguf --json",
		"inspect checkpoint --json",
		"inspect packed --json",
		"inspect dense --json",
		"inspect damaged.gguf --json = 3",
		"inspect short.gguf --json = 3",
		"inspect questions.jsonl --json = 3",
		"inspect model.sgl.bin --json",
	},
	"wf generate": {
		"generate Hello --json",
		"generate Hello --json --decode-mode auto",
		"generate Hello --json --mask-token-id none -n 8",
		"generate Hello --json --infill [[2]]!",
	},
	"wf verify": {
		"verify packed.gguf --json",
		"verify packed.gguf --json --source model.gguf",
		"verify odd.gguf --json",
		"verify damaged.gguf --json = 3",
		"verify short.gguf --json = 3",
	},
	"wf eval": {
		"eval questions.jsonl --json --limit 2",
		"eval questions.jsonl --json --modes greedy,iterative --max-tokens 2 --min 0.9 = 3",
	},
	"wf perplexity": {"perplexity -f questions.jsonl --chunks 1 --json"},
	"wf tokenize":   {"tokenize Hello --json", "tokenize --token-ids 3 --json"},
	"wf logits":     {"logits --token-ids 2,270 -o logits.safetensors --json"},
	"wf doctor":     {"doctor --json"},
	"wf bench": {
		"bench --json -p 8 -n 1 -r 1",
		"bench --json -p 8 -n 0 -r 1 --peak --eval questions.jsonl --sweep threshold=0.5:0.5",
	},
	"wf serve --benchmark": {"serve --benchmark --benchmark-iterations 2 --json"},
	"wf config":            {"config --json"},
	"wf version":           {"version --json"},
}

// rare are optional fields that no run here can have.
var rare = map[string]string{
	"wf doctor checks[].error":           "of a processor that computes wrongly",
	"wf inspect tokenizer.stop":          "of a checkpoint whose generation_config.json lists several ids",
	"wf inspect tensors[].ternary.mixed": "of TQ1_0 and TQ2_0 made by other programs",
}

// TestJSONContract runs every command that prints JSON, and holds what it prints against docs/json.md, field by field: none that the page does not
// have, none missing that is not optional, each of its type. Optional fields must occur in some run, so that the page promises nothing untried.
func TestJSONContract(t *testing.T) {
	page := readContracts(t)
	for _, cmd := range newRootCmd(&environment{}).Commands() {
		covered := slices.ContainsFunc(slices.Collect(maps.Keys(contracts)), func(s string) bool { return strings.HasPrefix(s+" ", "wf "+cmd.Name()+" ") })
		if cmd.Flags().Lookup("json") != nil && !covered {
			t.Errorf("wf %s has --json: describe its output in docs/json.md, and give TestJSONContract a line that prints it", cmd.Name())
		}
	}
	t.Chdir(contractFiles(t))
	for section, lines := range contracts {
		fields := page[section]
		if fields == nil {
			t.Errorf("docs/json.md has no section %q with a table of fields", section)
			continue
		}
		seen := map[string]bool{}
		for _, line := range lines {
			h := holder{t: t, line: line, fields: fields, seen: seen}
			h.hold(runForJSON(t, line), "")
		}
		for name := range fields {
			if !seen[name] && rare[section+" "+name] == "" {
				t.Errorf("docs/json.md, %s: no run has %s; give TestJSONContract a line in which it occurs, or take it off the page", section, name)
			}
		}
	}
	for section := range page {
		if contracts[section] == nil {
			t.Errorf("docs/json.md describes %s, of which TestJSONContract knows no line", section)
		}
	}
}

// field is a row of a table in docs/json.md.
type field struct {
	kind     string // string, integer, number, boolean, object, list, list of strings, list of integers
	optional bool   // ", optional"
	null     bool   // " or null"
}

// fieldRow is | `name` | type | meaning |.
var fieldRow = regexp.MustCompile("^\\| `([^`]+)` \\| ([a-z ]+?)( or null)?(, optional)? \\| .+ \\|$")

// readContracts returns the fields of each section of docs/json.md that has some.
func readContracts(t *testing.T) map[string]map[string]field {
	data, err := os.ReadFile(docs + "json.md")
	if err != nil {
		t.Fatal(err)
	}
	page := map[string]map[string]field{}
	section := ""
	for i, line := range strings.Split(string(data), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.Trim(title, "`")
		}
		if !strings.HasPrefix(line, "| `") || !strings.HasPrefix(section, "wf ") {
			continue
		}
		m := fieldRow.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("docs/json.md:%d is no row | `field` | type | meaning |: %s", i+1, line)
			continue
		}
		if page[section] == nil {
			page[section] = map[string]field{}
		}
		page[section][m[1]] = field{kind: m[2], null: m[3] != "", optional: m[4] != ""}
	}
	return page
}

// contractFiles makes what the lines name.
func contractFiles(t *testing.T) string {
	folder := t.TempDir()
	for name, from := range map[string]string{
		"checkpoint": "tinydlm/hf", "dense": "fixtures/fast-dllm-qwen", "packed": "fixtures/llama-packed-bitlinear",
	} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(testdata(t), from))); err != nil {
			t.Fatal(err)
		}
	}
	fetch(t, filepath.Join(testdata(t), "tinydlm", "eval.jsonl"), filepath.Join(folder, "questions.jsonl"))
	t.Chdir(folder)
	output(t, "convert", "checkpoint", "-o", "model.gguf", "--threshold", "0.9", "--decode-mode", "iterative")
	output(t, "convert", "checkpoint", "--format", "sglkernel", "-o", "model.sgl.bin")
	output(t, "quantize", "model.gguf", "packed.gguf", "I2_S")
	data, err := os.ReadFile("packed.gguf")
	if err != nil {
		t.Fatal(err)
	}
	questions, err := os.ReadFile("questions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(data)
	damaged[len(data)-20000] = 0xff // a byte of codes
	odd := bytes.Clone(data)
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	odd[f.DataOffset-1] = 1 // padding
	few := questions[:bytes.LastIndexByte(questions[:3000], '\n')+1]
	for name, data := range map[string][]byte{"damaged.gguf": damaged, "odd.gguf": odd, "short.gguf": data[:5000], "questions.jsonl": few} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// runForJSON runs a line and returns the one JSON document that it prints.
func runForJSON(t *testing.T, line string) any {
	line, status, _ := strings.Cut(line, " = ")
	var stdout, stderr bytes.Buffer
	got := run(strings.Fields(line), strings.NewReader(""), &stdout, &stderr)
	if want := max(status, "0"); fmt.Sprint(got) != want {
		t.Errorf("wf %s: exit status %d, wanted %s: %s", line, got, want, stderr.String())
	}
	var value any
	d := json.NewDecoder(&stdout)
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Errorf("wf %s: %v", line, err)
	}
	if d.More() {
		t.Errorf("wf %s: more than one JSON document", line)
	}
	return value
}

// holder holds one output against a table.
type holder struct {
	t      *testing.T
	line   string
	fields map[string]field
	seen   map[string]bool
}

// hold holds the members of an object at a path, or those of a list's objects.
func (h *holder) hold(value any, path string) {
	switch value := value.(type) {
	case []any:
		for _, each := range value {
			h.hold(each, path+"[]")
		}
	case map[string]any:
		prefix := path
		if path != "" {
			prefix += "."
		}
		for name, member := range value {
			h.member(prefix, name, member)
		}
		for name, f := range h.fields {
			rest, ok := strings.CutPrefix(name, prefix)
			if _, there := value[rest]; ok && !there && !f.optional && rest != "*" && !strings.ContainsAny(rest, ".[") {
				h.t.Errorf("wf %s: %s is missing, and docs/json.md does not call it optional", h.line, name)
			}
		}
	}
}

func (h *holder) member(prefix, name string, value any) {
	f, ok := h.fields[prefix+name]
	if !ok {
		name = "*" // of an object whose names are data
		f, ok = h.fields[prefix+name]
	}
	name = prefix + name
	if !ok {
		h.t.Errorf("wf %s: docs/json.md does not describe %s: %s", h.line, name, kindOf(value))
		return
	}
	h.seen[name] = true
	kind := kindOf(value)
	fits := kind == f.kind || kind == "integer" && f.kind == "number" || kind == "null" && f.null || kind == "list" && strings.HasPrefix(f.kind, "list of ")
	if list, _ := value.([]any); strings.HasPrefix(f.kind, "list of ") {
		for _, each := range list {
			kind = kindOf(each)
			fits = fits && (kind+"s" == f.kind[len("list of "):] || kind == "integer" && f.kind == "list of numbers")
		}
	}
	if !fits {
		h.t.Errorf("wf %s: %s is %s, and docs/json.md says %s", h.line, name, kind, f.kind)
	}
	h.hold(value, name)
}

func kindOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "list"
	case json.Number:
		if strings.ContainsAny(value.String(), ".eE") {
			return "number"
		}
		return "integer"
	}
	return "object"
}

// TestExitStatus sees each status that a command line can bring about, and that nothing but the result goes to standard output.
func TestExitStatus(t *testing.T) {
	t.Chdir(contractFiles(t))
	newer := []byte("GGUF\x63\x00\x00\x00" + strings.Repeat("\x00", 16))
	if err := errors.Join(os.WriteFile("newer.gguf", newer, 0o644), os.WriteFile("long.txt", nil, 0o644), os.Truncate("long.txt", maxPromptBytes+1)); err != nil {
		t.Fatal(err)
	}
	tried := map[int]bool{exitBug: true} // that is none of wf's promises
	for line, want := range map[string]struct {
		status int
		code   string
	}{
		"version":                             {exitOK, ""},
		"generate --treshold 1 Hello":         {exitUsage, "USAGE"},
		"generate --threshold 2 Hello":        {exitUsage, "BAD_OPTION"},
		"verify damaged.gguf":                 {exitRefused, "TENSOR_BAD_TERNARY_CODE"},
		"quantize model.gguf TQ2_0":           {exitRefused, "QUANT_DIFFUSION_TQ2"},
		"eval questions.jsonl -n 2 --min 0.9": {exitRefused, "EVAL_BELOW_MIN"},
		"verify newer.gguf":                   {exitUnsupported, "GGUF_UNSUPPORTED_VERSION"},
		"generate -m missing.gguf Hello":      {exitIO, "NOT_FOUND"},
		"generate -f long.txt":                {exitLimit, "PROMPT_TOO_LONG"},
		"convert checkpoint -o model.gguf":    {exitBusy, "OUTPUT_EXISTS"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(strings.Fields(line), strings.NewReader(""), &stdout, &stderr)
		tried[want.status] = true
		if status != want.status || status != exitOK && !strings.HasSuffix(strings.TrimSpace(stderr.String()), "["+want.code+"]") {
			t.Errorf("wf %s: status %d, wanted %d and %s: %s", line, status, want.status, want.code, stderr.String())
		}
		if judged := strings.HasPrefix(line, "eval"); status != exitOK && !judged && stdout.Len() > 0 {
			t.Errorf("wf %s: fails, and prints %q", line, stdout.String())
		}
	}
	for _, s := range statusMeaning {
		if s.status < 128 && !tried[s.status] { // the others are of signals
			t.Errorf("no line has status %d", s.status)
		}
	}
}
