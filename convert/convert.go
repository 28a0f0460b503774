package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// Run converts a checkpoint, or with DryRun says what it would do. The output appears complete or not at all; the checkpoint is only read.
//
// Memory does not grow with the model: a few chunks of weights per thread, and the vocabulary.
//
// Codes: USAGE; those of checkpoint.Open, claim, MakePlan and quant.File.Write.
func Run(ctx context.Context, o Options) (*Report, error) {
	start := time.Now()
	j, err := open(o)
	if err != nil {
		return nil, err
	}
	defer j.close()
	output := disk.CreateOptions{Force: o.Force, Inputs: j.sources, Calls: o.calls}
	switch {
	case o.Out != "":
	case o.Format == FormatSGL:
		j.o.Out = strings.TrimSuffix(outName(j.o.Name, gguf.I2_S), ".gguf") + ".bin"
	case !isAuto(o.Type):
		j.o.Out = outName(j.o.Name, parseType(o.Type))
	}
	if err := preflight(&j.o, output); err != nil { // before a weight is read
		return nil, fmt.Errorf("convert: %w", err)
	}
	if !o.DryRun && o.Format != FormatSGL { // which has no place for sums
		ctx = j.hash(ctx)
	}
	if err := j.decide(ctx); err != nil {
		return nil, err
	}
	var r *Report
	if o.Format == FormatSGL {
		r, err = j.writeSGL(ctx, output)
	} else {
		r, err = j.report()
	}
	if err != nil {
		return nil, err
	}
	told := 0
	tell := func(more ...string) {
		r.Notices = append(r.Notices, more...)
		for ; told < len(r.Notices); told++ {
			if o.Notice != nil {
				o.Notice(r.Notices[told])
			}
		}
	}
	tell()
	if !o.DryRun && !r.Written {
		if err := j.file.Write(ctx, j.o.Out, output, o.Progress); err != nil {
			return nil, fmt.Errorf("convert: %w", err)
		}
		r.Written = true
	}
	tell(j.damage...)
	if n := j.lost.Load(); n > 0 {
		tell(fmt.Sprintf("%d weights below 2^-25 became 0 in F16; bf16 and f32 keep them", n))
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// preflight refuses an output that cannot be written before any weight is read. The names may not be known yet, with outtype auto or of a split
// model; of that, the last of more files than there can be stands for all.
func preflight(o *Options, output disk.CreateOptions) error {
	if o.Out == "" {
		return nil
	}
	path := o.Out
	if o.SplitMaxSize > 0 {
		path = gguf.SplitName(path, 99998, 99999)
	}
	return quant.CheckOutputs([]quant.FilePart{{Path: path}}, output, o.DryRun)
}

// outName is the default of Options.Out.
func outName(name string, t gguf.Type) string {
	return strings.Map(fileRune, name) + "-" + t.String() + ".gguf"
}

// nameOf returns the base name of a folder, also of ".".
func nameOf(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

// fileRune replaces what cannot stand in a file name.
func fileRune(r rune) rune {
	if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
		return '-'
	}
	return r
}

// sidecars are the small files beside the weights. They stay open, so that a change is noticed.
type sidecars struct {
	dir   string
	files []*disk.File
	paths []string
}

func (s *sidecars) read() (*Config, *Tokenizer, error) {
	config, err := s.open("config.json", "CONFIG", maxConfigBytes)
	if err != nil {
		return nil, nil, err
	}
	if config == nil {
		return nil, nil, fault.New("CONFIG_NOT_FOUND", "%s has no config.json, which says what the weights are; pass --config-dir", s.dir)
	}
	generation, err := s.open("generation_config.json", "CONFIG", maxConfigBytes)
	if err != nil {
		return nil, nil, err
	}
	dlm, err := s.open("dlm_config.json", "CONFIG", maxConfigBytes)
	if err != nil {
		return nil, nil, err
	}
	c, err := ParseConfig(config, generation, dlm)
	if err != nil {
		return nil, nil, err
	}
	t, err := s.readTokenizer()
	return c, t, err
}

func (s *sidecars) readTokenizer() (*Tokenizer, error) {
	data, err := s.open("tokenizer.json", "TOKENIZER", maxTokenizerBytes)
	if err != nil {
		return nil, err
	}
	parse := ParseTokenizer
	if data == nil {
		if data, err = s.open("tokenizer.model", "TOKENIZER", maxTokenizerBytes); err != nil {
			return nil, err
		}
		parse = ParseSentencePiece
	}
	if data == nil {
		return nil, fault.New("TOKENIZER_NOT_FOUND", "%s has neither tokenizer.json nor tokenizer.model; save the tokenizer as a fast one, or pass --config-dir", s.dir)
	}
	t, err := parse(data)
	if err != nil {
		return nil, err
	}
	if t.Model == names.ModelSPM {
		if data, err = s.open("added_tokens.json", "TOKENIZER", maxTokenizerBytes); err != nil {
			return nil, err
		}
		if data != nil {
			f, err := readObject("added_tokens.json", data, "TOKENIZER")
			if err == nil {
				err = t.addTokens(f)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	data, err = s.open("tokenizer_config.json", "TOKENIZER", maxConfigBytes)
	if err != nil {
		return nil, err
	}
	if data != nil {
		f, err := readObject("tokenizer_config.json", data, "TOKENIZER")
		if err == nil {
			err = t.readConfig(f)
		}
		if err == nil && t.Model == names.ModelSPM {
			err = t.addDecoder(f)
		}
		if err == nil {
			err = t.readTemplates(f)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(t.Templates) > 0 {
		return t, nil
	}
	if data, err = s.open("chat_template.jinja", "TOKENIZER", maxConfigBytes); err != nil {
		return nil, err
	}
	if data != nil {
		t.Templates = []ChatTemplate{{"default", string(data)}}
		return t, nil
	}
	if data, err = s.open("chat_template.json", "TOKENIZER", maxConfigBytes); err != nil || data == nil {
		return t, err
	}
	f, err := readObject("chat_template.json", data, "TOKENIZER")
	if err != nil {
		return nil, err
	}
	return t, t.readTemplates(f)
}

// open reads a small file whole; a missing one is nil.
func (s *sidecars) open(name string, f family, maxBytes int64) ([]byte, error) {
	path := filepath.Join(s.dir, name)
	file, err := disk.Open(path)
	if fault.Code(err) == "NOT_FOUND" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.files = append(s.files, file)
	s.paths = append(s.paths, path)
	if file.Size() > maxBytes {
		return nil, fault.New(string(f)+limit, "%s has %d bytes; the limit is %d", name, file.Size(), maxBytes)
	}
	data := make([]byte, file.Size())
	if _, err = file.ReadAt(data, 0); bytes.HasPrefix(data, []byte("version https://git-lfs")) {
		return nil, fault.New(string(f)+badJSON, "%s is a Git LFS pointer, not the file it stands for; run git lfs pull", name)
	}
	return data, err
}

// scan writes file i to w.
func (s *sidecars) scan(i int, w io.Writer) error {
	_, err := io.Copy(w, io.NewSectionReader(s.files[i], 0, s.files[i].Size()))
	return err
}

func (s *sidecars) changed() error {
	var all []error
	for _, f := range s.files {
		all = append(all, f.Changed())
	}
	return errors.Join(all...)
}

func (s *sidecars) close() {
	for _, f := range s.files {
		f.Close()
	}
}
