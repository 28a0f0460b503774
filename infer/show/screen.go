package show

import (
	"fmt"
	"io"
	"strings"
)

// Screen repaints a picture in place, at the cursor and below it.
type Screen struct {
	w    io.Writer
	rows []Row // of the picture that is there
}

// NewScreen draws on w, a terminal whose cursor is at the beginning of a line.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Draw puts a picture where the last one was, row over row, so that nothing flickers. width is the terminal's by now: where it has become narrower
// since, it has wrapped the rows of the last one.
func (s *Screen) Draw(rows []Row, width int) error {
	var b strings.Builder
	s.back(&b, width)
	for i, r := range rows {
		if i > 0 {
			b.WriteString("\x1b[K\r\n")
		}
		b.WriteString(r.Text)
	}
	if s.rows != nil {
		b.WriteString("\x1b[J")
	}
	s.rows = rows
	_, err := io.WriteString(s.w, b.String())
	return err
}

// Clear takes the picture away. The cursor is where it was before the first.
func (s *Screen) Clear(width int) error { return s.Draw(nil, width) }

// Leave lets the picture stand and goes to the line below it.
func (s *Screen) Leave() error {
	if s.rows == nil {
		return nil
	}
	s.rows = nil
	_, err := io.WriteString(s.w, "\r\n")
	return err
}

// back goes to where the picture begins.
func (s *Screen) back(b *strings.Builder, width int) {
	if s.rows == nil {
		return
	}
	up := -1
	for _, r := range s.rows {
		up += max(1, (r.Width+width-1)/max(width, 1))
	}
	b.WriteString("\r")
	if up > 0 {
		fmt.Fprintf(b, "\x1b[%dA", up)
	}
}
