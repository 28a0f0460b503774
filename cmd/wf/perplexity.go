package main

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

func newPerplexityCmd(env *environment) *cobra.Command {
	var m modelFlags
	var file, mask string
	var asJSON bool
	p := perplexity{}
	cmd := &cobra.Command{
		Use:   "perplexity -f FILE",
		Short: "Measure how well a model predicts a text",
		Long: `Measure how well a model predicts a text: exp of the mean of -ln P over the scored tokens, and its standard error.

The text is cut into chunks of -c tokens that know nothing of each other, each with bos in its first place if the model wants one. The second half
of a chunk is scored, so that every scored token has half a chunk before it. An unfinished chunk at the end is left out.

--mask causal: each token is scored given all true tokens before it. This is llama.cpp's number.

--mask block (the default for a diffusion model): each token is scored as the first denoise step of its block sees it. The cache holds the true
tokens before the block. Then one pass runs over the block, all masks but, in dialect fast-dllm-v2, its first token, which that dialect knows from
the block before: row s-1 predicts position s, and row p-1 of the pass predicts position p. Where logits are not shifted (wrinklefree), row p predicts
position p. Chunks and scored halves are whole blocks. No decoding is that blind after its first step, so the number is above the causal one; it
compares models and files, not masks.`,
		Example: "  wf perplexity -f text.txt                                     # of the model that wf carries\n" +
			"  wf perplexity -m model-I2_S.gguf -f text.txt --mask causal -c 256 --chunks 4",
		Args: positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readPromptFile(file)
			if err != nil {
				return err
			}
			s, err := m.load(env)
			if err != nil {
				return err
			}
			defer s.close()
			if p.Model, p.Mask = s.name, mask; mask == "" && s.model.Config().Diffusion != nil {
				p.Mask = "block"
			}
			p.Mask = cmp.Or(p.Mask, "causal")
			if err := p.measure(cmd.Context(), s, text, env.note); err != nil {
				return err
			}
			if asJSON {
				return env.writeJSON(&p)
			}
			_, err = fmt.Fprintf(env.stdout, "PPL = %.4f +/- %.4f  (%s, mask %s, %d chunks of %d tokens, %d tokens scored)\n",
				p.Perplexity, p.Error, p.Model, p.Mask, p.Chunks, p.Context, p.Scored)
			return err
		},
	}
	m.bind(cmd)
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "the text, in `file`")
	f.Var(oneOf(&mask, "causal", "block"), "mask", "causal or block (block for a diffusion model)")
	f.IntVarP(&p.Context, "ctx-size", "c", 512, "tokens in a chunk")
	f.IntVar(&p.Chunks, "chunks", 0, "chunks at most (0: all)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagRequired("file")
	return cmd
}

// perplexity is a measurement: Context, Chunks and Mask say what is wanted, the rest what was found.
type perplexity struct {
	Model      string  `json:"model"`
	Mask       string  `json:"mask"`
	Context    int     `json:"context"`
	Chunks     int     `json:"chunks"`
	Scored     int     `json:"tokens_scored"`
	Perplexity float64 `json:"perplexity"`
	Error      float64 `json:"standard_error"`

	sum, squares float64 // of -ln P
}

// measure scores chunk by chunk. Every sum goes upward over the tokens, so the same file gives the same number each time.
func (p *perplexity) measure(ctx context.Context, s *session, text string, note func(string)) error {
	score, err := p.scorer(s.model)
	if err != nil {
		return err
	}
	ids := s.tokenizer.Encode(text, tokenizer.EncodeOptions{AddBOS: true})
	if len(ids) < p.Context {
		return fault.New("BAD_PROMPT", "the text has %d tokens; wanted at least one chunk of %d: give a longer text or a smaller --ctx-size", len(ids), p.Context)
	}
	if chunks := len(ids) / p.Context; p.Chunks == 0 || chunks < p.Chunks {
		p.Chunks = chunks
	}
	cache, err := s.model.NewCache(p.Context)
	if err != nil {
		return err
	}
	bos, hasBOS := chunkBOS(s, ids)
	for c := range p.Chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := ids[c*p.Context:][:p.Context]
		if hasBOS {
			chunk[0] = bos
		}
		cache.SetLen(0)
		if err := score(cache, chunk); err != nil {
			return err
		}
		note(fmt.Sprintf("chunk %d of %d: PPL %.4f", c+1, p.Chunks, p.Perplexity))
	}
	return nil
}

// chunkBOS returns the token that a chunk begins with, if the model wants one: then the whole text does.
func chunkBOS(s *session, ids []int32) (int32, bool) {
	bos, ok, err := gguf.Value[uint32](s.model.Metadata(), names.BOS)
	wanted := s.tokenizer.Encode("", tokenizer.EncodeOptions{AddBOS: true})
	return int32(bos), ok && err == nil && len(wanted) > 0 && wanted[0] == int32(bos) && ids[0] == int32(bos)
}

