//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/infer/tiny"
)

// commandLines are what to run each command with, as little as makes it do all that it does; a command without a line is run without arguments. TMP is a
// folder, TINY the demonstration model as a file.
var commandLines = map[string]string{
	"wf convert":    "../../testdata/tinydlm/hf -o TMP/convert.gguf --force",
	"wf quantize":   "TINY TMP/quantize.gguf tq1_0 --force",
	"wf inspect":    "TINY",
	"wf verify":     "TINY",
	"wf generate":   "-n 4 Hi",
	"wf tokenize":   "Hi",
	"wf logits":     "--token-ids 2,3 -o TMP/logits.safetensors --force",
	"wf serve":      "--benchmark --benchmark-iterations 1 --benchmark-max-tokens 4",
	"wf bench":      "-p 8 -n 8 -r 1",
	"wf perplexity": "-f TINY.txt -c 64",
	"wf man":        "TMP/man",
	"wf eval":       "../../testdata/tinydlm/eval.jsonl",
}

// TestSurroundings runs every command where there is little to stand on.
func TestSurroundings(t *testing.T) {
	tmp := t.TempDir()
	model := filepath.Join(tmp, "tiny.gguf")
	for path, data := range map[string][]byte{model: tiny.Model, model + ".txt": bytes.Repeat([]byte("The capital of France is Paris. "), 20)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var all []*cobra.Command
	var collect func(*cobra.Command)
	collect = func(cmd *cobra.Command) {
		if cmd.Runnable() {
			all = append(all, cmd)
		}
		for _, sub := range cmd.Commands() {
			collect(sub)
		}
	}
	root := newRootCmd(&environment{})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	collect(root)
	for _, cmd := range all {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(cmd.CommandPath())[1:]
			for _, arg := range strings.Fields(commandLines[cmd.CommandPath()]) {
				arg = strings.NewReplacer("TMP", tmp, "TINY", model).Replace(arg)
				if strings.HasPrefix(arg, "..") {
					arg = filepath.Join(here, arg)
				}
				args = append(args, arg)
			}
			for _, c := range []struct{ name, shell string }{
				{"R166 stdout closed", `exec wf "$@" >&-`},
				{"R166 stdout full", `exec wf "$@" >/dev/full`},
				{"R166 stdin closed, no HOME, read-only cwd, LANG=C, a pipe of 80x24", // nobody can create a file in /, or in /proc
					`cd /proc 2>/dev/null || cd /; unset HOME XDG_CONFIG_HOME XDG_CACHE_HOME; LANG=C LC_ALL=C TERM=xterm-256color COLUMNS=80 LINES=24 exec wf "$@" <&-`},
			} {
				if _, err := os.Stat("/dev/full"); err != nil && strings.Contains(c.shell, "/dev/full") {
					continue // only Linux and NetBSD have it
				}
				run := exec.Command("sh", append([]string{"-c", c.shell, "sh"}, args...)...)
				out, err := run.CombinedOutput()
				status := run.ProcessState.ExitCode()
				known := slices.ContainsFunc(statusMeaning, func(s struct {
					status int
					text   string
				}) bool {
					return s.status == status
				})
				if !known || status == exitBug || bytes.ContainsAny(out, "\x1b\r") {
					t.Errorf("%s: wf %s: exit status %d (%v): %.2000q", c.name, strings.Join(args, " "), status, err, out)
				}
				if strings.HasPrefix(c.name, "R166 stdin") && status != exitOK && commandLines[cmd.CommandPath()] != "" {
					t.Errorf("%s: wf %s does nothing of what it is asked: exit status %d: %.2000s", c.name, strings.Join(args, " "), status, out)
				}
			}
		})
	}
}
