package convert

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/convert/sglkernel"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// FormatSGL is Options.Format for sgl-kernel files: the projections in two bits, all other tensors in float32 (float16 as it is), Hugging Face's
// names, and q and k in Hugging Face's order.
const FormatSGL = "sglkernel"

// sglNames spells the parts of a layer as Hugging Face does.
var sglNames = map[string]string{
	names.AttnNorm: "input_layernorm", names.FFNNorm: "post_attention_layernorm",
	names.AttnQ: "self_attn.q_proj", names.AttnK: "self_attn.k_proj", names.AttnV: "self_attn.v_proj", names.AttnOutput: "self_attn.o_proj",
	names.FFNGate: "mlp.gate_proj", names.FFNUp: "mlp.up_proj", names.FFNDown: "mlp.down_proj",
	names.AttnSubNorm: "self_attn.attn_sub_norm", names.FFNSubNorm: "mlp.ffn_sub_norm",
}

// sglName returns the name of a planned tensor.
func sglName(name string) (string, error) {
	switch name {
	case names.TokenEmbedding:
		return "model.embed_tokens.weight", nil
	case names.OutputNorm:
		return "model.norm.weight", nil
	case names.Output:
		return "lm_head.weight", nil
	}
	f := strings.Split(name, ".") // blk.N.part.kind
	if len(f) == 4 && sglNames[f[2]] != "" {
		return "model.layers." + f[1] + "." + sglNames[f[2]] + "." + f[3], nil
	}
	return "", fault.New("UNSUPPORTED_TENSOR", "tensor %s has no place in an sgl-kernel file, whose engine would ignore it", fault.Quote(name))
}

// sglTensor is one tensor of the output and how it comes about.
type sglTensor struct {
	sglkernel.Tensor
	plan  *TensorPlan
	value float32 // of a weight_scale, which has no plan of its own
}

// sglPlan turns a plan for I2_S into the tensors of an sgl-kernel file.
func sglPlan(p *Plan) (tensors []sglTensor, err error) {
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Values != nil {
			continue // rope_freqs: the engine scales no rotation
		}
		s := sglTensor{plan: t}
		if s.Name, err = sglName(t.Name); err != nil {
			return nil, err
		}
		for d := len(t.Dims) - 1; d >= 0; d-- {
			s.Dims = append(s.Dims, uint32(t.Dims[d])) // fits: config.json's ranges
		}
		switch {
		case quant.IsProjection(t.Name) && t.Cols%gguf.I2_S.BlockSize() != 0:
			return nil, fault.New("UNSUPPORTED_SHAPE", "tensor %s: rows of %d weights are not a multiple of 128, which the engine wants", fault.Quote(t.Source), t.Cols)
		case quant.IsProjection(t.Name):
			s.DType, s.HasScale, s.Scale = sglkernel.U8, true, t.Scale
			s.Dims[1] /= 4
		case t.From == checkpoint.F16:
			s.DType, t.Type = sglkernel.F16, gguf.F16
		default:
			s.DType, t.Type = sglkernel.F32, gguf.F32
		}
		tensors = append(tensors, s)
		if t.WeightScale != 0 {
			tensors = append(tensors, sglTensor{value: t.WeightScale,
				Tensor: sglkernel.Tensor{Name: strings.TrimSuffix(s.Name, "weight") + "weight_scale", DType: sglkernel.F32, Dims: []uint32{1}}})
		}
	}
	return tensors, nil
}

// sglConfig is what the engine reads of config.json, flat: it takes the first match of a key in the text, and fails at a null.
func sglConfig(c *Config) []byte {
	flat, err := json.Marshal(struct {
		ModelType             string  `json:"model_type"`
		VocabSize             int     `json:"vocab_size"`
		HiddenSize            int     `json:"hidden_size"`
		IntermediateSize      int     `json:"intermediate_size"`
		NumHiddenLayers       int     `json:"num_hidden_layers"`
		NumAttentionHeads     int     `json:"num_attention_heads"`
		NumKeyValueHeads      int     `json:"num_key_value_heads"`
		HeadDim               int     `json:"head_dim"`
		MaxPositionEmbeddings int     `json:"max_position_embeddings"`
		RMSNormEps            float64 `json:"rms_norm_eps"`
		RopeTheta             float64 `json:"rope_theta"`
		HiddenAct             string  `json:"hidden_act"`
		TieWordEmbeddings     bool    `json:"tie_word_embeddings"`
	}{c.ModelType, c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadDim,
		c.MaxPositionEmbeddings, c.RMSNormEps, c.RopeTheta, c.HiddenAct, c.TieWordEmbeddings})
	if err != nil {
		panic(err) // numbers in ranges, and text
	}
	return flat
}