// scorer checks what is wanted against the model.
func (p *perplexity) scorer(m *infer.Model) (func(*infer.Cache, []int32) error, error) {
	c := m.Config()
	if p.Context < 4 || p.Context > c.Context || p.Chunks < 0 {
		return nil, usagef("--ctx-size %d --chunks %d; wanted 4 to %d tokens, and 0 or more chunks", p.Context, p.Chunks, c.Context)
	}
	if p.Mask == "causal" {
		return func(cache *infer.Cache, ids []int32) error { return p.causal(m, cache, ids) }, nil
	}
	d := c.Diffusion
	if d == nil {
		return nil, usagef("--mask block: %s is not a diffusion model; use --mask causal, or --mask-token-id", p.Model)
	}
	if p.Context%d.BlockSize != 0 || p.Context < 2*d.BlockSize {
		return nil, usagef("--ctx-size %d; wanted a multiple of the block size %d, at least two blocks", p.Context, d.BlockSize)
	}
	return func(cache *infer.Cache, ids []int32) error { return p.blocks(m, d, cache, ids) }, nil
}

// scoreRows bounds the logits that one pass computes.
const scoreRows = 64

// causal scores the second half of a chunk: the row before a token predicts it.
func (p *perplexity) causal(m *infer.Model, cache *infer.Cache, ids []int32) error {
	seg := &infer.Segment{Cache: cache}
	for first := len(ids) / 2; seg.Start < len(ids)-1; {
		end := min(seg.Start+scoreRows, len(ids)-1)
		if seg.Start < first {
			end = first
		}
		seg.IDs, seg.Logits = ids[seg.Start:end], seg.Logits[:0]
		for i := max(first-seg.Start, 0); i < len(seg.IDs); i++ {
			seg.Logits = append(seg.Logits, i)
		}
		if err := forward(m, seg); err != nil {
			return err
		}
		for i, row := range seg.Logits {
			p.add(seg.Out[i*m.Config().Vocab:][:m.Config().Vocab], ids[seg.Start+row+1])
		}
		cache.SetLen(end)
		seg.Start = end
	}
	return nil
}

// blocks scores the blocks of the second half of a chunk, as the help says.
func (p *perplexity) blocks(m *infer.Model, d *infer.DiffusionConfig, cache *infer.Cache, ids []int32) error {
	size, vocab := d.BlockSize, m.Config().Vocab
	final := &infer.Segment{Cache: cache, Logits: []int{0}} // of true tokens; the last row's logits predict the next block's first
	masked := &infer.Segment{Cache: cache, IDs: make([]int32, size)}
	known, shift := 0, 0
	if d.Dialect == names.DialectFastDLLM {
		known = 1
		final.Mask.Block, masked.Mask.Block = size, size
	}
	if d.ShiftLogits {
		shift = 1
	}
	for i := range size - shift { // row i predicts position i+shift of the block
		masked.Logits = append(masked.Logits, i)
	}
	commit := func(end int) error {
		final.IDs = ids[final.Start:end]
		final.Logits[0] = len(final.IDs) - 1
		err := forward(m, final)
		if err == nil {
			cache.SetLen(end)
			final.Start = end
		}
		return err
	}
	first := (len(ids)/2 + size - 1) / size * size
	if err := commit(first); err != nil {
		return err
	}
	for s := first; s < len(ids); s += size {
		if shift == 1 {
			p.add(final.Out[:vocab], ids[s])
		}
		for i := range masked.IDs {
			if masked.IDs[i] = d.MaskToken; i < known {
				masked.IDs[i] = ids[s+i]
			}
		}
		masked.Start = s
		if err := forward(m, masked); err != nil {
			return err
		}
		for i := range masked.Logits {
			p.add(masked.Out[i*vocab:][:vocab], ids[s+i+shift])
		}
		if err := commit(s + size); err != nil {
			return err
		}
	}
	return nil
}

func forward(m *infer.Model, seg *infer.Segment) error {
	if err := m.Forward([]*infer.Segment{seg}); err != nil {
		return err
	}
	return seg.Err
}

// add scores one token. The error is that of a mean, carried through exp: PPL * sqrt(variance / (n-1)), as llama.cpp has it.
func (p *perplexity) add(logits []float32, id int32) {
	highest := float64(logits[0])
	for _, l := range logits {
		highest = max(highest, float64(l))
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - highest)
	}
	nll := math.Log(sum) - (float64(logits[id]) - highest)
	p.sum += nll
	p.squares += float64(nll * nll)
	p.Scored++
	n := float64(p.Scored)
	mean := p.sum / n
	p.Perplexity = math.Exp(mean)
	p.Error = 0
	if variance := p.squares/n - float64(mean*mean); p.Scored > 1 && variance > 0 {
		p.Error = p.Perplexity * math.Sqrt(variance/(n-1))
	}
}
