package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// pages are the texts that a user reads.
func pages(t *testing.T) map[string]string {
	all := map[string]string{}
	read := func(path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Clean(path)] = string(data)
	}
	read("../../README.md")
	read("../../CONTRIBUTING.md")
	err := filepath.WalkDir(docs, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			read(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// link is [text](target) or ![text](target), not in a code span.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// codeSpan holds no links.
var codeSpan = regexp.MustCompile("`[^`]*`")

// TestLinks follows every link of the texts that stays in the repository: the file is there, and it has the heading. Every page of docs/ is to be found
// from docs/README.md.
func TestLinks(t *testing.T) {
	all := pages(t)
	reached := map[string]bool{}
	for path, text := range all {
		prose := strings.Builder{}
		eachLine(text, func(_ int, line string, code bool) {
			if !code {
				prose.WriteString(codeSpan.ReplaceAllString(line, "") + "\n")
			}
		})
		for _, m := range link.FindAllStringSubmatch(prose.String(), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
				continue
			}
			if info.IsDir() {
				if anchor != "" {
					t.Errorf("%s: link to %s: a folder has no headings", path, m[1])
				}
				file = filepath.Join(file, "README.md")
			} else if anchor != "" && !anchors(all[file])[anchor] {
				t.Errorf("%s: link to %s: no such heading", path, m[1])
			}
			if filepath.Base(path) == "README.md" && filepath.Dir(path) == filepath.Clean(docs) {
				reached[file] = true
			}
		}
	}
	for path := range all {
		folder, name := filepath.Split(path)
		if filepath.Clean(folder) == filepath.Clean(docs) && name != "README.md" && !reached[path] {
			t.Errorf("%s is not in the reading order of docs/README.md", path)
		}
	}
}

// anchors are the headings of a page as a browser finds them: in lower case, spaces as hyphens, without punctuation.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	eachLine(text, func(_ int, line string, code bool) {
		title := strings.TrimLeft(line, "#")
		if code || title == line || !strings.HasPrefix(title, " ") {
			return
		}
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))] = true
	})
	return all
}

// eachLine calls f with every line, its number, and whether it is code: between fences, or indented by four spaces.
func eachLine(text string, f func(number int, line string, code bool)) {
	fenced := false
	for i, line := range strings.Split(text, "\n") {
		if fence := strings.HasPrefix(strings.TrimSpace(line), "```"); fence {
			fenced = !fenced
		}
		f(i+1, line, fenced || strings.HasPrefix(line, "    "))
	}
}

// TestCommandLines parses every line of code in the texts that calls wf, so that no page names a command or flag that is not there. The transcript has
// run its own, some of which are wrong on purpose.
func TestCommandLines(t *testing.T) {
	checked := 0
	for path, text := range pages(t) {
		if filepath.Base(path) == "first-ten-minutes.md" {
			continue
		}
		eachLine(text, func(number int, line string, code bool) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			line = strings.TrimPrefix(strings.TrimPrefix(line, "go run ./cmd/"), "bin/")
			line, _, _ = strings.Cut(line, "  ") // an explanation
			usage := strings.Contains(line, "[flags]")
			if words := shellWords(line); code && !usage && len(words) > 1 && words[0] == "wf" && words[1] != "help" {
				checked++
				if err := parse(words[1:]); err != nil {
					t.Errorf("%s:%d: %s: %v", path, number, line, err)
				}
			}
		})
	}
	if checked < 50 {
		t.Errorf("only %d command lines in all texts", checked)
	}
}

// TestReadmeTable: the figures of the README are those of docs/types.md, where tests hold them.
func TestReadmeTable(t *testing.T) {
	all := pages(t)
	types := map[string]string{} // by name, every row of types.md
	for line := range strings.Lines(all[filepath.Clean(docs+"types.md")]) {
		if cells := strings.Split(line, " | "); len(cells) > 3 {
			name := strings.TrimPrefix(cells[0], "| ")
			types[name] += line
		}
	}
	_, table, _ := strings.Cut(all[filepath.Clean("../../README.md")], "| --- | ---: | ---: | ---: |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if strings.Count(table, "\n") < 3 {
		t.Fatal("README.md has no table of sizes, speeds and accuracy")
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.ReplaceAll(line, "*", ""), "| \n"), " | ")
		for _, figure := range strings.Split(strings.Join(cells[1:], " / "), " / ") {
			if figure = strings.Trim(figure, "| "); !strings.Contains(types[cells[0]], "| "+figure+" |") && figure != "" {
				t.Errorf("README.md says of %s %s; docs/types.md does not:\n%s", cells[0], figure, types[cells[0]])
			}
		}
	}
}

// TestTranscript: the page of the first ten minutes has the commands of the script that writes it, in its order.
func TestTranscript(t *testing.T) {
	script, err := os.ReadFile(docs + "transcript.sh")
	if err != nil {
		t.Fatal(err)
	}
	page := pages(t)[filepath.Clean(docs+"first-ten-minutes.md")]
	commands := 0
	for line := range strings.Lines(string(script)) {
		call, ok := strings.CutPrefix(line, "\trun '")
		if !ok {
			continue
		}
		commands++
		command := "\n$ " + call[:strings.LastIndex(call, "'")] + "\n"
		_, rest, found := strings.Cut(page, command)
		if !found {
			t.Errorf("docs/first-ten-minutes.md lacks, or has in another place:%srun make transcript", command)
			continue
		}
		page = rest
	}
	if commands < 20 {
		t.Errorf("only %d commands in docs/transcript.sh", commands)
	}
}
