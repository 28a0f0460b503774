package main

import (
	"bufio"
	"context"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/show"
)

// recording says what a trace needs to be watched without the model.
func (s *session) recording(prompt []int32, o diffusion.Options) (show.Header, error) {
	c := s.model.Config()
	r, err := o.Resolved(c)
	if err != nil {
		return show.Header{}, err
	}
	h := show.Header{
		Program: version, Model: s.name, Mode: r.Mode, Threshold: r.Threshold, BlockSize: r.BlockSize, SubBlockSize: r.SubBlockSize,
		SubBlockCache: r.SubBlockCache, MaxTokens: r.MaxTokens, Context: r.Context, Temperature: r.Temperature, TopK: r.TopK, TopP: r.TopP, MinP: r.MinP,
		Seed: r.Seed, Stop: r.Stop, Prompt: prompt, Infill: r.Infill,
	}
	if c.Diffusion != nil {
		h.Dialect, h.MaxIterations = c.Diffusion.Dialect, r.MaxIterations
	}
	return h, nil
}

// trace is a file of passes that appears when the answer is complete. The nil trace records nothing.
type trace struct {
	file     *disk.Output
	buffered *bufio.Writer
	*show.Writer
	sampled bool // the seed matters
}

// newTrace begins the file; "" for none.
func newTrace(path string, h show.Header, text func(id int32) string, create disk.CreateOptions) (*trace, error) {
	if path == "" {
		return nil, nil
	}
	file, err := disk.Create(path, create)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriter(file)
	return &trace{file, buffered, show.NewWriter(buffered, h, text), h.Temperature > 0}, nil
}

func (t *trace) event(e diffusion.Event) {
	if t != nil {
		t.Event(e) // an error stays, for finish
	}
}

// finish writes how the answer ended, and makes the file appear.
func (t *trace) finish(ctx context.Context, r *diffusion.Result) error {
	if t == nil {
		return nil
	}
	end := show.End{Reason: r.FinishReason, NewTokens: r.Stats.NewTokens}
	if t.sampled {
		end.Seed = &r.Seed
	}
	if err := t.End(end); err != nil {
		return err
	}
	if err := t.buffered.Flush(); err != nil {
		return err
	}
	return t.file.Commit(ctx)
}

// abort removes the file, unless it is complete.
func (t *trace) abort() {
	if t != nil {
		t.file.Abort()
	}
}
