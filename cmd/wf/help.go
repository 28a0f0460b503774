package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// rootLong fits 80 columns.
const rootLong = `wf takes a ternary (BitNet) language model from training checkpoint to text.

  wf convert ./checkpoint --outtype i2_s        # makes checkpoint-I2_S.gguf
  wf generate -m checkpoint-I2_S.gguf "Hello"   # text
  wf serve -m checkpoint-I2_S.gguf              # chat page and OpenAI's API

Without -m, wf runs the small model that it carries. This works now:

  wf generate "What is the capital of France?"
`

// rootMore stands below rootLong where no commands are listed.
const rootMore = `
wf --help lists all commands. wf COMMAND --help begins with examples.
`

// printHelp prints a command's help: examples first, because most readers want no more.
func printHelp(cmd *cobra.Command, _ []string) {
	out, columns := cmd.OutOrStdout(), 0 // 0: lines as long as they are
	if file, ok := out.(*os.File); ok && terminal(file) {
		columns, _ = screenSize(file)
	}
	if !cmd.HasParent() {
		printRootHelp(out, cmd, columns)
		return
	}
	if cmd.Example != "" {
		fmt.Fprintf(out, "%s\n\n", cmd.Example)
	}
	fmt.Fprintf(out, "%s\n", reflow(description(cmd), columns))
	if !cmd.Runnable() {
		return
	}
	fmt.Fprintf(out, "\nUsage:\n  %s\n", cmd.UseLine())
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(out, "\nFlags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(columns))
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(out, "\nFlags of every command:\n%s", cmd.InheritedFlags().FlagUsagesWrapped(columns))
	}
}

func printRootHelp(out io.Writer, root *cobra.Command, columns int) {
	io.WriteString(out, rootLong)
	for _, group := range root.Groups() {
		fmt.Fprintf(out, "\n%s\n", group.Title)
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID && cmd.IsAvailableCommand() {
				fmt.Fprintf(out, "  %-12s %s\n", cmd.Name(), cmd.Short)
			}
		}
	}
	fmt.Fprintf(out, "\nFlags of every command:\n%s\nwf COMMAND --help begins with examples. wf help exit-codes explains exit status and error codes.\n",
		root.LocalFlags().FlagUsagesWrapped(columns))
}

// newHelpCmd is cobra's own but for an answer to a command that does not exist.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:              "help [COMMAND]",
		Short:            "Print the help of a command",
		PersistentPreRun: func(*cobra.Command, []string) {}, // settings do not matter, and may be what the help is wanted for
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, other := range cmd.Root().Commands() {
				if other.IsAvailableCommand() || other.IsAdditionalHelpTopicCommand() {
					names = append(names, other.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args)
			}
			return found.Help()
		},
	}
}

// description is what a command does, at length.
func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// reflow breaks paragraphs at a number of columns (0: not); lines that are indented stand as they are.
func reflow(text string, columns int) string {
	if columns == 0 {
		return text
	}
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") {
			paragraphs[i] = strings.Join(wrap("", strings.ReplaceAll(p, "\n", " "), columns), "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// eachFlag calls f for every flag that a reader should know, as it is typed: "-m, --model file".
func eachFlag(cmd *cobra.Command, f func(typed, usage string)) {
	visit := func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(flag)
		typed := "--" + flag.Name
		if flag.Shorthand != "" {
			typed = "-" + flag.Shorthand + ", " + typed
		}
		f(strings.TrimSpace(typed+" "+kind), usage)
	}
	cmd.NonInheritedFlags().VisitAll(visit)
	cmd.InheritedFlags().VisitAll(visit)
}
