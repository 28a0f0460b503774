package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/infer/kernel"
)

// version is the release. Files carry it (wf.version), so it never holds a VCS state.
const version = "0.1.0"

func newVersionCmd(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the target and the kernels in use",
		Example: "  wf version\n  wf version --json",
		Args:    positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
				Kernel  string `json:"kernel"`
			}{version, runtime.Version(), runtime.GOOS, runtime.GOARCH, kernel.Name()}
			if asJSON {
				return env.writeJSON(v)
			}
			_, err := fmt.Fprintf(env.stdout, "wf %s (%s %s/%s, %s kernels)\n", v.Version, v.Go, v.OS, v.Arch, v.Kernel)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
