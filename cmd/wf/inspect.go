package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/quant"
)

func newInspectCmd(env *environment) *cobra.Command {
	var full, asJSON bool
	var layout string
	cmd := &cobra.Command{
		Use:   "inspect GGUF | CHECKPOINT",
		Short: "Show what a model file holds",
		Long: `Show what a GGUF file or a checkpoint holds: model, tokenizer and diffusion settings, tensors with bits per weight, the scale and the share
of -1, 0 and +1 of ternary tensors, the memory that running it takes, and what was decided where the file leaves room for doubt. Of a checkpoint
it shows what wf convert --outtype auto would make of it, and why.

Of a damaged file it shows what can be trusted, marks the rest, and exits as wf verify does.`,
		Example:           "  wf inspect model-I2_S.gguf\n  wf inspect ./checkpoint --json",
		Args:              positional(cobra.ExactArgs(1)),
		ValidArgsFunction: filesEnding(append(modelFiles, checkpointFiles...)...),
		RunE: func(cmd *cobra.Command, args []string) error {
			inspect := inspectGGUF
			if !isGGUF(args[0]) {
				inspect = inspectCheckpoint
			}
			if isSGL(args[0]) {
				inspect = inspectSGL
			}
			v, err := inspect(cmd.Context(), args[0], layout)
			if v == nil {
				return err
			}
			v.Problems = problemList(problems(err))
			v.Types, v.Tensors = append([]typeTotal{}, v.Types...), append([]tensorLine{}, v.Tensors...) // in JSON a list, also if empty
			if asJSON {
				return errors.Join(err, env.writeJSON(v))
			}
			return errors.Join(err, env.printInspection(v, full))
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "print everything, also what does not fit a screen")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	bindLayout(cmd.Flags(), &layout)
	return cmd
}

// isGGUF leaves folders and the checkpoint formats to the checkpoint room; everything else is held to be GGUF, so that the error is about that.
func isGGUF(path string) bool {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return false
	}
	lower := strings.ToLower(path)
	return !slices.ContainsFunc([]string{".safetensors", ".index.json", ".pt", ".pth", ".bin", ".ckpt"},
		func(s string) bool { return strings.HasSuffix(lower, s) })
}

// inspection is what wf inspect --json prints.
type inspection struct {
	File      string            `json:"file"`
	Format    string            `json:"format"`
	Size      uint64            `json:"size"`
	Trusted   uint64            `json:"trusted_bytes,omitempty"` // of a damaged header: what could be read of it
	Sources   []string          `json:"sources,omitempty"`       // files of a checkpoint
	Plan      *planSummary      `json:"plan,omitempty"`          // what wf convert --outtype auto would make of a checkpoint
	Model     *modelSummary     `json:"model,omitempty"`
	Tokenizer *tokenizerSummary `json:"tokenizer,omitempty"`
	Diffusion *diffusionSummary `json:"diffusion,omitempty"` // nil for an autoregressive model
	Ternary   *ternarySummary   `json:"ternary,omitempty"`
	Memory    *memorySummary    `json:"memory,omitempty"`
	Receipt   *receiptSummary   `json:"receipt,omitempty"`
	Types     []typeTotal       `json:"types"`
	Metadata  []metadataLine    `json:"metadata,omitempty"`
	Tensors   []tensorLine      `json:"tensors"`
	Notes     []string          `json:"notes,omitempty"`
	Problems  []problem         `json:"problems,omitempty"`
}

type metadataLine struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type tensorLine struct {
	Name          string       `json:"name"`
	Type          string       `json:"type"`
	Dims          []uint64     `json:"dims"` // GGUF: fastest first; checkpoint: as stored
	Bytes         uint64       `json:"bytes"`
	BitsPerWeight float64      `json:"bits_per_weight"`
	Ternary       *quant.Share `json:"ternary,omitempty"`
	Problem       string       `json:"problem,omitempty"`
}

// typeTotal is all tensors of one type.
type typeTotal struct {
	Type          string  `json:"type"`
	Tensors       int     `json:"tensors"`
	Bytes         uint64  `json:"bytes"`
	BitsPerWeight float64 `json:"bits_per_weight"`
}

func bitsPerWeight(bytes, weights uint64) float64 {
	return 8 * float64(bytes) / float64(max(weights, 1))
}

// inspectGGUF returns what can be trusted of a file with the error that wf verify gives it.
func inspectGGUF(ctx context.Context, path, layout string) (*inspection, error) {
	f, trusted, err := gguf.Salvage(path)
	if f == nil {
		return inspectJunk(path, err)
	}
	v := &inspection{File: path, Size: f.Size}
	v.addHeader(f)
	if err != nil {
		v.Trusted = trusted
		return v, inFile(path, err)
	}
	defer f.Close()
	note := func(text string) { v.Notes = append(v.Notes, text) }
	data, outline, err := checkFile(ctx, f, quant.VerifyOptions{I2SLayout: layout, Shares: true}, note)
	if data == nil {
		return v, inFile(path, err)
	}
	v.addFindings(f, data)
	v.addOutline(f, outline)
	return v, inFile(path, err)
}

// inspectJunk shows how a file begins that is no model file at all.
func inspectJunk(path string, err error) (*inspection, error) {
	file, openErr := os.Open(path)
	info, statErr := os.Stat(path)
	if openErr != nil || statErr != nil || !info.Mode().IsRegular() {
		return nil, inFile(path, err)
	}
	defer file.Close()
	head := make([]byte, 256)
	n, _ := file.Read(head)
	v := &inspection{File: path, Format: "not a model file", Size: uint64(info.Size())}
	for line := range strings.Lines(string(head[:n])) {
		if v.Notes = append(v.Notes, "begins with "+fault.Quote(strings.TrimRight(line, "\r\n"))); len(v.Notes) == 3 {
			break
		}
	}
	return v, inFile(path, err)
}
