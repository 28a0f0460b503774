package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/fault"
)

// newManCmd is for those who package wf, and hidden from everyone else.
func newManCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "man FOLDER",
		Short:   "Write the manual pages",
		Example: "  wf man share/man/man1",
		Hidden:  true,
		Args:    positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := os.MkdirAll(args[0], 0o755)
			for name, page := range manPages(cmd.Root()) {
				if err == nil {
					err = os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644)
				}
			}
			if err != nil {
				return fault.New("IO_ERROR", "%w", err)
			}
			return nil
		},
	}
}

// manPages is wf.1 and a page for each command, by file name. They are made of the same texts as --help.
func manPages(root *cobra.Command) map[string]string {
	var main manPage
	main.begin("wf", root.Short)
	main.section("SYNOPSIS", "wf COMMAND [flags]")
	main.section("DESCRIPTION", rootLong)
	pages := map[string]string{}
	for _, group := range root.Groups() {
		main.heading(strings.ToUpper(strings.TrimSuffix(group.Title, ":")))
		for _, cmd := range root.Commands() {
			if cmd.GroupID != group.ID || cmd.Name() == "help" {
				continue
			}
			main.item("wf-"+cmd.Name()+"(1)", cmd.Short+".")
			pages["wf-"+cmd.Name()+".1"] = commandManPage(cmd)
		}
	}
	main.section("EXIT STATUS", exitCodesText())
	pages["wf.1"] = main.String()
	return pages
}

func commandManPage(cmd *cobra.Command) string {
	var p manPage
	p.begin("wf-"+cmd.Name(), cmd.Short)
	p.section("SYNOPSIS", cmd.UseLine())
	if cmd.Example != "" {
		p.section("EXAMPLES", cmd.Example)
	}
	p.section("DESCRIPTION", description(cmd))
	p.heading("OPTIONS")
	eachFlag(cmd, p.item)
	p.section("EXIT STATUS", "0 if all went well; wf(1) lists the others.")
	p.section("SEE ALSO", "wf(1)")
	return p.String()
}

// manPage is a page in the man macros of roff: man(7).
type manPage struct{ strings.Builder }

func (p *manPage) begin(name, short string) {
	fmt.Fprintf(p, ".TH %s 1 \"\" \"wf %s\" \"wf manual\"\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(name)), version, roff(name), roff(short))
}

func (p *manPage) heading(title string) { fmt.Fprintf(p, ".SH \"%s\"\n", roff(title)) }

func (p *manPage) item(term, text string) {
	fmt.Fprintf(p, ".TP\n\\fB%s\\fR\n%s\n", roff(term), roff(text))
}

// section writes paragraphs, which empty lines part. Lines that are indented stand as they are, as in --help.
func (p *manPage) section(title, text string) {
	p.heading(title)
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, "  ") {
			paragraph = ".nf\n" + roff(paragraph) + "\n.fi"
		} else {
			paragraph = roff(paragraph)
		}
		p.WriteString(paragraph + "\n")
	}
}

// roff escapes text: a backslash and a hyphen stand for themselves, and no line is taken for a request.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
