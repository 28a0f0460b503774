package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/wrinklefree/wf/convert"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/quant"
)

// gotcha is one way to treat the demonstration model, and what it costs in exact answers.
type gotcha struct {
	name      string
	load      func(t *testing.T) *infer.Model
	mode      string
	low, high float64 // exact answers of all 300 must lie in this range
}

// TestGotchas measures what the usual mistakes do to the demonstration model. No flag of wf writes such a file: the wrong weights are computed here, in
// memory. The normal run asks every tenth question; with WF_EVAL set (make eval) all 300, and the table that it prints must be the one in docs/gotchas.md.
func TestGotchas(t *testing.T) {
	raw := func(t *testing.T) *gguf.File {
		f, err := gguf.Open(convertTo(t, tinydlm+"hf", convert.Options{Type: "f32", KeepMasterWeights: true}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	packed := func(o infer.Options) func(t *testing.T) *infer.Model {
		return func(t *testing.T) *infer.Model {
			return loadModel(t, convertTo(t, tinydlm+"hf", convert.Options{Type: "i2_s"}), o)
		}
	}
	wrong := int32(1) // <|endoftext|>: a control token, as the right one is
	cases := []gotcha{
		{name: "I2_S", load: packed(infer.Options{}), low: 0.8, high: 1},
		{name: "TQ2_0 of the raw weights", load: func(t *testing.T) *infer.Model { return remade(t, raw(t), roundTQ2) }, high: 0.05},
		{name: "I2_S by sign of the raw weights", load: func(t *testing.T) *infer.Model { return remade(t, raw(t), roundSign) }, high: 0.3},
		{name: "decoded token by token", load: packed(infer.Options{NoMask: true}), mode: names.ModeAutoregressive, low: 0.4, high: 0.8},
		{name: "wrong mask token (1 instead of 0)", load: packed(infer.Options{MaskToken: &wrong}), high: 0.3},
	}
	questions, all := questionsOfTiny(t), os.Getenv("WF_EVAL") == "all"
	if !all {
		for i := range len(questions) / 10 {
			questions[i] = questions[10*i]
		}
		questions = questions[:len(questions)/10]
	}
	table := "| treatment | trained phrasings | unseen phrasings |\n| --- | --- | --- |\n"
	for _, c := range cases {
		a := ask(t, c.load(t), questions, diffusion.Options{Mode: c.mode})
		row := fmt.Sprintf("| %s | %.1f %% | %.1f %% |", c.name, 100*a.share("train"), 100*a.share("held_out"))
		t.Log(row)
		table += row + "\n"
		if exact := (a.share("train") + a.share("held_out")) / 2; !(exact >= c.low && exact <= c.high) {
			t.Errorf("%s: %.3f of the answers are exact; expected %v to %v", c.name, exact, c.low, c.high)
		}
	}
	if all {
		requireTable(t, "gotchas.md", table)
	}
}

// roundTQ2 is what llama-quantize does to weights that it takes for ternary: the largest magnitude of each 256 becomes the scale, and everything below half
// of it zero.
func roundTQ2(w []float32) {
	for block := w; len(block) > 0; block = block[256:] {
		amax := float32(0)
		for _, v := range block[:256] {
			amax = max(amax, float32(math.Abs(float64(v))))
		}
		trits := make([]int8, 256)
		for i, v := range block[:256] {
			trits[i] = int8(math.Round(float64(v / amax)))
		}
		quant.Decode(block[:256], gguf.TQ2_0, quant.PackTQ2(nil, trits, amax))
	}
}

// roundSign is bitnet.cpp's I2_S quantiser on raw weights: the sign of each, times the largest magnitude of the tensor.
func roundSign(w []float32) {
	amax := float64(0)
	for _, v := range w {
		amax = max(amax, math.Abs(float64(v)))
	}
	for i, v := range w {
		switch {
		case math.Abs(float64(v)) < 1e-6:
			w[i] = 0
		default:
			w[i] = float32(math.Copysign(amax, float64(v)))
		}
	}
}

// remade loads a copy of an F32 file in which each projection has been changed.
func remade(t *testing.T, f *gguf.File, change func([]float32)) *infer.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remade.gguf")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := gguf.NewWriter(out, f.Metadata, f.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Tensors {
		info := &f.Tensors[i]
		values := make([]float32, info.Size/4)
		if err := binary.Read(f.TensorReader(info), binary.LittleEndian, values); err != nil {
			t.Fatal(err)
		}
		if quant.IsProjection(info.Name) {
			change(values)
		}
		var data bytes.Buffer
		if err := binary.Write(&data, binary.LittleEndian, values); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, &data); err != nil {
			t.Fatal(err)
		}
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return loadModel(t, path, infer.Options{Warn: func(string) {}})
}
