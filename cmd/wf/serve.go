package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/engine"
	"github.com/wrinklefree/wf/infer/server"
)

// service are the flags of wf serve besides those of the model and of decoding, which are the defaults of requests.
type service struct {
	model  modelFlags
	decode decodeFlags
	listen listenFlags
	access accessFlags
	engine engineFlags
	bench  serveBenchmark

	strict      bool
	logFormat   string
	logBodies   bool
	drainTime   time.Duration
	requestTime time.Duration
}

func newServeCmd(env *environment) *cobra.Command {
	v := service{logFormat: "text"}
	var generate, print bool
	cmd := &cobra.Command{
		Use:        "serve",
		Short:      "Answer HTTP requests as OpenAI's and llama.cpp's servers do",
		SuggestFor: []string{"start", "api"},
		Long: `Answer HTTP requests with one model: /v1/chat/completions, /v1/completions and /v1/models as OpenAI has them, /completion, /tokenize,
/detokenize, /apply-template, /props, /slots and /health as llama.cpp has them, /healthz, /readyz, /metrics and /version.
A browser finds a chat at its address, which shows blocks being unmasked (docs/page.md).

Without keys it listens only on a loopback address, and only for requests that name it so. SIGTERM and SIGINT let running answers finish.
docs/api.md is the reference, docs/deploy has a container, a systemd unit and Kubernetes manifests.`,
		Example: `  wf serve                                             # the small model that wf carries, on http://127.0.0.1:30000
  wf serve -m model-I2_S.gguf --parallel 8 --host unix:wf.sock
  wf serve --host 0.0.0.0 --api-key-file keys.txt
  wf serve --config dlm_server.yaml`,
		Args: positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case generate:
				return env.printSample()
			case print:
				return env.printEffective()
			}
			return v.run(cmd.Context(), env)
		},
	}
	v.model.bind(cmd)
	v.decode.bind(cmd)
	v.listen.bind(cmd)
	v.access.bind(cmd)
	v.engine.bind(cmd)
	v.bench.bind(cmd)
	f := cmd.Flags()
	f.BoolVar(&v.strict, "strict", false, "refuse requests with members that have no effect")
	f.Var(oneOf(&v.logFormat, "text", "json"), "log-format", "text or json, on standard error")
	f.BoolVar(&v.logBodies, "log-bodies", false, "log what is asked: conversations will be in the log")
	f.DurationVar(&v.drainTime, "drain-time", 30*time.Second, "time that running answers have to finish in after SIGTERM")
	f.DurationVar(&v.requestTime, "request-time", 10*time.Minute, "time that a request may take")
	f.BoolVar(&generate, "generate-config", false, "print a sample config file: wf config --generate")
	f.BoolVar(&print, "print-config", false, "print every setting and where it came from: wf config")
	return cmd
}

func (v *service) run(ctx context.Context, env *environment) error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE) // a service outlives the terminal it was started from, and whoever read its log
	log := v.log(env)
	keys, err := v.access.keys(env)
	if err != nil {
		return err
	}
	if err := v.check(env); err != nil {
		return err
	}
	if v.bench.enabled {
		return v.benchmark(ctx, env)
	}
	certificate, err := v.listen.certificate()
	if err != nil {
		return err
	}
	listener, err := v.listen.open(ctx, len(keys) > 0 || v.access.insecure)
	if err != nil {
		return err
	}
	s := server.New(server.Options{
		Version: version, Keys: keys, AllowedHosts: v.access.hosts, AllowedOrigins: v.access.origins, TLS: certificate, Strict: v.strict,
		LogBodies: v.logBodies, Log: log, RequestTime: v.requestTime,
	})
	defer s.Close()
	failed := make(chan error, 1)
	go func() { // contained by net/http
		if err := s.Serve(listener); err != nil {
			failed <- fault.New("LISTEN_FAILED", "serve: %w", err)
		}
	}()
	env.note(fmt.Sprintf("listening on %s; keys: %d; loading the model", v.listen.url(listener), len(keys)))

	m, err := v.load(ctx, env, log)
	if err != nil {
		return err
	}
	defer m.close()
	s.Use(m.served)
	env.note(fmt.Sprintf("ready: %s (%s)", m.name, m.served.Fingerprint))
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	env.note("draining; a second signal ends the process at once")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.drainTime)
	defer cancel()
	if s.Drain(last) != nil {
		env.note("the drain time is over; answers that were running ended with an error")
	}
	return nil
}

func (v *service) log(env *environment) *slog.Logger {
	level := &slog.HandlerOptions{Level: slog.LevelInfo}
	if env.quiet {
		level.Level = slog.LevelWarn
	}
	if v.logBodies {
		env.warn("--log-bodies: whole conversations will be in the log")
	}
	if v.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(env.stderr, level))
	}
	return slog.New(slog.NewTextHandler(env.stderr, level))
}

// check makes every check that the file's header allows, before a port is opened or a weight is read.
func (v *service) check(env *environment) error {
	if v.model.path == "" {
		return nil // what wf carries is sound
	}
	f, err := gguf.Open(v.model.path)
	if err != nil {
		return v.model.named(err)
	}
	defer f.Close()
	outline, err := infer.Check(f, v.model.options(env), v.decode.context)
	if err == nil {
		err = outline.Fits()
	}
	return v.model.named(err)
}

// loaded is a model that answers.
type loaded struct {
	*session
	served *server.Model
}

func (l *loaded) close() error {
	l.served.Engine.Close()
	return l.session.close()
}

// load loads the model and starts its engine. When ctx ends first, the process is about to, and what is half loaded goes with it.
func (v *service) load(ctx context.Context, env *environment, log *slog.Logger) (*loaded, error) {
	type outcome struct {
		*loaded
		error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				env.internal(p)
				done <- outcome{nil, errors.New("loading the model failed")}
			}
		}()
		m, err := v.start(env, log)
		done <- outcome{m, err}
	}()
	select {
	case o := <-done:
		return o.loaded, o.error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (v *service) start(env *environment, log *slog.Logger) (*loaded, error) {
	s, err := v.model.load(env)
	if err != nil {
		return nil, err
	}
	defaults := v.decode.options(env, &v.model, s)
	defaults.Text, defaults.Warn = nil, nil
	fingerprint, err := s.model.Fingerprint()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	o, err := v.engine.options(s.model)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	o.Context, o.MaxTokens, o.Log = v.decode.context, v.decode.maxTokens, log
	e, err := engine.New(s.model, o)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &loaded{s, &server.Model{
		Name: v.listen.name(s.name), Config: s.model.Config(), Tokenizer: s.tokenizer, Engine: e, Defaults: defaults, Fingerprint: short(fingerprint),
	}}, nil
}

// short is a system_fingerprint: what decides of the ids that a request and its seed give, the model's logits and this release.
func short(fingerprint string) string {
	sum := sha256.Sum256([]byte(version + " " + fingerprint))
	return "fp_" + hex.EncodeToString(sum[:6])
}
