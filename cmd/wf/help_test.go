package main

import (
	"strings"
	"testing"
)

func TestReflow(t *testing.T) {
	text := "A paragraph of two lines\nbecomes one.\n\n  wf indented   # stays, however long it is\n\nAnother."
	want := "A paragraph of two\nlines becomes one.\n\n  wf indented   # stays, however long it is\n\nAnother."
	if got := reflow(text, 20); got != want {
		t.Errorf("%q, wanted %q", got, want)
	}
	if got := reflow(text, 0); got != text {
		t.Errorf("without a width: %q", got)
	}
}

// TestRootHelp: wf alone is short, wf --help has every command once, in its group.
func TestRootHelp(t *testing.T) {
	lines := strings.Split(output(t), "\n")
	if len(lines) > 13 {
		t.Errorf("wf alone prints %d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("wider than a terminal: %s", line)
		}
	}
	help := output(t, "--help")
	for _, cmd := range newRootCmd(&environment{}).Commands() {
		want := 1
		if !cmd.IsAvailableCommand() {
			want = 0
		}
		if got := strings.Count(help, "\n  "+cmd.Name()+" "); got != want {
			t.Errorf("wf --help lists %s %d times, wanted %d", cmd.Name(), got, want)
		}
	}
}
