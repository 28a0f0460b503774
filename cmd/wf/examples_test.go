package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// exampleFiles are what examples may name, and what a person would have. A new name needs a line here.
var exampleFiles = []struct {
	name string
	make string // a command of bash that makes it, among those above it
}{
	{"checkpoint", `cp -r "$TESTDATA/tinydlm/hf" checkpoint`},
	{"model-F16.gguf", `wf convert checkpoint -o model-F16.gguf`},
	{"model-I2_S.gguf", `wf quantize model-F16.gguf I2_S`},
	{"eval.jsonl", `sed -n 1,4p "$TESTDATA/tinydlm/eval.jsonl" > eval.jsonl`},
	{"text.txt", `head -c 5000 "$TESTDATA/tinydlm/eval.jsonl" > text.txt`},
	{"prompt.txt", `echo "What is the capital of France?" > prompt.txt`},
	{"keys.txt", `echo a-secret-of-many-letters > keys.txt`},
	{"trace.jsonl", `wf generate -f prompt.txt --trace trace.jsonl`},
	{"wf.yaml", `wf config --generate > wf.yaml`},
	{"dlm_server.yaml", `printf 'port: 30000\ndlm:\n  threshold: 0.9\n' > dlm_server.yaml`},
}

// TestExamples runs every line of every command's examples in a shell, as it is printed, in a folder with the files that the line names. A line
// whose comment says that it takes minutes is only parsed. What serves runs until it is ready, and must then end as it is told.
func TestExamples(t *testing.T) {
	shelf := t.TempDir()
	for _, f := range exampleFiles {
		shell(t, shelf, f.make)
	}
	for _, cmd := range newRootCmd(&environment{}).Commands() {
		if !cmd.Runnable() {
			continue
		}
		lines := strings.Split(cmd.Example, "\n")
		if cmd.Example == "" || !strings.HasPrefix(lines[0], "  ") {
			t.Errorf("wf %s: its help must begin with an example, a line that is indented by two spaces", cmd.Name())
			continue
		}
		if help := output(t, cmd.Name(), "--help"); !strings.HasPrefix(help, cmd.Example+"\n\n") {
			t.Errorf("wf %s --help does not begin with its examples:\n%s", cmd.Name(), help)
		}
		for _, line := range lines {
			command, _, _ := strings.Cut(strings.TrimSpace(line), " #")
			t.Run(strings.TrimSpace(command), func(t *testing.T) {
				t.Parallel()
				runExample(t, shelf, strings.TrimSpace(line))
			})
		}
	}
}

// TestIntroduction runs what wf alone names, one line after the other, as a newcomer does.
func TestIntroduction(t *testing.T) {
	folder := t.TempDir()
	shell(t, folder, exampleFiles[0].make)
	for line := range strings.Lines(output(t)) {
		if example, ok := strings.CutPrefix(line, "  "); ok {
			runIn(t, folder, strings.TrimSpace(example))
		}
	}
}

// runExample runs a line in a new folder with the files of the shelf that it names.
func runExample(t *testing.T, shelf, line string) {
	command, comment, _ := strings.Cut(line, " #")
	if strings.Contains(comment, "minutes") {
		if err := parse(shellWords(command)[1:]); err != nil {
			t.Error(err)
		}
		return
	}
	folder := t.TempDir()
	words := strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(` "'=|<>`, r) })
	for _, f := range exampleFiles {
		if slices.ContainsFunc(words, func(w string) bool { return strings.TrimPrefix(w, "./") == f.name }) {
			fetch(t, filepath.Join(shelf, f.name), filepath.Join(folder, f.name))
		}
	}
	runIn(t, folder, line)
}

func runIn(t *testing.T, folder, line string) {
	if strings.Contains(line, "wf serve") {
		serveExample(t, folder, line)
	} else {
		shell(t, folder, line)
	}
}

// fetch copies a file or folder.
func fetch(t *testing.T, from, to string) {
	info, err := os.Stat(from)
	switch {
	case err != nil:
	case info.IsDir():
		err = os.CopyFS(to, os.DirFS(from))
	default:
		var data []byte
		if data, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func testdata(t *testing.T) string {
	path, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// bash is a line of it, with wf in its path and no port that another process could have.
func bash(ctx context.Context, t *testing.T, folder, line string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-c", line)
	c.Dir = folder
	c.Env = append(os.Environ(), "TESTDATA="+testdata(t), "HOME="+folder, "WF_PORT=0", "NO_COLOR=1")
	return c
}

func shell(t *testing.T, folder, line string) {
	t.Helper()
	c := bash(t.Context(), t, folder, "set -o pipefail\n"+line)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// output is what a command of wf prints.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(args, strings.NewReader(""), &stdout, &stderr); status != exitOK {
		t.Fatalf("wf %s: status %d\n%s", strings.Join(args, " "), status, stderr.String())
	}
	return stdout.String()
}

// serveExample starts a server, waits until it is ready, and stops it.
func serveExample(t *testing.T, folder, line string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := bash(ctx, t, folder, "exec "+line) // the signal is for wf
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "wf: ready") {
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	}
	if err := c.Wait(); err != nil || !strings.Contains(said, "wf: ready") {
		t.Errorf("%s: %v\n%s", line, err, said)
	}
}

// parse understands a command line without running it: command, flags, values, number of arguments.
func parse(words []string) error {
	root := newRootCmd(&environment{})
	cmd, args, err := root.Find(words)
	if err != nil {
		return err
	}
	switch err := cmd.ParseFlags(args); {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return wrongFlag(cmd, err)
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// shellWords splits a simple command as a shell does: spaces part words but for those in quotes, and a redirection, pipe or comment ends it.
func shellWords(line string) (words []string) {
	word, inWord, quote := "", false, rune(0)
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case !inWord && strings.ContainsRune("#|>&;", r):
			return words
		case r == ' ':
			if inWord {
				words = append(words, word)
			}
			word, inWord = "", false
		default:
			word, inWord = word+string(r), true
		}
	}
	return words
}
