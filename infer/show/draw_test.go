package show

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/wrinklefree/wf/infer/diffusion"
)

var attributes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// checkPicture holds rows to their promises.
func checkPicture(t *testing.T, rows []Row, width, height int) {
	t.Helper()
	if len(rows) > height-1 {
		t.Fatalf("%d rows for a height of %d", len(rows), height)
	}
	for _, r := range rows {
		bare := attributes.ReplaceAllString(r.Text, "")
		if Visible(bare) != bare {
			t.Fatalf("row %q holds what a terminal obeys", r.Text)
		}
		if w := uniseg.StringWidth(bare); r.Width > width-1 || w > r.Width {
			t.Fatalf("row %q takes %d columns, says %d, may take %d", r.Text, w, r.Width, width-1)
		}
		if all := attributes.FindAllString(r.Text, -1); len(all) > 0 && all[len(all)-1] != "\x1b[m" {
			t.Fatalf("row %q leaves attributes behind", r.Text)
		}
	}
}

func texts(rows []Row) (all []string) {
	for _, r := range rows {
		all = append(all, r.Text)
	}
	return all
}

func expectRows(t *testing.T, rows []Row, want ...string) {
	t.Helper()
	if got := strings.Join(texts(rows), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%q\nwant\n%q", got, strings.Join(want, "\n"))
	}
}

// TestPicture follows an answer pass by pass: masks, colours, what is new, a character that two tokens share, escapes, the end.
func TestPicture(t *testing.T) {
	h, events, _ := sample()
	v := NewView(h, textOf)
	expectRows(t, v.Picture(80, 24, true))
	v.Apply(events[0])
	expectRows(t, v.Picture(80, 24, true), "\x1b[32;4mThe\x1b[m\x1b[36;4m cat\x1b[m\x1b[2m····\x1b[m", "\x1b[2mstep 1, block 0: +2, 2 tokens, 2.0/step\x1b[m")
	expectRows(t, v.Picture(80, 24, false), "\x1b[1;4mThe\x1b[m\x1b[4m cat\x1b[m\x1b[2m····\x1b[m", "\x1b[2mstep 1, block 0: +2, 2 tokens, 2.0/step\x1b[m")
	v.Apply(events[1])
	expectRows(t, v.Picture(80, 24, true), "\x1b[32mThe\x1b[m\x1b[36m cat\x1b[m\x1b[31;4mé\x1b[m\x1b[2m··\x1b[m", "\x1b[2mstep 2, block 0: +2, 4 tokens, 2.0/step\x1b[m")
	v.Apply(events[2])
	v.Apply(events[3])
	expectRows(t, v.Picture(80, 24, false)[:2], "\x1b[1mThe\x1b[m cat\x1b[2mé\x1b[m\x1b[1m日本.\x1b[m\x1b[4m\\x1b[31m\\n\x1b[m", "")
	v.Apply(events[4])
	if !v.ended {
		t.Error("the stop token did not end the answer")
	}
	expectRows(t, v.Picture(80, 24, false)[1:], "\x1b[2;4m<end>\x1b[m", "\x1b[2mfill 0, block 8: +1, 8 tokens, 2.7/step\x1b[m")
	for width := range 100 {
		for _, height := range []int{1, 2, 3, 24} {
			if width >= 8 {
				checkPicture(t, v.Picture(width, max(height, 2), width%2 == 0), width, max(height, 2))
			}
			v.Picture(width, height, false) // no panic
		}
	}
}

// TestWrap: 日 takes two columns and does not go into one.
func TestWrap(t *testing.T) {
	h, _, _ := sample()
	v := NewView(h, func(int32) string { return "a日b" })
	v.Apply(diffusion.Event{Event: "denoise", Sub: 0, Pass: 1, Take: []diffusion.Take{{Position: 2, ID: 1, Confidence: 0.6}, {Position: 3, ID: 1, Confidence: 0.6}}})
	expectRows(t, v.Picture(7, 24, false)[:2], "\x1b[4ma日ba\x1b[m", "\x1b[4m日b\x1b[m\x1b[2m···\x1b[m")
}

// TestTail: of an answer longer than the screen the last rows show.
func TestTail(t *testing.T) {
	h, _, _ := sample()
	h.BlockSize, h.Stop, h.Context = 1, nil, 2000
	v := NewView(h, func(id int32) string { return string(rune('a' + id%26)) })
	for i := range 1000 {
		v.Apply(diffusion.Event{Event: "next", Block: 2 + i, Sub: diffusion.NoSub, Take: []diffusion.Take{{Position: 2 + i, ID: int32(i)}}})
		checkPicture(t, v.Picture(11, 6, false), 11, 6)
	}
	rows := v.Picture(11, 6, false)
	if got := attributes.ReplaceAllString(rows[3].Text, ""); !strings.HasSuffix(got, string(rune('a'+999%26))) || len(rows) != 5 {
		t.Errorf("last row %q of %d", got, len(rows))
	}
}

// TestInfill shows what was given dim and the holes as masks; a stop token that was given ends nothing.
func TestInfill(t *testing.T) {
	h, _, _ := sample()
	h.Infill = []int32{masked, 8, masked, 7}
	v := NewView(h, textOf)
	v.Apply(diffusion.Event{Event: "denoise", Sub: 0, Pass: 1, Take: []diffusion.Take{{Position: 4, ID: 2, Confidence: 0.6}}})
	expectRows(t, v.Picture(80, 24, false), "\x1b[2m·<end>\x1b[m\x1b[4m cat\x1b[m\x1b[2m.\x1b[m", "\x1b[2mstep 1, block 0: +1, 0 tokens, 1.0/step\x1b[m")
	v.Apply(diffusion.Event{Event: "denoise", Sub: 0, Pass: 2, Take: []diffusion.Take{{Position: 2, ID: 1, Confidence: 0.6}}})
	if !v.ended || v.settled != 6 {
		t.Errorf("ended %v at %d, want at 6", v.ended, v.settled)
	}
}

// TestScreen: a picture goes back over the rows that the last one takes by now, wrapped where the terminal has become narrower.
func TestScreen(t *testing.T) {
	var b bytes.Buffer
	s := NewScreen(&b)
	for _, c := range []struct {
		rows  []Row
		width int
		want  string
	}{
		{[]Row{{"one", 3}, {"two", 3}}, 80, "one\x1b[K\r\ntwo"},
		{[]Row{{"three", 5}}, 80, "\r\x1b[1Athree\x1b[J"},
		{[]Row{{strings.Repeat("x", 30), 30}, {"y", 1}}, 80, "\r" + strings.Repeat("x", 30) + "\x1b[K\r\ny\x1b[J"},
		{nil, 20, "\r\x1b[2A\x1b[J"},
		{nil, 20, ""},
	} {
		b.Reset()
		if err := s.Draw(c.rows, c.width); err != nil || b.String() != c.want {
			t.Errorf("wrote %q, want %q (%v)", b.String(), c.want, err)
		}
	}
	s.Draw([]Row{{"a", 1}}, 80)
	b.Reset()
	s.Leave()
	s.Leave()
	if b.String() != "\r\n" {
		t.Errorf("leaving wrote %q", b.String())
	}
}

func TestVisible(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain é 日\u3000", "plain é 日\u3000"},
		{"\x1b[2J\r\n\t\x00", `\x1b[2J\r\n\t\x00`},
		{"\u009b\u202e\u200b", `\u009b\u202e\u200b`},
		{"\xff\xc3", `\xff\xc3`},
	} {
		if got := Visible(c.text); got != c.want {
			t.Errorf("Visible(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}
