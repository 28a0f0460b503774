package main

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

// accessFlags are who may ask.
type accessFlags struct {
	file     string
	given    []string
	hosts    []string
	origins  []string
	insecure bool
}

// keyVariable holds a key, or several with commas between them. It is no setting: wf config must not print it.
const keyVariable = "WF_API_KEY"

// minKey is as short as a key may be: fewer bytes can be guessed.
const minKey = 8

func (a *accessFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.file, "api-key-file", "", "`file` of keys, one a line, # begins a comment; requests need Authorization: Bearer KEY")
	f.StringSliceVar(&a.given, "api-key", nil, "a key; every user of this machine can read it there: prefer --api-key-file or "+keyVariable)
	f.StringSliceVar(&a.hosts, "allowed-host", nil, "further names that a Host header may have, with or without a port")
	f.StringSliceVar(&a.origins, "allowed-origin", nil, "sites whose pages may ask, such as https://app.example (CORS)")
	f.BoolVar(&a.insecure, "insecure-no-auth", false, "listen for other machines without any key")
}

// keys gathers the keys from file, variable and flags.
func (a *accessFlags) keys(env *environment) (keys []string, err error) {
	add := func(text, from string) error {
		key := strings.TrimSpace(text)
		if len(key) < minKey {
			return fault.New("BAD_OPTION", "serve: a key from %s has %d bytes; wanted at least %d", from, len(key), minKey)
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
		return nil
	}
	for _, key := range a.given {
		if err := add(key, "--api-key"); err != nil {
			return nil, err
		}
	}
	if len(a.given) > 0 {
		env.warn("--api-key: every user of this machine can read a key on the command line; prefer --api-key-file or " + keyVariable)
	}
	if value := os.Getenv(keyVariable); value != "" {
		for key := range strings.SplitSeq(value, ",") {
			if err := add(key, keyVariable); err != nil {
				return nil, err
			}
		}
	}
	if a.file == "" {
		return keys, nil
	}
	f, err := disk.Open(a.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, lines := len(keys), bufio.NewScanner(io.NewSectionReader(f, 0, f.Size()))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			if err := add(line, a.file); err != nil {
				return nil, err
			}
		}
	}
	if lines.Err() != nil || len(keys) == before {
		return nil, fault.New("BAD_OPTION", "serve: %s has no new key; wanted one a line", a.file)
	}
	return keys, nil
}
