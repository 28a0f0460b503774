package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestManPages holds the manual pages against the commands: a page for each, with every flag, and no line that roff would take for what it is not.
// make man has mandoc read them as well.
func TestManPages(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	output(t, "man", folder)
	root := newRootCmd(&environment{})
	main := readPage(t, folder, "wf.1")
	want := []string{"wf.1"}
	for _, cmd := range root.Commands() {
		if !cmd.Runnable() || cmd.Hidden {
			continue
		}
		name := "wf-" + cmd.Name()
		want = append(want, name+".1")
		page := readPage(t, folder, name+".1")
		for _, section := range []string{"NAME", "SYNOPSIS", "EXAMPLES", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"} {
			if strings.Count(page, `.SH "`+section+`"`)+strings.Count(page, ".SH "+section+"\n") != 1 {
				t.Errorf("%s.1: section %s is not there once", name, section)
			}
		}
		eachFlag(cmd, func(typed, usage string) {
			if !strings.Contains(page, "\n.TP\n\\fB"+roff(typed)+"\\fR\n"+roff(usage)+"\n") {
				t.Errorf("%s.1 lacks %s", name, typed)
			}
		})
		if !strings.Contains(main, roff(name+"(1)")) {
			t.Errorf("wf.1 does not name %s", name)
		}
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		found = append(found, f.Name())
	}
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("pages %q, wanted %q", found, want)
	}
}

// request is a line that roff does not print: one of the few that the writer uses.
var request = regexp.MustCompile(`^\.(TH .*|SH .*|TP|PP|nf|fi)$`)

// escape is a backslash with what may stand behind it.
var escape = regexp.MustCompile(`\\(e|-|&|fB|fR)`)

func readPage(t *testing.T, folder, name string) string {
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	if !strings.HasPrefix(page, ".TH ") {
		t.Errorf("%s does not begin with .TH", name)
	}
	for i, line := range strings.Split(page, "\n") {
		switch rest := escape.ReplaceAllString(line, ""); {
		case strings.HasPrefix(line, ".") && !request.MatchString(line), strings.HasPrefix(line, "'"):
			t.Errorf("%s:%d: roff takes this for a request: %s", name, i+1, line)
		case strings.Contains(rest, `\`), !strings.HasPrefix(line, ".") && strings.Contains(rest, "-"):
			t.Errorf("%s:%d: a backslash or hyphen is not escaped: %s", name, i+1, line)
		}
	}
	return page
}

func TestRoff(t *testing.T) {
	if got, want := roff("a-b 'blk\\.0'\n.profile\n'tis"), `a\-b 'blk\e.0'`+"\n"+`\&.profile`+"\n"+`\&'tis`; got != want {
		t.Errorf("%q, wanted %q", got, want)
	}
}
