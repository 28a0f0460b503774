package main

import (
	"cmp"
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
	{"dlm.decode_mode", "decode-mode", "", "iterative, greedy, adaptive, autoregressive or auto; empty: the file's"},
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
	{"host", "host", "", "address that wf serve listens on, or unix:PATH"},
	{"port", "port", "", "port that wf serve listens on"},
	{"scheduler.max_sequences", "parallel", "", "answers that run at a time"},
	{"scheduler.enable_radix_cache", "prefix-cache", "", "keep keys and values for requests that begin alike"},
	{"scheduler.radix_cache_max_tokens", "prefix-cache-tokens", "", "positions kept for them; 0: 512 MiB of them"},
	{"scheduler.cache_mib", "cache-mib", "", "MiB for keys and values of running answers"},
	{"scheduler.queue", "queue", "", "requests that wait at a time"},
	{"scheduler.queue_time", "queue-time", "", "time that a request waits at most, such as 60s"},
	{"benchmark.enabled", "benchmark", "", "measure latency instead of serving"},
	{"benchmark.iterations", "benchmark-iterations", "", "requests that are measured"},
	{"benchmark.max_tokens", "benchmark-max-tokens", "", "new tokens of each"},
	{"benchmark.prompt", "benchmark-prompt", "", "what is asked"},
	{"server.alias", "alias", "", "name of the model for clients"},
	{"server.api_key_file", "api-key-file", "", "file of keys, one a line (a key itself: variable WF_API_KEY)"},
	{"server.allowed_hosts", "allowed-host", "", "further names in a Host header, a list"},
	{"server.allowed_origins", "allowed-origin", "", "sites whose pages may ask, a list"},
	{"server.insecure_no_auth", "insecure-no-auth", "", "listen for other machines without a key"},
	{"server.tls_cert", "tls-cert", "", "PEM file of the certificate chain"},
	{"server.tls_key", "tls-key", "", "PEM file of its key"},
	{"server.strict", "strict", "", "refuse members of requests that have no effect"},
	{"server.log_format", "log-format", "", "text or json"},
	{"server.log_bodies", "log-bodies", "", "log conversations"},
	{"server.drain_time", "drain-time", "", "time for running answers after SIGTERM"},
	{"server.request_time", "request-time", "", "time that a request may take"},
}

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
		if _, isList := v.Get(s.key).([]any); isList {
			value = strings.Join(v.GetStringSlice(s.key), ",")
		}
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
		if !v.InConfig(strings.SplitN(key, ".", 2)[0]) || slices.Contains(settingKeys(), key) {
			continue
		}
		hint := cmp.Or(didYouMean("", key, settingKeys()), "; wf config --generate lists the keys")
		env.warn(fmt.Sprintf("%s: key %s is unknown and has no effect%s", path, fault.Quote(key), hint))
	}
	return nil
}

func settingKeys() (keys []string) {
	for _, s := range settings {
		keys = append(keys, s.key)
	}
	return keys
}
