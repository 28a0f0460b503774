package synthetic

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/wrinklefree/wf/gguf"
)

// Weight is one tensor of a checkpoint: bfloat16 master weights, normal and so far from ternary. Fill writes its row-major bytes; weights are
// filled one at a time.
type Weight struct {
	Name  string
	Shape []uint64 // torch order
	Fill  func(w io.Writer) error
}

func sourceLayer(i int) string { return fmt.Sprintf("model.layers.%d.", i) }

// isNorm tells norms, whose weights lie near 1, from biases.
func (t tensor) isNorm() bool { return t.rows == 0 && !strings.HasSuffix(t.name, ".bias") }

// Checkpoint returns what a training run of this shape leaves: the files beside the weights, by name, and the weights. Whoever knows the weights'
// format writes them.
func (s Shape) Checkpoint() (files map[string][]byte, weights []Weight, err error) {
	n := newNoise(gguf.BF16, false, rand.New(rand.NewPCG(1, 2)))
	for _, t := range s.tensors() {
		shape, size := []uint64{uint64(t.cols)}, 2*uint64(t.cols)
		if t.rows > 0 {
			shape, size = []uint64{uint64(t.rows), uint64(t.cols)}, size*uint64(t.rows)
		}
		weights = append(weights, Weight{t.source, shape, func(w io.Writer) error {
			if t.isNorm() {
				return n.ones(w, gguf.BF16, t.cols)
			}
			return n.write(w, size)
		}})
	}
	config, err := json.MarshalIndent(map[string]any{
		"architectures": []string{s.Class}, "torch_dtype": "bfloat16", "vocab_size": s.Vocab, "hidden_size": s.Hidden,
		"intermediate_size": s.FeedForward, "num_hidden_layers": s.Layers, "num_attention_heads": s.Heads, "num_key_value_heads": s.KVHeads,
		"head_dim": s.HeadDim, "hidden_act": s.Activation, "max_position_embeddings": s.Context, "rms_norm_eps": 1e-5, "rope_theta": s.RopeTheta,
		"tie_word_embeddings": !s.Untied, "bos_token_id": s.bos(), "eos_token_id": s.eos(),
	}, "", "  ")
	if err != nil {
		return nil, nil, err
	}
	tokenizer, err := s.tokenizerJSON()
	class := []byte(`{"tokenizer_class": "PreTrainedTokenizerFast"}`) // for transformers; the special tokens are config.json's
	return map[string][]byte{"config.json": config, "tokenizer.json": tokenizer, "tokenizer_config.json": class}, weights, err
}
