package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/tiny"
	"github.com/wrinklefree/wf/infer/tokenizer"
	"github.com/wrinklefree/wf/quant"
)

// modelFlags choose a model and how it is loaded. Every command that runs one binds them.
type modelFlags struct {
	path      string
	threads   int
	cacheType tensorType
	mask      maskToken
	dialect   string
	block     int
	subBlock  int
	hidden    string
	layout    string
}

func (m *modelFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&m.path, "model", "m", "", "GGUF `file` (without it: the small model that wf carries)")
	f.IntVarP(&m.threads, "threads", "t", 0, "threads to compute with (0: as many as the processor quota allows)")
	m.bindLoading(cmd)
}

// bindLoading binds all but file and threads, of which wf bench takes several.
func (m *modelFlags) bindLoading(cmd *cobra.Command) {
	f := cmd.Flags()
	m.cacheType.allow = []gguf.Type{gguf.F32, gguf.F16}
	f.Var(&m.cacheType, "cache-type", "type of keys and values: f32 or f16 (f32)")
	f.Var(&m.mask, "mask-token-id", "mask token id, or none to treat the model as autoregressive (the file's)")
	f.Var(oneOf(&m.dialect, convert.Choices["dialect"]...), "dialect", "fast-dllm-v2 or wrinklefree (the file's)")
	f.IntVar(&m.block, "block-size", 0, "positions in a diffusion block (0: the file's)")
	f.IntVar(&m.subBlock, "sub-block-size", 0, "positions in a sub-block, which divides the block (0: the file's)")
	f.Var(oneOf(&m.hidden, convert.Choices["hidden-activation"]...), "hidden-activation", "silu or relu2, for a file that does not say or says it wrongly")
	bindLayout(f, &m.layout)
}

// bindLayout binds --i2s-layout.
func bindLayout(f *pflag.FlagSet, layout *string) {
	f.Var(oneOf(layout, strings.Split(quant.LayoutNames(), ", ")...), "i2s-layout",
		"layout of I2_S tensors in a file that wf did not write: "+quant.LayoutNames()+" (128)")
}

// session is a loaded model with its tokenizer.
type session struct {
	name      string
	file      *gguf.File
	model     *infer.Model
	tokenizer *tokenizer.Tokenizer
}

// load maps the file (or the embedded model), checks it and builds the tokenizer.
func (m *modelFlags) load(env *environment) (*session, error) {
	name, open := tiny.Name, func() (*gguf.File, error) { return gguf.Parse(tiny.Model) }
	if m.path != "" {
		name, open = strings.TrimSuffix(filepath.Base(m.path), ".gguf"), func() (*gguf.File, error) { return gguf.Map(m.path) }
	}
	file, err := open()
	if err != nil {
		return nil, m.named(err)
	}
	s, err := m.loadFile(env, name, file)
	if err != nil {
		return nil, m.named(err)
	}
	return s, nil
}

// loadFile does the same with a file that is in reach already; the session owns it from then on.
func (m *modelFlags) loadFile(env *environment, name string, file *gguf.File) (*session, error) {
	model, err := infer.LoadFile(file, m.options(env))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s := &session{name: name, file: file, model: model}
	if s.tokenizer, err = tokenizer.New(m.vocabulary(model), model.Config().Vocab, env.warn); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// options returns how the model is loaded.
func (m *modelFlags) options(env *environment) infer.Options {
	o := infer.Options{
		Threads: m.threads, I2SLayout: m.layout, HiddenActivation: m.hidden, MaskToken: m.mask.id, NoMask: m.mask.none, Dialect: m.dialect,
		BlockSize: m.block, SubBlockSize: m.subBlock, Warn: env.warn,
	}
	if m.cacheType.given {
		o.CacheType = m.cacheType.value
	}
	return o
}

// vocabulary is the model's metadata with the mask token that is in force, so that the tokenizer keeps it out of texts and of the stop set.
func (m *modelFlags) vocabulary(model *infer.Model) *gguf.Metadata {
	if m.mask.id == nil {
		return model.Metadata()
	}
	md := model.Metadata().Clone()
	md.Set(names.MaskToken, uint32(*m.mask.id))
	return md
}

// named puts the file in front of an error that does not name it yet.
func (m *modelFlags) named(err error) error {
	path := m.path
	if path == "" {
		path = "embedded model " + tiny.Name
	}
	return inFile(path, err)
}

// inFile puts a path in front of an error, once.
func inFile(path string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), path) {
		return err
	}
	var named []error
	for _, problem := range problems(err) {
		if !strings.HasPrefix(problem.Error(), path) {
			problem = fmt.Errorf("%s: %w", path, problem)
		}
		named = append(named, problem)
	}
	return errors.Join(named...)
}

func (s *session) close() error { return errors.Join(s.model.Close(), s.file.Close()) }

// inputs lists the files that a command reads, which its output must not replace.
func (m *modelFlags) inputs() []string {
	if m.path == "" {
		return nil
	}
	return []string{m.path}
}
