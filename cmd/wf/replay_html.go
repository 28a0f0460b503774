package main

import (
	"bufio"
	"cmp"
	"context"
	"slices"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/server/page"
	"github.com/wrinklefree/wf/infer/show"
)

// writeReplay writes a trace as a page of its own.
func writeReplay(ctx context.Context, path string, create disk.CreateOptions, title string, t *show.Trace, text func(id int32) string) error {
	file, err := disk.Create(path, create)
	if err != nil {
		return err
	}
	defer file.Abort()
	buffered := bufio.NewWriter(file)
	if err := page.WriteReplay(buffered, replayOf(t, title, text)); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.Commit(ctx)
}

// replayOf says the same in the page's words.
func replayOf(t *show.Trace, title string, text func(id int32) string) page.Replay {
	h := t.Header
	r := page.Replay{Title: title, Model: h.Model, BlockSize: h.BlockSize}
	for _, id := range h.Prompt {
		r.Prompt = append(r.Prompt, page.Token{ID: id, Text: text(id)})
	}
	switch {
	case h.Infill != nil:
		r.End = len(h.Prompt) + len(h.Infill)
	case t.End != nil && h.Version > 0:
		r.End = len(h.Prompt) + t.End.NewTokens
	}
	given := 0 // of h.Infill, the positions that the page has been told of
	for _, e := range t.Events {
		step := page.Step{Event: e.Event, Block: e.Block, Step: e.Pass}
		if e.Sub != diffusion.NoSub {
			step.Sub = &e.Sub
		}
		for ; given < min(len(h.Infill), e.Block+h.BlockSize-len(h.Prompt)); given++ { // what was given in a block, the page shows with its first pass
			if id := h.Infill[given]; id != diffusion.Masked {
				step.Take = append(step.Take, page.Take{Position: len(h.Prompt) + given, ID: id, Text: text(id)})
			}
		}
		for _, take := range e.Take {
			shown := page.Take{Position: take.Position, ID: take.ID, Text: text(take.ID)}
			if e.Event != "next" {
				shown.Confidence = &take.Confidence
			}
			step.Take = append(step.Take, shown)
		}
		slices.SortFunc(step.Take, func(a, b page.Take) int { return cmp.Compare(a.Position, b.Position) })
		r.Steps = append(r.Steps, step)
	}
	return r
}
