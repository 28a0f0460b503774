package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newConfigCmd(env *environment) *cobra.Command {
	var generate, asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting and where it came from",
		Long: `Print every setting that has a value and where that came from.

A setting is taken from a flag, else from its WF_* variable, else from the config file (--config or WF_CONFIG), else from the model's own
metadata, else it has its default. The keys of WrinkleFree's dlm_server.yaml work unchanged.`,
		Example: "  wf config --generate > wf.yaml\n  WF_DLM_THRESHOLD=0.8 wf config --config wf.yaml",
		Args:    positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			switch {
			case generate:
				return env.printSample()
			case asJSON:
				return env.writeJSON(env.effective())
			}
			return env.printEffective()
		},
	}
	cmd.Flags().BoolVar(&generate, "generate", false, "print a sample config file with every key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (env *environment) printEffective() error {
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM\tVARIABLE")
	for _, s := range env.effective() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Key, oneLine(s.Value), oneLine(s.From), s.Variable)
	}
	return w.Flush()
}

// effectiveSetting is one line of wf config.
type effectiveSetting struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	From     string `json:"from"`
	Variable string `json:"variable"`
}

func (env *environment) effective() []effectiveSetting {
	var all []effectiveSetting
	for _, s := range settings {
		e := effectiveSetting{Key: s.key, Value: env.values[s.key], From: env.origins[s.key], Variable: s.env()}
		if e.From == "" {
			e.From = "model or default"
		}
		all = append(all, e)
	}
	return all
}

// printSample writes a config file in which every key is there and commented out.
func (env *environment) printSample() error {
	fmt.Fprintln(env.stdout, "# Settings of wf. Flags and WF_* variables stand above this file. Remove the # before a key to set it.")
	section := ""
	for _, s := range settings {
		key, indent := s.key, ""
		if at := strings.IndexByte(key, '.'); at >= 0 {
			if key[:at] != section {
				section = key[:at]
				fmt.Fprintf(env.stdout, "\n%s:\n", section)
			}
			key, indent = key[at+1:], "  "
		}
		if _, err := fmt.Fprintf(env.stdout, "%s# %s (%s, --%s)\n%s# %s:\n", indent, s.what, s.env(), s.flag, indent, key); err != nil {
			return err
		}
	}
	return nil
}
