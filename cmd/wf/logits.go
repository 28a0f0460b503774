package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/infer"
)

// logitsRows is how many rows one pass computes; a multiple of every block size in use, so that a block is never cut.
const logitsRows = 256

func newLogitsCmd(env *environment) *cobra.Command {
	var m modelFlags
	var p promptFlags
	mask, out := "causal", ""
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "logits (-p TEXT | -f FILE | --token-ids IDS) -o OUT.safetensors",
		Short: "Write the logits of every position, to compare machines or programs",
		Long: `Write the float32 logits of every position of a prompt as safetensors: ids [T] (I64) and logits [T, vocab] (F32).

The prompt is taken as it is, without a chat template. --mask causal lets a position see itself and what is before it; --mask block lets it see its
whole diffusion block as well.`,
		Example: "  wf logits --token-ids 2,270,202,284 --mask block -o logits.safetensors",
		Args:    positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := m.load(env)
			if err != nil {
				return err
			}
			defer s.close()
			p.raw = true
			ids, err := p.encode(env, s, args)
			if err != nil {
				return err
			}
			if err := writeLogits(cmd.Context(), s, ids, mask, out, disk.CreateOptions{Force: force, Inputs: m.inputs()}); err != nil {
				return err
			}
			info, err := os.Stat(out)
			if err != nil {
				return err
			}
			if asJSON {
				return env.writeJSON(logitsReport{out, info.Size(), mask, len(ids), s.model.Config().Vocab})
			}
			return env.wrote(out, uint64(info.Size()))
		},
	}
	m.bind(cmd)
	p.bind(cmd)
	cmd.Flags().MarkHidden("raw") // logits are of the prompt as it is
	cmd.Flags().MarkHidden("chat-template")
	cmd.Flags().Var(oneOf(&mask, "causal", "block"), "mask", "causal or block")
	cmd.Flags().StringVarP(&out, "output", "o", "", "safetensors `file` to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing output")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON report")
	cmd.MarkFlagRequired("output")
	return cmd
}

// logitsReport is what wf logits --json prints.
type logitsReport struct {
	File  string `json:"file"`
	Size  int64  `json:"size"`
	Mask  string `json:"mask"`
	Rows  int    `json:"rows"`
	Vocab int    `json:"vocab"`
}

// writeLogits computes and writes chunk by chunk: the logits of a long prompt do not fit memory for a large vocabulary.
func writeLogits(ctx context.Context, s *session, ids []int32, mask, path string, o disk.CreateOptions) error {
	config := s.model.Config()
	chunk, visible := logitsRows, infer.Mask{}
	if mask == "block" {
		if config.Diffusion == nil {
			return usagef("--mask block: %s is not a diffusion model and has no block size; use --mask causal, or --mask-token-id", s.name)
		}
		visible.Block = config.Diffusion.BlockSize
		chunk = max(visible.Block, logitsRows/visible.Block*visible.Block)
	}
	cache, err := s.model.NewCache(len(ids))
	if err != nil {
		return err
	}
	rows, width := uint64(len(ids)), uint64(config.Vocab)
	o.Need = rows*width*4 + rows*8 + 1024
	file, err := disk.Create(path, o)
	if err != nil {
		return err
	}
	defer file.Abort()
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = checkpoint.WriteSafetensors(buffered, []checkpoint.Output{
		{Name: "ids", DType: checkpoint.I64, Shape: []uint64{rows}, Fill: func(w io.Writer) error {
			for _, id := range ids {
				if err := binary.Write(w, binary.LittleEndian, int64(id)); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "logits", DType: checkpoint.F32, Shape: []uint64{rows, width}, Fill: func(w io.Writer) error {
			return eachLogits(s.model, cache, ids, chunk, visible, func(logits []float32) error { return writeFloats(w, logits) })
		}},
	})
	if err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.Commit(ctx)
}

// eachLogits runs ids through the model, chunk rows a pass, and hands over each pass's logits [rows, vocab], in order.
func eachLogits(m *infer.Model, cache *infer.Cache, ids []int32, chunk int, mask infer.Mask, f func([]float32) error) error {
	seg := &infer.Segment{Cache: cache, Mask: mask}
	for start := 0; start < len(ids); start += chunk {
		seg.Start, seg.IDs = start, ids[start:min(start+chunk, len(ids))]
		seg.Logits = seg.Logits[:0]
		for i := range seg.IDs {
			seg.Logits = append(seg.Logits, i)
		}
		if err := m.Forward([]*infer.Segment{seg}); err != nil {
			return err
		}
		cache.SetLen(start + len(seg.IDs))
		if err := f(seg.Out[:len(seg.IDs)*m.Config().Vocab]); err != nil {
			return err
		}
	}
	return nil
}

func writeFloats(w io.Writer, x []float32) error {
	buf := make([]byte, 0, 4*len(x))
	for _, v := range x {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
	}
	_, err := w.Write(buf)
	return err
}
