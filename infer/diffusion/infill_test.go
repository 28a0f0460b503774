package diffusion

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// infill is a straight loop over blocks that recomputes everything from the first position but for the sub-block cache, as referee.fastDLLM is.
func (r *referee) infill() []int32 {
	bs, n0 := r.BlockSize, len(r.prompt)
	ids, masked, given := slices.Clone(r.prompt), make([]bool, n0), n0
	for i, id := range r.Infill {
		if id != Masked {
			given = n0 + i + 1
		}
		ids, masked = append(ids, id), append(masked, id == Masked)
	}
	limit := len(ids)
	for len(ids)%bs > 0 {
		ids, masked = append(ids, Masked), append(masked, true)
	}
	choose := func(row []float32, at int) (int32, float32) {
		if row = slices.Clone(row); at < given {
			for _, id := range r.Stop {
				row[id] = float32(-1e30)
			}
		}
		return best(row)
	}
	put := func(taken []Take) {
		for _, t := range taken {
			ids[t.Position], masked[t.Position] = t.ID, false
		}
	}
	over := func() bool {
		for i := n0; i < limit && !masked[i]; i++ {
			if i >= given && r.isStop(ids[i]) {
				return true
			}
		}
		return !slices.Contains(masked[:limit], true)
	}
	for start := 0; start < len(ids); start += bs {
		if !slices.Contains(masked[start:start+bs], true) || over() {
			continue
		}
		if masked[start] {
			id, p := choose(r.rows(ids[:start], bs, start-1, start), start)
			put([]Take{{Position: start, ID: id, Confidence: p}})
			r.events = append(r.events, Event{Event: "next", Block: start, Sub: NoSub, Take: []Take{{Position: start, ID: id, Confidence: p}}})
		}
		cache, _ := r.NewCacheFrom(nil, start+bs)
		if start > 0 {
			r.rowsIn(cache, ids[:start], 0, 0, bs, 0, 0)
		}
		stored, step, width := false, 0, r.SubBlockSize
		if r.Mode == names.ModeGreedy {
			width = bs
		}
		for sb := start; sb < start+bs; sb += width {
			for it := 1; slices.Contains(masked[sb:sb+width], true) && !over(); it++ {
				step++
				blk := slices.Clone(ids[start : start+bs])
				for i := range blk {
					if masked[start+i] {
						blk[i] = stubMask
					}
				}
				lo, n := 0, bs
				if r.SubBlockCache && stored && !masked[sb] {
					lo, n = sb-start, width
				}
				logits := r.rowsIn(cache, blk[lo:lo+n], start+lo, start+bs, bs, 0, n)
				stored = true
				conf, tok, open := make([]float32, bs), make([]int32, bs), []int(nil)
				for i := lo + 1; i < lo+n; i++ {
					tok[i], conf[i] = choose(logits[(i-lo-1)*stubVocab:][:stubVocab], start+i)
				}
				for i := sb; i < sb+width; i++ {
					if masked[i] {
						open = append(open, i-start)
					}
				}
				taken := r.take(open, conf, tok, r.theta(it), start)
				put(taken)
				r.events = append(r.events, Event{"denoise", start, sb - start, step, taken})
			}
		}
	}
	for i := n0; i < limit; i++ {
		if i >= given && r.isStop(ids[i]) {
			return ids[n0 : i+1]
		}
	}
	return ids[n0:limit]
}

// randomInfill is a request with holes anywhere, and the mask token and stop tokens among what is given.
func randomInfill(seed uint64, mode string) (sub, block int, prompt []int32, o Options) {
	rng := rand.New(rand.NewPCG(seed, 11))
	sub = 1 + rng.IntN(4)
	block = sub * (1 + rng.IntN(4))
	prompt = make([]int32, 1+rng.IntN(2*block))
	for i := range prompt {
		prompt[i] = int32(rng.IntN(stubVocab))
	}
	infill := []int32{Masked}
	for open, n := true, rng.IntN(4*block); n > 0; n-- {
		if rng.IntN(4) == 0 {
			open = !open
		}
		if id := Masked; open {
			infill = append(infill, id)
		} else {
			infill = append(infill, int32(rng.IntN(stubVocab)))
		}
	}
	return sub, block, prompt, Options{
		Mode: mode, Threshold: ptr(float32(rng.IntN(21)) / 20), BlockSize: block, SubBlockSize: sub, PrefillRows: 1 + rng.IntN(3*block),
		Stop: []int32{3, 4}, SubBlockCache: rng.IntN(2) == 0, Infill: infill,
	}
}

