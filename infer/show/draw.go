package show

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// mask stands for a position that is to be filled in.
const mask = "·"

// Row is one line of a picture.
type Row struct {
	Text  string // with attributes, plain again at its end
	Width int    // columns that it takes
}

// Picture draws the answer and, in the last row, Status: rows of at most width-1 columns, so that no terminal wraps one, and of them the last
// height-1. How sure the model was of a token says its colour, or without colour its weight; what the last event took is underlined:
//
//	confidence   0.9 and more   0.7 and more   0.5 and more   less
//	colour       green          cyan           yellow         red
//	weight       bold           normal         normal         dim
//
// Masks and what was given are dim. A line break is shown as \n and breaks the line; other control characters and bytes that are no text are
// shown as Go writes them. Before the first event there is nothing to draw.
func (v *View) Picture(width, height int, colour bool) []Row {
	if v.events == 0 {
		return nil
	}
	p := &painter{width: max(width-1, 2)}
	cells := v.shown()
	screen := max(width*height, 1) // cells that could fill it: nothing before two of those shows, and what is left out changes seldom
	cells = cells[max(0, len(cells)/screen-1)*screen:]
	var rest string // the beginning of a character that goes on in the next cell
	for i, c := range cells {
		if c.id == masked {
			p.add(mask, dim)
			continue
		}
		text := rest + v.text(c.id)
		rest = ""
		if i+1 < len(cells) && cells[i+1].id != masked {
			whole := wholeCharacters(text)
			text, rest = text[:whole], text[whole:]
		}
		p.add(text, c.attributes(colour, c.event == v.events))
	}
	p.flush()
	rows := p.rows[max(0, len(p.rows)-max(height-2, 0)):]
	p = &painter{width: max(width-1, 2)}
	p.add(v.Status(width-4), dim) // an echoed ^C has room behind it
	p.flush()
	return append(rows, p.rows[0])
}

// Attributes of a terminal, as SGR has them.
const (
	plain      = ""
	bold       = "1"
	dim        = "2"
	underlined = "4"
)

func (c cell) attributes(colour, fresh bool) string {
	a := plain
	switch {
	case c.confidence == ofTask:
		a = dim
	case c.confidence == unknown:
	case colour:
		a = colours[level(c.confidence)]
	default:
		a = weights[level(c.confidence)]
	}
	if fresh {
		a = strings.TrimPrefix(a+";"+underlined, ";")
	}
	return a
}

var (
	colours = [...]string{"31", "33", "36", "32"}
	weights = [...]string{dim, plain, plain, bold}
)

// level is 0 for a guess to 3 for certain.
func level(confidence float32) (n int) {
	for _, bound := range []float32{0.5, 0.7, 0.9} {
		if confidence >= bound {
			n++
		}
	}
	return n
}

// painter breaks text into rows.
type painter struct {
	width int
	rows  []Row
	row   strings.Builder
	used  int
	now   string // attributes in force
}

func (p *painter) add(text, attributes string) {
	for text != "" {
		cluster, rest, width, _ := uniseg.FirstGraphemeClusterInString(text, -1)
		if !visible(cluster) {
			_, size := utf8.DecodeRuneInString(text) // its characters one by one, so that a mark on a control character shows neither
			cluster, rest = escape(text[:size]), text[size:]
			width = len(cluster)
		}
		if p.used+width > p.width {
			p.flush()
		}
		p.put(cluster, attributes, min(width, p.width))
		if cluster == `\n` {
			p.flush()
		}
		text = rest
	}
}

func (p *painter) put(text, attributes string, width int) {
	if attributes != p.now {
		if p.now != plain {
			p.row.WriteString("\x1b[m")
		}
		if attributes != plain {
			fmt.Fprintf(&p.row, "\x1b[%sm", attributes)
		}
		p.now = attributes
	}
	p.row.WriteString(text)
	p.used += width
}

// flush ends a row.
func (p *painter) flush() {
	if p.now != plain {
		p.row.WriteString("\x1b[m")
	}
	p.rows = append(p.rows, Row{p.row.String(), p.used})
	p.row.Reset()
	p.used, p.now = 0, plain
}

// Visible returns text with what a terminal would obey, and what it could not show, as Go writes it: \n, \x1b, \u200b, \xff.
func Visible(text string) string {
	if visible(text) {
		return text
	}
	var b strings.Builder
	for text != "" {
		_, size := utf8.DecodeRuneInString(text)
		b.WriteString(escape(text[:size]))
		text = text[size:]
	}
	return b.String()
}

// visible reports whether a terminal shows text and does nothing else.
func visible(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.In(r, unicode.Zs) && !strconv.IsPrint(r) })
}

// escape returns one character as Visible does.
func escape(character string) string {
	if visible(character) {
		return character
	}
	quoted := strconv.Quote(character)
	return quoted[1 : len(quoted)-1]
}

// wholeCharacters returns the length of text without a character at its end that has begun and could go on.
func wholeCharacters(text string) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if at := len(text) - n; utf8.RuneStart(text[at]) {
			if text[at] >= utf8.RuneSelf && !utf8.FullRuneInString(text[at:]) {
				return at
			}
			break
		}
	}
	return len(text)
}
