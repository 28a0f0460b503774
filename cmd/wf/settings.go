package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"github.com/wrinklefree/wf/gguf/fault"
)

// setting is a value that can be given as a flag, as a variable WF_* or in a config file.
type setting struct {
	key      string // in the file; WF_ and the key in capitals, dots as underscores, is the variable
	flag     string // the flag it fills where a command has one of that name
	variable string // a second variable that others already use, below WF_*
	what     string
}

// settings is the one table of keys. The names under dlm are those of WrinkleFree's dlm_server.yaml, which works unchanged.
var settings = []setting{
	{"model_path", "model", "MODEL_PATH", "GGUF file to run; empty: the model that wf carries"},
	{"threads", "threads", "", "threads to compute with; 0: as many as the processor quota allows"},
	{"ctx_size", "ctx-size", "", "positions to make room for; 0: the model's, at most 4096"},
	{"cache_type", "cache-type", "", "type of keys and values: f32 or f16"},
	{"max_tokens", "max-tokens", "", "new tokens at most; 0: to the end of the context"},
	{"dlm.decode_mode", "decode-mode", "", "iterative, greedy, adaptive or autoregressive; empty: the file's"},
	{"dlm.threshold", "threshold", "", "confidence above which a masked token is taken, 0 to 1"},
	{"dlm.block_size", "block-size", "", "positions in a diffusion block; 0: the file's"},
	{"dlm.small_block_size", "sub-block-size", "", "positions in a sub-block; 0: the file's"},
	{"dlm.max_iterations_per_block", "max-iterations", "", "passes over a block before it is filled with the best guesses (dialect wrinklefree)"},
	{"dlm.mask_token_id", "mask-token-id", "", "mask token id, or none; empty: the file's"},
	{"sampling.temperature", "temp", "", "0: always the most likely token"},
	{"sampling.top_k", "top-k", "", "0: all tokens"},
	{"sampling.top_p", "top-p", "", "1: all tokens"},
	{"sampling.min_p", "min-p", "", "0: all tokens"},
	{"sampling.seed", "seed", "", "seed of the sampler; empty: a random one, which the report names"},
}

// serviceKeys are the parts of dlm_server.yaml that belong to the service: legal in a file, without effect on these commands.
var serviceKeys = []string{"host", "port", "scheduler.", "benchmark."}

func (s setting) env() string {
	return "WF_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// loadSettings reads the config file and the variables, and fills every flag of cmd that the user left unset. Order: flag, WF_* variable, config
// file; what is set nowhere stays for the model's metadata and the defaults.
func (env *environment) loadSettings(cmd *cobra.Command, config string) error {
	v := viper.New()
	for _, s := range settings {
		names := []string{s.key, s.env()}
		if s.variable != "" {
			names = append(names, s.variable)
		}
		if err := v.BindEnv(names...); err != nil {
			return err
		}
	}
	if config == "" {
		config = os.Getenv("WF_CONFIG")
	}
	if config != "" {
		if err := env.readConfig(v, config); err != nil {
			return err
		}
	}
	env.origins, env.values = map[string]string{}, map[string]string{}
	for _, s := range settings {
		if f := cmd.Flags().Lookup(s.flag); f != nil && f.Changed {
			env.origins[s.key], env.values[s.key] = "flag --"+s.flag, f.Value.String()
			continue
		}
		if !v.IsSet(s.key) {
			continue
		}
		origin, value := s.origin(config), v.GetString(s.key)
		env.origins[s.key], env.values[s.key] = origin, value
		if err := fill(cmd.Flags(), s, value, origin); err != nil {
			return err
		}
	}
	return nil
}

// fill sets the flag of a setting, if the command has it.
func fill(flags *pflag.FlagSet, s setting, value, origin string) error {
	f := flags.Lookup(s.flag)
	if f == nil {
		return nil
	}
	if err := f.Value.Set(value); err != nil {
		return fault.New("BAD_SETTING", "setting %s from %s: %s: %w", s.key, origin, fault.Quote(value), err)
	}
	f.Changed = true // a required flag is satisfied, whoever set it
	return nil
}

// origin names where viper found the key.
func (s setting) origin(config string) string {
	for _, name := range []string{s.env(), s.variable} {
		if name != "" && os.Getenv(name) != "" {
			return "variable " + name
		}
	}
	return "file " + config
}

func (env *environment) readConfig(v *viper.Viper, path string) error {
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fault.New("NOT_FOUND", "%s: config file not found", path)
		}
		return fault.New("BAD_CONFIG", "%s: %w", path, err)
	}
	for _, key := range v.AllKeys() {
		if !v.InConfig(strings.SplitN(key, ".", 2)[0]) || knownKey(key) {
			continue
		}
		env.warn(fmt.Sprintf("%s: key %s is unknown and has no effect; wf config --generate lists the keys", path, fault.Quote(key)))
	}
	return nil
}

func knownKey(key string) bool {
	if slices.ContainsFunc(settings, func(s setting) bool { return s.key == key }) {
		return true
	}
	return slices.ContainsFunc(serviceKeys, func(k string) bool { return key == k || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) })
}