// TestInfillReference holds every take of every pass, and its confidence, to the straight loop.
func TestInfillReference(t *testing.T) {
	for _, mode := range []string{names.ModeIterative, names.ModeGreedy, names.ModeAdaptive} {
		t.Run(mode, func(t *testing.T) {
			for seed := range uint64(200) {
				sub, block, prompt, o := randomInfill(seed, mode)
				ref := &referee{stub: newStub(dialectA, block, sub), Options: o, prompt: prompt}
				want := ref.infill()
				r, events := recorded(t, newStub(dialectA, block, sub), prompt, o)
				where := fmt.Sprintf("seed %d: block %d/%d, prompt %d, %+v", seed, block, sub, len(prompt), o)
				if !slices.Equal(r.IDs, want) {
					t.Fatalf("%s\ngot  %v\nwant %v", where, r.IDs, want)
				}
				if !reflect.DeepEqual(events, ref.events) {
					t.Fatalf("%s\nevents %+v\nwant   %+v", where, events, ref.events)
				}
				checkHoles(t, where, r, len(prompt), o)
			}
		})
	}
}

// checkHoles: what was given is untouched, the holes are what was filled in, in between stands no stop token and never a mask, and counts add up.
func checkHoles(t *testing.T, where string, r *Result, n0 int, o Options) {
	t.Helper()
	filled, last := 0, o.Infill[len(o.Infill)-1]
	for i, id := range r.IDs {
		if o.Infill[i] != Masked && o.Infill[i] != id {
			t.Fatalf("%s\nposition %d was given as %d and is %d", where, n0+i, o.Infill[i], id)
		}
	}
	for i, h := range r.Holes {
		filled += len(h.IDs)
		at := h.Position - n0
		if len(h.IDs) > 0 && !slices.Equal(h.IDs, r.IDs[at:at+len(h.IDs)]) || len(h.IDs) != len(h.Confidences) {
			t.Fatalf("%s\nhole %+v of %v", where, h, r.IDs)
		}
		trailing := last == Masked && i == len(r.Holes)-1
		if slices.Contains(h.IDs, stubMask) || !trailing && slices.ContainsFunc(h.IDs, func(id int32) bool { return slices.Contains(o.Stop, id) }) {
			t.Fatalf("%s\nhole %+v holds a mask or a stop token", where, h)
		}
		for _, c := range h.Confidences {
			if !(c > 0 && c <= 1) {
				t.Fatalf("%s\nhole %+v: confidence %v", where, h, c)
			}
		}
	}
	whole := len(r.IDs) == len(o.Infill)
	stopped := last == Masked && slices.Contains(o.Stop, r.IDs[len(r.IDs)-1])
	reason := "stop"
	if last == Masked && !stopped {
		reason = "length"
	}
	if r.FinishReason != reason || !whole && !stopped {
		t.Fatalf("%s\nends with %q at %d of %d", where, r.FinishReason, len(r.IDs), len(o.Infill))
	}
	if given := n0 + len(o.Infill) - masks(o.Infill); r.Stats.NewTokens != filled || r.Stats.PromptTokens != given {
		t.Fatalf("%s\n%d new and %d prompt tokens; %d were filled in and %d given", where, r.Stats.NewTokens, r.Stats.PromptTokens, filled, given)
	}
}

