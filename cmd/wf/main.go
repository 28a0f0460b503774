// Command wf converts, packs and runs ternary (BitNet b1.58) language models.
//
// Each file here binds one command's flags to a library's Options and makes one call. Only this package knows cobra, viper, progress bars and
// exit status.
package main

import (
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run executes one command line and returns the process's exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr}
	defer func() {
		if p := recover(); p != nil {
			status = env.internal(p)
		}
	}()
	ctx, stop := env.interruptible()
	defer stop()
	root := newRootCmd(env)
	root.SetArgs(args)
	return env.finish(ctx, root.ExecuteContext(ctx))
}
