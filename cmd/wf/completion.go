package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shells are those that complete wf's commands.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletionCmd(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that makes a shell complete wf's commands",
		Long: `Print a script that makes a shell complete commands, flags, model files, types and modes. SHELL is bash, zsh, fish or powershell.

bash needs its package bash-completion. zsh reads the script as _wf from a folder of $fpath, fish as wf.fish from ~/.config/fish/completions, and
PowerShell from $PROFILE.`,
		Example: `  source <(wf completion bash)             # this shell, now
  wf completion bash > wf.bash             # to keep: in /etc/bash_completion.d, or ~/.local/share/bash-completion/completions as wf
  wf completion zsh > _wf
  wf completion fish > wf.fish
  wf completion powershell > wf.ps1`,
		Args:      positional(cobra.ExactArgs(1)),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(env.stdout, true)
			case "zsh":
				return root.GenZshCompletion(env.stdout)
			case "fish":
				return root.GenFishCompletion(env.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(env.stdout)
			}
			return usagef("shell %q is unknown; wanted %s%s", args[0], either(shells), didYouMean("", args[0], shells))
		},
	}
}

// Endings of the files that a command reads.
var (
	modelFiles      = []string{"gguf"}
	checkpointFiles = []string{"safetensors", "pt", "pth", "bin", "ckpt", "json"} // json: the index of a sharded checkpoint
)

// filesEnding completes the first argument: files with these endings, and folders on the way to them.
func filesEnding(endings ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}

// completeWords tells the shell what may stand behind each flag: its choices, files, a folder, or nothing that wf could know; and that arguments are no
// files. A command that knows better has said so.
func completeWords(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if _, known := cmd.GetFlagCompletionFunc(f.Name); known {
				return
			}
			kind, _ := pflag.UnquoteUsage(f)
			complete := cobra.NoFileCompletions
			if c, ok := f.Value.(interface{ choices() []string }); ok {
				complete = cobra.FixedCompletions(c.choices(), cobra.ShellCompDirectiveNoFileComp)
			}
			switch {
			case f.Name == "model":
				complete = cobra.FixedCompletions(modelFiles, cobra.ShellCompDirectiveFilterFileExt)
			case kind == "folder":
				complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
			case kind == "file" || kind == "path":
				complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
			}
			if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				panic(err) // the flag was found above
			}
		})
	}
}