// sglNotices says what the engine does differently.
func sglNotices(c *Config) (notices []string) {
	if c.HiddenAct != names.ReLU2 {
		notices = append(notices, "sgl-kernel's engine computes squared ReLU whatever the config says; this model has "+c.HiddenAct)
	}
	if c.HeadDim*c.NumAttentionHeads != c.HiddenSize || c.Rope.Type != "" {
		notices = append(notices, "sgl-kernel's engine ignores head_dim and rope scaling; this model has them")
	}
	return notices
}

// writeSGL writes the job's plan as an sgl-kernel file, whole or not at all, and reads it back.
func (j *job) writeSGL(ctx context.Context, output disk.CreateOptions) (*Report, error) {
	tensors, err := sglPlan(j.plan)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	config, plain := sglConfig(j.config), make([]sglkernel.Tensor, len(tensors))
	r := &Report{Out: j.o.Out, Type: sglkernel.U8.String(), Architecture: j.plan.Architecture, Source: j.plan.Source, ScaleRule: j.plan.ScaleRule,
		Diffusion: j.plan.Diffusion, Dropped: j.plan.Dropped, Sources: j.sources, Notices: append(j.plan.Notices, sglNotices(j.config)...)}
	for i := range tensors {
		t := &tensors[i]
		plain[i] = t.Tensor
		size, _ := t.Size()
		line := TensorReport{Name: t.Name, To: t.DType.String(), Bytes: size, Source: t.Name, From: checkpoint.F32.String()}
		for _, d := range t.Dims {
			line.Dims = append(line.Dims, uint64(d))
		}
		if t.plan != nil {
			line.Source, line.From, line.How = t.plan.Source, t.plan.From.String(), t.plan.How()
			line.BitsPerWeight = r.Add(gguf.TensorInfo{Dims: t.plan.Dims, Size: size})
		}
		r.Tensors = append(r.Tensors, line)
	}
	r.Size = sglkernel.Size(config, plain)
	r.Files = []quant.FilePart{{Path: r.Out, Size: r.Size}}
	if j.o.DryRun {
		return r, nil
	}
	output.Need = r.Size
	out, err := disk.Create(r.Out, output)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	defer out.Abort()
	hash := xxhash.New()
	buffered := bufio.NewWriterSize(out, 1<<20)
	to := &progressWriter{ctx: ctx, w: io.MultiWriter(buffered, hash), total: int64(r.Size), progress: j.o.Progress}
	err = sglkernel.Write(to, config, plain, func(i int, w io.Writer) error { return j.fillSGL(ctx, &tensors[i], w) })
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = sameAgain(out, int64(r.Size), hash.Sum64())
	}
	if err == nil {
		err = j.file.Changed()
	}
	if err == nil {
		err = out.Commit(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	r.Written = true
	return r, nil
}

func (j *job) fillSGL(ctx context.Context, t *sglTensor, w io.Writer) error {
	if t.plan == nil {
		_, err := w.Write(quant.Encode(nil, gguf.F32, []float32{t.value}))
		return err
	}
	source, _ := j.ckpt.Tensor(t.plan.Source)
	if t.HasScale { // without the tail of an I2_S tensor
		size, _ := t.Size()
		w = &firstBytes{w, size}
	}
	return t.plan.fill(ctx, source, j.o.Threads, &j.lost, w)
}

// firstBytes passes n bytes on and drops the rest.
type firstBytes struct {
	w io.Writer
	n uint64
}

func (f *firstBytes) Write(p []byte) (int, error) {
	part := p[:min(uint64(len(p)), f.n)]
	f.n -= uint64(len(part))
	if _, err := f.w.Write(part); err != nil {
		return 0, err
	}
	return len(p), nil
}

// progressWriter counts, and stops when the context ends.
type progressWriter struct {
	ctx         context.Context
	w           io.Writer
	done, total int64
	progress    func(done, total int64)
}

func (p *progressWriter) Write(b []byte) (int, error) {
	if err := context.Cause(p.ctx); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.done += int64(n)
	if p.progress != nil {
		p.progress(p.done, p.total)
	}
	return n, err
}

// sameAgain reads what was written back.
func sameAgain(out *disk.Output, size int64, want uint64) error {
	if _, err := sglkernel.Read(out, size); err != nil {
		return fault.New("WRITE_CORRUPTED", "what was written reads back different: %w", err)
	}
	hash := xxhash.New()
	if _, err := io.CopyBuffer(hash, struct{ io.Reader }{io.NewSectionReader(out, 0, size)}, make([]byte, 1<<20)); err != nil {
		return err
	}
	if hash.Sum64() != want {
		return fault.New("WRITE_CORRUPTED", "what was written reads back different; the disk or the memory is failing")
	}
	return nil
}
