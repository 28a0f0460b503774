package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Exit status of every command.
const (
	exitOK          = 0
	exitBug         = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnsupported = 4
	exitIO          = 5
	exitLimit       = 6
	exitBusy        = 7
)

var statusMeaning = []struct {
	status int
	text   string
}{
	{exitOK, "done"},
	{exitBug, "a bug in wf; please report it"},
	{exitUsage, "the command line or a setting is wrong"},
	{exitRefused, "the input is malformed or fails a check, or the operation would destroy a model and is refused"},
	{exitUnsupported, "the input is valid, but this release does not support it"},
	{exitIO, "a file cannot be read or written"},
	{exitLimit, "a limit of wf or of this machine would be exceeded"},
	{exitBusy, "the output exists or is in use"},
	{130, "stopped by SIGINT"},
	{143, "stopped by SIGTERM"},
}

// exitStatus finds the status of an error: by its code, else by its kind. An error with neither is a bug: every room gives its errors codes.
func exitStatus(err error) int {
	if code := fault.Code(err); code != "" {
		for _, f := range faultCodes {
			if f.code == code {
				return f.status
			}
		}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return exitIO
	}
	return exitBug
}

// exitCodesText is the help topic exit-codes.
func exitCodesText() string {
	var b strings.Builder
	b.WriteString("The exit status of every command:\n\n")
	for _, s := range statusMeaning {
		fmt.Fprintf(&b, "  %3d  %s\n", s.status, s.text)
	}
	b.WriteString("\nAn error ends with its code in brackets. The codes and their exit status:\n\n")
	for _, f := range faultCodes {
		fmt.Fprintf(&b, "  %d  %-28s %s\n", f.status, f.code, f.means)
	}
	return strings.TrimRight(b.String(), "\n")
}
