package synthetic

import (
	"bytes"
	"io"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/tokenizer"
	"github.com/wrinklefree/wf/quant"
)

// small keeps a shape's structure and little of its size.
func small(s Shape) Shape {
	s.Layers, s.Hidden, s.FeedForward, s.Heads, s.KVHeads, s.HeadDim, s.Vocab, s.Context = 2, 256, 512, 4, 2, 64, 10000, 64
	return s
}

// TestShapesRun: every shape loads and computes, in memory, in its usual type and as floats; and what is ternary is ternary in both.
func TestShapesRun(t *testing.T) {
	for _, s := range Shapes {
		t.Run(s.Name, func(t *testing.T) {
			for _, typ := range []gguf.Type{s.Type, gguf.F16} {
				f, err := small(s).File(quant.Types{Type: typ, TokenEmbedding: gguf.Q8_0, HasTokenEmbedding: true}, "test")
				if err != nil {
					t.Fatal(err)
				}
				file, err := InMemory(f)
				if err != nil {
					t.Fatal(err)
				}
				m, err := infer.LoadFile(file, infer.Options{Threads: 1, Warn: func(text string) { t.Error(text) }})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				tok, err := tokenizer.New(m.Metadata(), m.Config().Vocab, nil)
				if err != nil {
					t.Fatal(err)
				}
				const text = "Two words\n"
				ids := tok.Encode(text, tokenizer.EncodeOptions{})
				if got := tok.Decode(ids, false); got != text || len(ids) >= len(text) {
					t.Errorf("%q is %v, which is %q; wanted fewer ids and the text again", text, ids, got)
				}
				cache, err := m.NewCache(len(ids))
				if err != nil {
					t.Fatal(err)
				}
				seg := &infer.Segment{Cache: cache, IDs: ids, Logits: []int{len(ids) - 1}}
				if err := m.Forward([]*infer.Segment{seg}); err != nil || seg.Err != nil {
					t.Fatal(err, seg.Err)
				}
				if seg.Out[0] == seg.Out[1] {
					t.Errorf("%v: the logits are constant", typ)
				}
			}
		})
	}
}

// TestSameBytes: a shape gives the same bytes each time.
func TestSameBytes(t *testing.T) {
	var all [2]bytes.Buffer
	for i := range all {
		f, err := small(Shapes[0]).File(quant.Types{Type: gguf.I2_S}, "test")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range f.Tensors {
			if err := x.Fill(&all[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(all[0].Bytes(), all[1].Bytes()) {
		t.Error("two files of one shape differ")
	}
}

// TestUnsupported: a type that cannot hold the shape is an error, not a file.
func TestUnsupported(t *testing.T) {
	s, _ := Find("smollm-135m")
	if _, err := s.File(quant.Types{Type: gguf.I2_S, TokenEmbedding: gguf.Q6_K, HasTokenEmbedding: true}, "test"); fault.Code(err) != "UNSUPPORTED_SHAPE" {
		t.Errorf("rows of 576 as Q6_K: %v", err)
	}
	if _, ok := Find("gpt-5"); ok {
		t.Error("found a shape that is not there")
	}
}

// TestCheckpoint: every weight has the bytes of its shape, and the 2B model its number of parameters.
func TestCheckpoint(t *testing.T) {
	_, weights, err := small(Shapes[0]).Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range weights {
		size := uint64(2)
		for _, d := range w.Shape {
			size *= d
		}
		var got bytes.Buffer
		if err := w.Fill(&got); err != nil || uint64(got.Len()) != size {
			t.Errorf("%s: %d bytes, wanted %d (%v)", w.Name, got.Len(), size, err)
		}
	}
	if err := weights[0].Fill(failing{}); err != io.ErrShortWrite {
		t.Errorf("a write that fails: %v", err)
	}
	_, weights, err = Shapes[0].Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	params := uint64(0)
	for _, w := range weights {
		n := uint64(1)
		for _, d := range w.Shape {
			n *= d
		}
		params += n
	}
	if params != 2412820480 {
		t.Errorf("%s has %d parameters, the published model has 2412820480", Shapes[0].Name, params)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