// TestInfillAtTheEnd: a hole with nothing behind it is an answer of at most so many tokens.
func TestInfillAtTheEnd(t *testing.T) {
	for seed := range uint64(100) {
		sub, block, prompt, o := randomInfill(seed, names.ModeIterative)
		free := o
		free.MaxTokens, free.Infill = len(o.Infill), nil
		for i := range o.Infill {
			o.Infill[i] = Masked
		}
		want, wantEvents := recorded(t, newStub(dialectA, block, sub), prompt, free)
		got, gotEvents := recorded(t, newStub(dialectA, block, sub), prompt, o)
		if !slices.Equal(got.IDs, want.IDs) || got.FinishReason != want.FinishReason || !reflect.DeepEqual(gotEvents, wantEvents) {
			t.Fatalf("seed %d: %v %s; as an answer %v %s", seed, got.IDs, got.FinishReason, want.IDs, want.FinishReason)
		}
	}
}

// TestInfillView: what a hole has in view ends with the block of the row before it.
func TestInfillView(t *testing.T) {
	M := Masked
	for _, c := range []struct {
		n0     int
		infill []int32
		want   [][2]int // seen and unseen tokens of each hole
		warn   string
	}{
		{3, []int32{M, 1, 1}, [][2]int{{2, 0}}, ""},
		{3, []int32{M, 1, M, M, 1}, [][2]int{{2, 0}, {1, 0}}, ""},
		{7, []int32{M, 1, 1}, [][2]int{{0, 2}}, "hole 1, at position 7, sees 0 of the 2 tokens"},
		{8, []int32{M, 1, 1}, [][2]int{{0, 2}}, "hole 1, at position 8, sees 0 of the 2 tokens"}, // the first of its block: chosen by the block before
		{9, []int32{M, 1, 1}, [][2]int{{2, 0}}, ""},
		{5, []int32{M, M, 1, 1, 1, M}, [][2]int{{1, 2}, {0, 0}}, "hole 1, at position 5, sees 1 of the 3 tokens"},
		{6, []int32{M, M, M, 1}, [][2]int{{0, 1}}, "sees 0 of the 1"}, // crosses the edge
	} {
		var warned []string
		r, err := Generate(t.Context(), newStub(dialectA, 8, 4), iota32(c.n0), Options{Infill: c.infill, Warn: func(s string) { warned = append(warned, s) }})
		if err != nil {
			t.Fatal(err)
		}
		var got [][2]int
		for _, h := range r.Holes {
			got = append(got, [2]int{h.Seen, h.Unseen})
		}
		if !reflect.DeepEqual(got, c.want) || strings.Join(warned, "") != "" != (c.warn != "") || !strings.Contains(strings.Join(warned, ""), c.warn) {
			t.Errorf("%d and %v: view %v, warned %q; want %v, %q", c.n0, c.infill, got, warned, c.want, c.warn)
		}
	}
}

// TestInfillText: the text of the answer has what was given and what was filled in, in order, and nothing is said before it is settled.
func TestInfillText(t *testing.T) {
	texts := make(pieces, stubVocab)
	for i := range texts {
		texts[i] = string(rune('a' + i))
	}
	var parts []string
	var ids []int32
	o := Options{
		Infill: []int32{Masked, 6, 7, Masked, Masked, 8}, Shown: "before ", Text: texts, Stop: []int32{3, 8}, // a given stop token ends nothing
		OnText: func(s string) { parts = append(parts, s) }, OnTokens: func(new []int32) { ids = append(ids, new...) },
	}
	r, err := Generate(t.Context(), newStub(dialectA, 8, 4), []int32{1}, o)
	if err != nil {
		t.Fatal(err)
	}
	want := "before "
	for _, id := range r.IDs[:5] {
		want += texts[id]
	}
	want += "i"
	if r.Text != want || strings.Join(parts, "") != want || !slices.Equal(ids, r.IDs) || r.FinishReason != "stop" {
		t.Errorf("text %q in parts %q, ids %v of %v; want %q", r.Text, parts, ids, r.IDs, want)
	}
	for _, h := range r.Holes {
		text := ""
		for _, id := range h.IDs {
			text += texts[id]
		}
		if h.Text != text {
			t.Errorf("hole %+v; want text %q", h, text)
		}
	}
	m := newStub(dialectA, 8, 4)
	o.Infill, o.Stop, o.OnText, o.OnTokens = []int32{Masked, 6, Masked, Masked}, []int32{7}, nil, nil
	m.logits = func(row []float32, _ uint64) { row[9], row[7] = 20, 30 } // wants to end everywhere
	if r, err = Generate(t.Context(), m, []int32{1}, o); err != nil {
		t.Fatal(err)
	}
	if last := r.Holes[1]; r.Text != "before jg" || r.FinishReason != "stop" || last.Text != "" || !slices.Equal(last.IDs, []int32{7}) || len(last.Confidences) != 1 {
		t.Errorf("a hole at the end: %q, %+v", r.Text, r)
	}
	if wire, _ := json.Marshal(r.Holes[0]); !strings.Contains(string(wire), `"right_seen":1,"right_unseen":0}`) {
		t.Errorf("%s", wire)
	}
}

