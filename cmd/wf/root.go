package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/fault"
)

// newRootCmd builds the command tree. Each call is independent, so that tests can run commands side by side.
func newRootCmd(env *environment) *cobra.Command {
	var config string
	root := &cobra.Command{
		Use:           "wf",
		Short:         "Convert, pack and run ternary language models",
		Args:          unknownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(env.stdout, rootLong+rootMore)
			return err
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.loadSettings(cmd, config); err != nil {
				return err
			}
			if err := cmd.ValidateRequiredFlags(); err != nil { // cobra asks after this hook, when the error would no longer count as usage
				return err
			}
			env.started = true
			return nil
		},
	}
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.PersistentFlags().StringVar(&config, "config", "", "YAML `file` of settings (WF_CONFIG); see wf config")
	root.PersistentFlags().BoolVarP(&env.quiet, "quiet", "q", false, "print no progress and no notices")
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpFunc(printHelp)
	for _, room := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Get a model:", []*cobra.Command{newConvertCmd(env), newQuantizeCmd(env), newInspectCmd(env)}},
		{"Run it:", []*cobra.Command{newGenerateCmd(env), newChatCmd(env), newReplayCmd(env), newServeCmd(env)}},
		{"Check it:", []*cobra.Command{newVerifyCmd(env), newEvalCmd(env), newPerplexityCmd(env), newTokenizeCmd(env), newLogitsCmd(env)}},
		{"This machine:", []*cobra.Command{newDoctorCmd(env), newBenchCmd(env), newConfigCmd(env), newCompletionCmd(env), newVersionCmd(env)}},
	} {
		root.AddGroup(&cobra.Group{ID: room.title, Title: room.title})
		for _, cmd := range room.commands {
			cmd.GroupID = room.title
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommand(newHelpCmd())
	root.SetHelpCommandGroupID("This machine:")
	root.AddCommand(newManCmd(), newExitCodesTopic())
	completeWords(root)
	return root
}

// newExitCodesTopic is a help topic: a command that cannot be run.
func newExitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What each exit status and error code means", Long: exitCodesText()}
}

// positional wraps an argument check so that the message names the command's usage.
func positional(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fault.New("USAGE", "%w; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// usagef is an error in the way a command was called.
func usagef(format string, args ...any) error {
	return fault.New("USAGE", "%w", fmt.Errorf(format, args...))
}
