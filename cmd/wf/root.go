package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/fault"
)

const rootLong = `wf takes a ternary (BitNet b1.58) language model from its training checkpoint to text.

  wf convert ./checkpoint                      write it as GGUF (F16)
  wf quantize checkpoint-F16.gguf I2_S         pack the ternary layers into two bits a weight
  wf generate -m checkpoint-I2_S.gguf "Hello"  run it, by block diffusion where the model was trained for it

Without -m, wf runs the small demonstration model it carries:

  wf generate "What is the capital of France?"`

// newRootCmd builds the command tree. Each call is independent, so that tests can run commands side by side.
func newRootCmd(env *environment) *cobra.Command {
	var config string
	root := &cobra.Command{
		Use:           "wf",
		Short:         "Convert, pack and run ternary language models",
		Long:          rootLong,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
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
	root.CompletionOptions.HiddenDefaultCmd = false
	root.PersistentFlags().StringVar(&config, "config", "", "YAML `file` of settings (WF_CONFIG); see wf config")
	root.PersistentFlags().BoolVarP(&env.quiet, "quiet", "q", false, "print no progress and no notices")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New("USAGE", "%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newConvertCmd(env),
		newQuantizeCmd(env),
		newInspectCmd(env),
		newVerifyCmd(env),
		newGenerateCmd(env),
		newTokenizeCmd(env),
		newLogitsCmd(env),
		newServeCmd(env),
		newBenchCmd(env),
		newPerplexityCmd(env),
		newDoctorCmd(env),
		newConfigCmd(env),
		newVersionCmd(env),
		newExitCodesTopic(),
	)
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