// TestInfillRefused: models that see nothing to the right, and options that have no meaning.
func TestInfillRefused(t *testing.T) {
	causal := newStub(dialectB, 8, 4)
	plain := newStub("", 0, 0)
	for _, m := range []*stub{causal, plain} {
		if _, err := NewDecoder(m, []int32{1}, Options{Infill: []int32{Masked}}); fault.Code(err) != "INFILL_UNSUPPORTED" {
			t.Errorf("%v", err)
		}
	}
	for want, o := range map[string]Options{
		"infill":            {Infill: []int32{}},
		"infill must begin": {Infill: []int32{1, Masked}},
		"max_tokens":        {Infill: []int32{Masked, Masked}, MaxTokens: 1},
		"stop":              {Infill: []int32{Masked}, StopStrings: []string{"x"}, Text: pieces{}},
		"logprobs":          {Infill: []int32{Masked}, Logprobs: true},
	} {
		_, err := NewDecoder(newStub(dialectA, 8, 4), []int32{1}, o)
		var option *OptionError
		if !errors.As(err, &option) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for code, c := range map[string]struct{ prompt, infill []int32 }{
		"BAD_PROMPT":              {nil, []int32{Masked}},
		"BAD_PROMPT ":             {[]int32{1}, []int32{Masked, stubVocab}},
		"BAD_PROMPT  ":            {[]int32{Masked}, []int32{Masked}},
		"CONTEXT_LENGTH_EXCEEDED": {[]int32{1}, slices.Repeat([]int32{Masked}, 512)},
	} {
		if _, err := NewDecoder(newStub(dialectA, 8, 4), c.prompt, Options{Infill: c.infill}); fault.Code(err) != strings.TrimSpace(code) {
			t.Errorf("%v, %d: %v; want %s", c.prompt, len(c.infill), err, code)
		}
	}
}

// bytesOf encodes each byte as an id below the stub's vocabulary: a to w.
func bytesOf(parts []string) [][]int32 {
	all := make([][]int32, len(parts))
	for i, part := range parts {
		for _, c := range []byte(part) {
			all[i] = append(all[i], int32(c)%stubVocab)
		}
	}
	return all
}

// FuzzReadInfill: any text is refused with a code, or becomes a request that fits and fills in.
func FuzzReadInfill(f *testing.F) {
	for _, seed := range []string{"ab [[3]]cd", "a[[ ]][[1]]", "[[[[x]]", "a[[[2]]]", "a[[99]]", "[[", "a[[\x00]]", strings.Repeat("a[[1]]", 600)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var o Options
		m := newStub(dialectA, 8, 4)
		prompt, err := o.ReadInfill(m.Config(), nil, text, bytesOf)
		if err != nil {
			if fault.Code(err) != "BAD_INFILL" && fault.Code(err) != "CONTEXT_LENGTH_EXCEEDED" {
				t.Fatal(err)
			}
			return
		}
		r, err := Generate(t.Context(), m, prompt, o)
		if err != nil || r.Stats.NewTokens == 0 {
			t.Fatalf("%+v: %v", r, err)
		}
	})
}

