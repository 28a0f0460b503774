package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/tokenizer"
	"github.com/wrinklefree/wf/quant"
)

func newVerifyCmd(env *environment) *cobra.Command {
	var o verifyOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify GGUF",
		Short: "Prove a model file well formed and equal to its source",
		Long: `Read every byte of a GGUF file and hold it against the rules: of the container, of each tensor's type (no ternary code 3, scales finite and
positive, no NaN, no matrix of one value), of the model (parameters, shapes, tokenizer), and against the hashes that wf wrote into it.

With --source, the file is made once more, in memory, from what it was made from (the checkpoint for a file of wf convert, the input for one of
wf quantize) with the options that it records, and compared: the source's SHA-256, every ternary code, every other weight.

The exit status is 0 if everything holds. Otherwise the message names the first tensor that does not, with row and column, what was found and
what was wanted.`,
		Example: `  wf verify model-I2_S.gguf
  wf verify model-F16.gguf --source ./checkpoint
  wf verify model-I2_S.gguf --source model-F16.gguf`,
		Args:              positional(cobra.ExactArgs(1)),
		ValidArgsFunction: filesEnding(modelFiles...),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := env.verify(cmd.Context(), args[0], o)
			if asJSON {
				err = errors.Join(err, env.writeJSON(v.report(err)))
			} else if err == nil {
				_, err = fmt.Fprintln(env.stdout, v)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.source, "source", "", "what the file was made from: a checkpoint `path`, or the GGUF that wf quantize read")
	f.StringVar(&o.configDir, "config-dir", "", "`folder` of the checkpoint's config.json and tokenizer, if not beside the weights")
	bindLayout(f, &o.layout)
	f.BoolVar(&asJSON, "json", false, "print a JSON report")
	return cmd
}

type verifyOptions struct {
	source, configDir, layout string
}

// verification is what verify has done so far.
type verification struct {
	path    string
	file    *gguf.File // nil if the header is damaged
	data    *quant.Verified
	outline *infer.Outline
	source  string // compared with this
	seconds float64
}

// verify makes every check, and warns of what is odd. It returns what was found with an error, too.
func (env *environment) verify(ctx context.Context, path string, o verifyOptions) (v *verification, err error) {
	start := time.Now()
	v = &verification{path: path}
	defer func() {
		v.seconds = time.Since(start).Seconds()
		err = inFile(path, err)
	}()
	f, err := gguf.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	v.file = f
	progress, finish := env.bar("verify")
	warn := func(text string) { env.warn(path + ": " + text) }
	data, outline, found := checkFile(ctx, f, quant.VerifyOptions{I2SLayout: o.layout, Progress: progress}, warn)
	finish()
	v.data, v.outline = data, outline
	if o.source == "" || !comparable(found) {
		return v, errors.Join(found, f.Changed())
	}
	if err := env.compare(ctx, v, o); err != nil {
		return v, errors.Join(found, err)
	}
	v.source = o.source
	return v, errors.Join(found, f.Changed())
}

// checkFile makes every check of a file by itself. data is nil if the file could not be read, outline if it is no model that wf runs.
func checkFile(ctx context.Context, f *gguf.File, o quant.VerifyOptions, warn func(string)) (data *quant.Verified, outline *infer.Outline, err error) {
	data, err = quant.Verify(ctx, f, o)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range data.Warnings {
		warn(fmt.Sprintf("%v [%s]", w, fault.Code(w)))
	}
	outline, err = infer.Check(f, infer.Options{I2SLayout: o.I2SLayout, Warn: warn}, usualContext)
	if err == nil {
		_, err = tokenizer.New(f.Metadata, outline.Config.Vocab, warn)
	}
	return data, outline, errors.Join(data.Err(), err)
}

// usualContext is the cache that a command makes unless it is told otherwise, if the model goes that far.
const usualContext = 4096

// comparable reports whether a file with these problems can still be held against its source, which then shows the weight that is wrong.
func comparable(err error) bool {
	for _, p := range problems(err) {
		if p != nil && !strings.HasPrefix(fault.Code(p), "TENSOR_") {
			return false
		}
	}
	return true
}

// compare makes the file once more from its source.
func (env *environment) compare(ctx context.Context, v *verification, o verifyOptions) error {
	replay := quant.ReplayOptions{Source: o.source, Version: version, Notice: env.note}
	var finish func()
	replay.Progress, finish = env.bar("compare")
	defer finish()
	if v.data.Receipt != nil && v.data.Receipt.Quantized() {
		return quant.Replay(ctx, v.file, replay)
	}
	return convert.Verify(ctx, v.file, convert.VerifyOptions{ReplayOptions: replay, ConfigDir: o.configDir})
}

// proven lists what holds, when everything does.
func (v *verification) proven() []string {
	p := []string{"container", "types, codes and scales", "model " + v.outline.Config.Architecture}
	r := v.data.Receipt
	if r == nil {
		return append(p, "no receipt, so no hashes to compare")
	}
	p = append(p, fmt.Sprintf("hashes of wf %s", r.Version))
	if v.source == "" {
		return p
	}
	same := "every byte is what the source gives"
	if r.Version != version {
		same = "every ternary code, and every weight within its type's rounding, is what the source gives"
	}
	return append(p, fmt.Sprintf("sha256 of every source file (%d)", len(r.Sources)), same)
}

func (v *verification) String() string {
	return fmt.Sprintf("OK %s: %d tensors, %s: %s", oneLine(v.path), len(v.file.Tensors), bytesText(v.file.Size), strings.Join(v.proven(), "; "))
}

// verifyReport is what wf verify --json prints.
type verifyReport struct {
	File     string    `json:"file"`
	OK       bool      `json:"ok"`
	Size     uint64    `json:"size"`
	Tensors  int       `json:"tensors"`
	Proven   []string  `json:"proven,omitempty"`
	Problems []problem `json:"problems,omitempty"`
	Warnings []problem `json:"warnings,omitempty"`
	Seconds  float64   `json:"seconds"`
}

type problem struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

func problemList(errs []error) (all []problem) {
	for _, e := range errs {
		if e != nil {
			all = append(all, problem{fault.Code(e), e.Error()})
		}
	}
	return all
}

func (v *verification) report(err error) verifyReport {
	r := verifyReport{File: v.path, OK: err == nil, Seconds: v.seconds}
	if v.file != nil {
		r.Size, r.Tensors = v.file.Size, len(v.file.Tensors)
	}
	if v.data != nil {
		r.Warnings = problemList(v.data.Warnings)
	}
	if err != nil {
		r.Problems = problemList(problems(err))
		return r
	}
	r.Proven = v.proven()
	return r
}
