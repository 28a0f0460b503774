package diffusion

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/tiny"
)

// tinyModel loads the demonstration model as if it had been made for a dialect; "" is no diffusion at all.
func tinyModel(t *testing.T, dialect string) *infer.Model {
	t.Helper()
	file, err := gguf.Parse(tiny.Model)
	if err != nil {
		t.Fatal(err)
	}
	m, err := infer.LoadFile(file, infer.Options{Threads: 1, Dialect: dialect, NoMask: dialect == ""})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// answer runs a decoder to its end.
func answer(t *testing.T, m Model, prompt []int32, o Options) *Decoder {
	t.Helper()
	d, err := NewDecoder(m, prompt, o)
	if err != nil {
		t.Fatal(err)
	}
	for s := d.Next(); s != nil; s = d.Next() {
		if err := m.Forward([]*infer.Segment{s}); err != nil {
			t.Fatal(err)
		}
		if err := d.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestPrefix continues an answer's prompt and text, at every cut around the units, and wants the events of a cache without prefix: their
// confidences make every bit of the logits count.
func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		dialect string
		block   int
	}{{names.DialectFastDLLM, 0}, {names.DialectFastDLLM, 8}, {names.DialectFastDLLM, 24}, {names.DialectWrinkleFree, 8}, {"", 0}} {
		m := tinyModel(t, c.dialect)
		o := Options{BlockSize: c.block, Seed: ptr(uint64(7)), Temperature: 1, MaxTokens: 120}
		if c.dialect != names.DialectWrinkleFree && c.block != 0 {
			o.SubBlockSize = 8
		}
		unit := PrefixUnit(o.Mask(m.Config()))
		first := answer(t, m, iota32(50), o)
		ids, pages := first.Prefix()
		if len(ids)%unit != 0 || len(ids) != len(pages)*infer.PagePositions || len(ids) < unit || !slices.Equal(ids, first.ids[:len(ids)]) {
			t.Fatalf("%s %d: %d ids in %d pages, of units of %d", c.dialect, c.block, len(ids), len(pages), unit)
		}
		o.MaxTokens = 10
		longer := slices.Concat(first.ids, iota32(100))
		for _, n := range []int{1, unit - 1, unit, unit + 1, len(ids), len(ids) + 1, len(first.ids), len(longer)} {
			prompt, o := longer[:n], o
			want, wantEvents := recorded(t, m, prompt, o)
			o.Prefix = pages
			got, events := recorded(t, m, prompt, o)
			if taken := min((n-1)/unit*unit, len(ids)); got.Stats.PrefixTokens != taken {
				t.Errorf("%s %d: a prompt of %d tokens took %d from the prefix, wanted %d", c.dialect, c.block, n, got.Stats.PrefixTokens, taken)
			}
			if !reflect.DeepEqual(got.IDs, want.IDs) || !reflect.DeepEqual(events, wantEvents) {
				t.Errorf("%s %d: a prompt of %d tokens gives %v with a prefix, %v without", c.dialect, c.block, n, got.IDs, want.IDs)
			}
			if n > unit && got.Stats.Passes[Prefill] > want.Stats.Passes[Prefill] {
				t.Errorf("%s %d: %d prefill passes with a prefix, %d without", c.dialect, c.block, got.Stats.Passes[Prefill], want.Stats.Passes[Prefill])
			}
		}
	}
}

// TestNoPrefixAfterFailure: a pass that failed may have spoilt keys and values.
func TestNoPrefixAfterFailure(t *testing.T) {
	m := tinyModel(t, names.DialectFastDLLM)
	d := answer(t, m, iota32(70), Options{MaxTokens: 1})
	if ids, pages := d.Prefix(); len(ids) != 64 || len(pages) != 2 {
		t.Fatalf("%d ids in %d pages", len(ids), len(pages))
	}
	d.err = errors.New("a failure")
	if ids, pages := d.Prefix(); ids != nil || pages != nil {
		t.Errorf("%d ids in %d pages after a failure", len(ids), len(pages))
	}
}
