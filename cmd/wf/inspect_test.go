package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wrinklefree/wf/infer/tiny"
)

// cmdScreen inspects a file and holds the output to a screen: screen FILE.
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: screen FILE")
	}
	ts.Check(ts.Exec("wf", "inspect", args[0]))
	ts.Check(fitsScreen(ts.ReadFile("stdout")))
}

func fitsScreen(text string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > screenLines {
		return fmt.Errorf("%d lines do not fit a screen of %d", len(lines), screenLines)
	}
	for _, line := range lines {
		if len(line) > 100 { // a name of a tensor or a file may be as long as it likes to be
			return fmt.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	return nil
}

// command runs a command line in this process.
func command(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// TestR167 damages the demonstration model in a thousand places, and reads what the fuzzers found as well: wf inspect exits as wf verify does, fits a
// screen, and says what is wrong on both streams.
func TestR167(t *testing.T) {
	dir := t.TempDir()
	held := map[int]int{}
	hold := func(t *testing.T, name string, data []byte) {
		path := filepath.Join(dir, "hostile.gguf")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		want, _, wantErr := command("verify", path)
		got, out, gotErr := command("inspect", path)
		held[want]++
		if got != want || want == exitBug || gotErr != wantErr && want != 0 {
			t.Errorf("%s: inspect exits %d: %s\nverify exits %d: %s", name, got, gotErr, want, wantErr)
		}
		if err := fitsScreen(strings.ReplaceAll(out, dir, "")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if problem := strings.Contains(out, "PROBLEM"); problem != (want != 0) && len(data) > 0 {
			t.Errorf("%s: exit status %d, but the output says\n%s", name, want, out)
		}
	}
	t.Run("R167 prefixes", func(t *testing.T) {
		for n := 0; n < len(tiny.Model); n += 1 + n/8 {
			hold(t, fmt.Sprintf("%d bytes", n), tiny.Model[:n])
		}
	})
	t.Run("R167 header bytes", func(t *testing.T) {
		for at := 0; at < 40000; at += 1 + at/16 {
			data := bytes.Clone(tiny.Model)
			data[at] ^= 0xff
			hold(t, fmt.Sprintf("byte %d", at), data)
		}
	})
	t.Run("R167 fuzz corpus", func(t *testing.T) {
		seeds, err := filepath.Glob("../../gguf/testdata/fuzz/FuzzReader/*")
		if err != nil || len(seeds) == 0 {
			t.Fatalf("no seeds: %v", err)
		}
		for _, seed := range seeds {
			text, err := os.ReadFile(seed)
			if err != nil {
				t.Fatal(err)
			}
			_, value, _ := strings.Cut(string(text), "[]byte(")
			data, err := strconv.Unquote(strings.TrimSuffix(strings.TrimSpace(value), ")"))
			if err != nil {
				t.Fatalf("%s: %v", seed, err)
			}
			hold(t, filepath.Base(seed), []byte(data))
		}
	})
	if held[exitRefused] < 50 || held[exitUnsupported] == 0 {
		t.Errorf("the corpus is too kind: files by exit status %v", held)
	}
}
