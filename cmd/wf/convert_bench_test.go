//go:build unix

package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/convert/checkpoint"
)

// BenchmarkConvertGiB converts a synthetic checkpoint of about 1 GiB (bf16, layers of the 2B shape) in a process of its own, beside cp of the same bytes.
// It reports seconds and peak resident memory; the copy's figures come first, since the page cache is then warm for both.
//
//	go test ./cmd/wf -run '^$' -bench ConvertGiB -benchtime 1x
func BenchmarkConvertGiB(b *testing.B) {
	dir := b.TempDir()
	wf := filepath.Join(dir, "wf")
	if out, err := exec.Command("go", "build", "-o", wf, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	source := filepath.Join(dir, "synthetic")
	size := writeSynthetic(b, source, 7)
	weights := filepath.Join(source, "model.safetensors")
	runs := []struct {
		name string
		args []string
	}{
		{"cp", []string{"cp", weights, filepath.Join(dir, "copy")}},
		{"f16", []string{wf, "-q", "convert", source, "--outtype", "f16", "-o", filepath.Join(dir, "f16.gguf")}},
		{"i2_s", []string{wf, "-q", "convert", source, "--outtype", "i2_s", "-o", filepath.Join(dir, "i2s.gguf")}},
	}
	for _, run := range runs {
		b.Run(run.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				os.Remove(run.args[len(run.args)-1])
				cmd := exec.Command(run.args[0], run.args[1:]...)
				cmd.Stderr = os.Stderr
				start := time.Now()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s")
				b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "MiB-peak")
			}
		})
	}
}

// writeSynthetic writes a BitNet checkpoint with random bf16 weights and the demonstration model's tokenizer, and returns the bytes of its tensors.
func writeSynthetic(tb testing.TB, dir string, layers int) int64 {
	const hidden, ffn, kv, vocab = 2560, 6912, 640, 16384
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile(tinydlm + "hf/" + name)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	config, err := json.Marshal(map[string]any{
		"architectures": []string{"BitNetForCausalLM"}, "model_type": "bitnet", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": ffn,
		"num_hidden_layers": layers, "num_attention_heads": 20, "num_key_value_heads": 5, "head_dim": 128, "hidden_act": "relu2",
		"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 3,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		tb.Fatal(err)
	}

	noise := make([]byte, 1<<22) // one stretch of normal values, begun at another place for each row
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(noise); i += 2 {
		binary.LittleEndian.PutUint16(noise[i:], uint16(math.Float32bits(float32(rng.NormFloat64())*0.02)>>16))
	}
	var tensors []checkpoint.Output
	var total int64
	add := func(name string, shape ...uint64) {
		n := int64(2)
		for _, d := range shape {
			n *= int64(d)
		}
		total += n
		tensors = append(tensors, checkpoint.Output{Name: name, DType: checkpoint.BF16, Shape: shape, Fill: func(w io.Writer) error {
			for left := n; left > 0; {
				at := rng.IntN(len(noise)/4) * 2
				part := noise[at : at+int(min(left, int64(len(noise)/2)))]
				if _, err := w.Write(part); err != nil {
					return err
				}
				left -= int64(len(part))
			}
			return nil
		}})
	}
	add("model.embed_tokens.weight", vocab, hidden)
	add("model.norm.weight", hidden)
	for i := range layers {
		p := "model.layers." + strconv.Itoa(i) + "."
		for name, shape := range map[string][2]uint64{
			"self_attn.q_proj": {hidden, hidden}, "self_attn.k_proj": {kv, hidden}, "self_attn.v_proj": {kv, hidden}, "self_attn.o_proj": {hidden, hidden},
			"mlp.gate_proj": {ffn, hidden}, "mlp.up_proj": {ffn, hidden}, "mlp.down_proj": {hidden, ffn},
		} {
			add(p+name+".weight", shape[0], shape[1])
		}
		for name, n := range map[string]uint64{
			"input_layernorm": hidden, "post_attention_layernorm": hidden, "self_attn.attn_sub_norm": hidden, "mlp.ffn_sub_norm": ffn,
		} {
			add(p+name+".weight", n)
		}
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		tb.Fatal(err)
	}
	if err := checkpoint.WriteSafetensors(f, tensors); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	tb.Logf("%d bytes of tensors", total)
	return total
}
