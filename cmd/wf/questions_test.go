package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// TestHostileQuestions: no line of a question file does more than fail, and the error names it on one line.
func TestHostileQuestions(t *testing.T) {
	good := `{"question":"q","answer":"a"}`
	for name, line := range map[string]string{
		"no object": `["q","a"]`, "null": "null", "a number": "7", "truncated": `{"question":"q"`, "empty answer": `{"question":"q","answer":""}`,
		"question a number": `{"question":1,"answer":"a"}`, "answer a list": `{"question":"q","answer":["a"]}`, "group null": `{"question":"q","answer":"a","group":null}`,
		"key twice": `{"question":"q","answer":"a","answer":"b"}`, "two objects": good + good, "not UTF-8": "{\"question\":\"\xff\",\"answer\":\"a\"}",
		"half a surrogate pair": `{"question":"\ud800","answer":"a"}`, "nested": strings.Repeat("[", 1<<20), "binary": strings.Repeat("\x00", 100),
	} {
		path := filepath.Join(t.TempDir(), "q.jsonl")
		if err := os.WriteFile(path, []byte(good+"\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := readQuestions(path)
		if fault.Code(err) != "EVAL_MALFORMED" || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "big.jsonl")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxQuestionBytes+1); err != nil { // sparse
		t.Fatal(err)
	}
	if _, err := readQuestions(path); fault.Code(err) != "EVAL_LIMIT" {
		t.Errorf("a large file: %v", err)
	}
	many := bytes.Repeat([]byte(good+"\n"), maxQuestions+1)
	if err := os.WriteFile(path, many, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readQuestions(path); fault.Code(err) != "EVAL_LIMIT" {
		t.Errorf("many questions: %v", err)
	}
}

// TestEvalCommand: wf eval gives the scores of testdata/tinydlm/golden/scores.json, within what TestEval allows. The normal run asks in mode greedy;
// with WF_EVAL=all (make eval) in every mode.
func TestEvalCommand(t *testing.T) {
	var scores struct {
		Modes map[string]struct {
			Train float64 `json:"train"`
			Held  float64 `json:"held_out"`
		} `json:"exact_match"`
	}
	readJSON(t, tinydlm+"golden/scores.json", &scores)
	ran := 0
	for mode, flags := range map[string][]string{
		"iterative 0.9": nil, "iterative 0.9 +cache": {"--sub-block-cache"}, "iterative 0.5": {"--threshold", "0.5"},
		"adaptive 0.9 +cache": {"--modes", "adaptive", "--sub-block-cache"}, "greedy": {"--modes", "greedy"},
	} {
		if mode != "greedy" && os.Getenv("WF_EVAL") != "all" {
			continue
		}
		var out bytes.Buffer
		env := &environment{stdout: &out, stderr: io.Discard}
		cmd := newRootCmd(env)
		cmd.SetArgs(append([]string{"eval", tinydlm + "eval.jsonl", "--json", "-n", "96"}, flags...))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Modes []struct {
				Mode      string
				Questions int
				Splits    map[string]scored
			}
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := scores.Modes[mode]
		m := got.Modes[0]
		if m.Mode != mode || m.Questions != 300 || !(math.Abs(m.Splits["train"].Exact-want.Train) <= 0.02) || !(math.Abs(m.Splits["held_out"].Exact-want.Held) <= 0.02) {
			t.Errorf("%+v; want %s %+v", m, mode, want)
		}
		ran++
	}
	if os.Getenv("WF_EVAL") == "all" && ran != len(scores.Modes) {
		t.Errorf("%d modes ran, %d are in scores.json", ran, len(scores.Modes))
	}
}
