package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
	"golang.org/x/term"
)

// environment is what a command touches besides files: the three streams, and how the user wants to be spoken to.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	quiet          bool
	origins        map[string]string      // setting key -> where its value came from
	values         map[string]string      // setting key -> its value there
	interrupt      atomic.Pointer[func()] // see onInterrupt
	started        bool                   // flags and arguments were understood; errors before that are usage errors
}

// maxErrorLine bounds an error line, so that a log stays readable whatever a file says.
const maxErrorLine = 300

// finish prints err, one line per problem, and returns the exit status.
func (env *environment) finish(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	var stopped interrupted
	if errors.As(context.Cause(ctx), &stopped) {
		fmt.Fprintf(env.stderr, "wf: %v\n", stopped)
		return stopped.status()
	}
	for _, problem := range problems(err) {
		fmt.Fprintln(env.stderr, errorLine(problem))
	}
	if !env.started && fault.Code(err) == "" {
		return exitUsage
	}
	return exitStatus(err)
}

// internal reports a panic: always a bug of ours. The stack is for whoever mends it, and only on request.
func (env *environment) internal(p any) int {
	fmt.Fprintf(env.stderr, "wf: internal error: %s; please report this with the command line (WF_DEBUG=1 prints a stack)\n", oneLine(fmt.Sprint(p)))
	if os.Getenv("WF_DEBUG") != "" {
		env.stderr.Write(debug.Stack())
	}
	return exitBug
}

// problems takes joined errors apart.
func problems(err error) []error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if many, ok := e.(interface{ Unwrap() []error }); ok {
			var all []error
			for _, each := range many.Unwrap() {
				all = append(all, problems(each)...)
			}
			return all
		}
	}
	return []error{err}
}

// errorLine is "wf: sentence [CODE]" on one line of at most maxErrorLine characters.
func errorLine(err error) string {
	code := fault.Code(err)
	if code != "" {
		code = " [" + code + "]"
	}
	text := "wf: " + oneLine(err.Error())
	if limit := maxErrorLine - len(code); len(text) > limit {
		cut := limit - len("...")
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "..."
	}
	return text + code
}

// oneLine keeps control bytes, which may come from a file's name, away from the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// note prints a sentence for the person at the terminal, on stderr, unless --quiet.
func (env *environment) note(text string) {
	if !env.quiet {
		fmt.Fprintln(env.stderr, "wf: "+oneLine(text))
	}
}

// warn prints a warning on stderr, also with --quiet.
func (env *environment) warn(text string) { fmt.Fprintln(env.stderr, "wf: warning: "+oneLine(text)) }

// writeJSON prints v on stdout, indented.
func (env *environment) writeJSON(v any) error {
	e := json.NewEncoder(env.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// terminal reports whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
