package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is what docs/ci/github-actions.yml uses of GitHub's workflow syntax; a key that is not here is a slip of the pen.
type workflow struct {
	Name        string
	On          map[string]*struct{ Branches []string }
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		RunsOn         string `yaml:"runs-on"`
		TimeoutMinutes int    `yaml:"timeout-minutes"`
		Steps          []struct {
			Name, If, Uses, Run string
			With                map[string]string
		}
	}
}

// TestWorkflow reads docs/ci/github-actions.yml strictly, and runs its step in a repository laid out as it expects: with a model that is good enough,
// and with one that is not.
func TestWorkflow(t *testing.T) {
	text, err := os.ReadFile(docs + "ci/github-actions.yml")
	if err != nil {
		t.Fatal(err)
	}
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	var w workflow
	if err := strict.Decode(&w); err != nil {
		t.Fatal(err)
	}
	job := w.Jobs["check"]
	if w.On["push"] == nil || job.RunsOn == "" || w.Permissions["contents"] != "read" {
		t.Errorf("%+v", w)
	}
	step := ""
	for _, s := range job.Steps {
		if (s.Uses == "") == (s.Run == "") {
			t.Errorf("step %+v: wanted one of uses and run", s)
		}
		if s.Uses != "" && !slices.Contains([]string{"actions/checkout@v4", "actions/setup-go@v5", "actions/upload-artifact@v4"}, s.Uses) {
			t.Errorf("step uses %s", s.Uses)
		}
		if s.Name == "Convert, verify, evaluate" {
			step = s.Run
		}
	}

	repository := t.TempDir()
	fetch := func(from, to string) {
		if err := os.MkdirAll(filepath.Join(repository, filepath.Dir(to)), 0o755); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repository, to), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(tinydlm + "hf/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		fetch(f, "checkpoint/"+filepath.Base(f))
	}
	fetch(docs+"ci/convert-and-check.sh", "ci/convert-and-check.sh")
	questions, err := os.ReadFile(tinydlm + "eval.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	few := string(bytes.Join(bytes.SplitAfterN(questions, []byte("\n"), 21)[:20], nil))
	for _, c := range []struct {
		questions string
		status    int
	}{
		{few, 0},
		{strings.ReplaceAll(few, `"answer": "`, `"answer": "No: `), exitRefused},
	} {
		path := filepath.Join(repository, "ci/eval.jsonl")
		if err := os.WriteFile(path, []byte(c.questions), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-e", "-c", step) // as a runner does
		cmd.Dir = repository
		out, err := cmd.CombinedOutput() // an error is a status, or the lack of one
		if got := cmd.ProcessState.ExitCode(); got != c.status {
			t.Fatalf("status %d (%v), want %d:\n%s", got, err, c.status, out)
		}
		if below := strings.Contains(string(out), "[EVAL_BELOW_MIN]"); below != (c.status != 0) {
			t.Errorf("status %d:\n%s", c.status, out)
		}
		if _, err := os.Stat(filepath.Join(repository, "out/eval.xml")); err != nil {
			t.Error(err)
		}
	}
}