func TestReadInfill(t *testing.T) {
	c := newStub(dialectA, 8, 4).Config()
	show := func(ids []int32) string {
		s := ""
		for _, id := range ids {
			if id == Masked {
				s += "M"
			} else {
				s += "."
			}
		}
		return s
	}
	for _, ok := range []struct{ text, shown, want string }{
		{"ab[[3]]cd", "ab", "..|MMM.."},
		{"ab [[1]] cd", "ab", "..|M..."}, // its space belongs to the hole
		{"ab  [[1]]", "ab ", "...|M"},
		{"ab[[ ]]", "ab", "..|MMMMMM"},
		{"ab[[ ]][[ ]]c", "ab", "..|MMMMMMMMMMMMMM."},
		{"abcdefgh[[ ]]", "abcdefgh", "........|MMMMMMMM"},
		{"[[[[[[2]]]]", "[[", "..|MM.."}, // [[ and a hole, ]] as it is
		{"x[[[1]]]", "x[", "..|M."},
		{"[x] [[[[ y ]] [[1]]", "[x] [[ y ]]", "...........|M"},
	} {
		var o Options
		prompt, err := o.ReadInfill(c, nil, ok.text, bytesOf)
		if err != nil {
			t.Errorf("%q: %v", ok.text, err)
			continue
		}
		if got := show(prompt) + "|" + show(o.Infill); got != ok.want || o.Shown != ok.shown {
			t.Errorf("%q: %s, shown %q; want %s, %q", ok.text, got, o.Shown, ok.want, ok.shown)
		}
	}
	if prompt, err := new(Options).ReadInfill(c, []int32{1, 2}, "[[1]]", bytesOf); err != nil || show(prompt) != ".." {
		t.Errorf("a hole behind a prompt: %v, %v", prompt, err)
	}
	for text, code := range map[string]string{
		"":                                    "BAD_INFILL",
		"no hole":                             "BAD_INFILL",
		"[[[[3]]":                             "BAD_INFILL", // brackets that are text
		"a[[0]]":                              "BAD_INFILL",
		"a[[-1]]":                             "BAD_INFILL",
		"a[[+1]]":                             "BAD_INFILL",
		"a[[01]]":                             "BAD_INFILL",
		"a[[]]":                               "BAD_INFILL",
		"a[[  ]]":                             "BAD_INFILL",
		"a[[x]]":                              "BAD_INFILL",
		"a[[3":                                "BAD_INFILL",
		"a[[3] ]":                             "BAD_INFILL",
		"a[[":                                 "BAD_INFILL",
		"a[[9999999999]]":                     "BAD_INFILL",
		"a[[513]]":                            "BAD_INFILL",
		"a[[99999999999999999999999999]]":     "BAD_INFILL",
		"[[3]] at the start":                  "BAD_INFILL",
		" [[3]]":                              "BAD_INFILL",
		"a[[512]]":                            "CONTEXT_LENGTH_EXCEEDED",
		"a[[500]]" + strings.Repeat("b", 12):  "CONTEXT_LENGTH_EXCEEDED",
		"a" + strings.Repeat("[[512]]", 1000): "CONTEXT_LENGTH_EXCEEDED",
	} {
		_, err := new(Options).ReadInfill(c, nil, text, bytesOf)
		if fault.Code(err) != code || len(err.Error()) > 300 {
			t.Errorf("%q: %v; want %s", text, err, code)
		}
	}
	for _, m := range []*stub{newStub(dialectB, 8, 4), newStub("", 0, 0)} {
		if _, err := new(Options).ReadInfill(m.Config(), nil, "a[[1]]", bytesOf); fault.Code(err) != "INFILL_UNSUPPORTED" {
			t.Errorf("%v", err)
		}
	}
}
