//go:build linux || darwin

package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// emulator is a terminal of a few sequences, all that wf and golang.org/x/term send. Any other is kept in unknown. When it is resized it wraps its
// lines anew, as most terminals do.
type emulator struct {
	width, height int
	lines         []emulatedLine // all since the beginning; the last height are the screen
	x, y          int            // y in lines
	rest          []byte         // of a sequence or a character that has not come to its end
	unknown       []string
}

type emulatedLine struct {
	cells   []string // characters; "" behind one of two columns
	wrapped bool     // goes on in the next line
}

func newEmulator(width, height int) *emulator {
	return &emulator{width: width, height: height, lines: []emulatedLine{{}}}
}

// screen returns the rows as a person sees them, without blanks at their ends.
func (e *emulator) screen() []string {
	rows := make([]string, e.height)
	for i, line := range e.lines[e.top():] {
		rows[i] = strings.TrimRight(strings.Join(line.cells, ""), " ")
	}
	return rows
}

func (e *emulator) top() int { return max(0, len(e.lines)-e.height) }

func (e *emulator) Write(p []byte) (int, error) {
	e.rest = append(e.rest, p...)
	for len(e.rest) > 0 {
		n := e.one(string(e.rest))
		if n == 0 {
			break
		}
		e.rest = e.rest[n:]
	}
	return len(p), nil
}

// one obeys the first character or sequence and returns its length; 0 if it is not complete.
func (e *emulator) one(text string) int {
	switch text[0] {
	case '\r':
		e.x = 0
		return 1
	case '\n':
		e.down()
		return 1
	case '\b':
		e.x = max(0, e.x-1)
		return 1
	case '\x1b':
		return e.sequence(text)
	}
	if text[0] < ' ' || text[0] == 0x7f {
		e.unknown = append(e.unknown, strconv.Quote(text[:1]))
		return 1
	}
	if !utf8.FullRuneInString(text) {
		return 0
	}
	_, size := utf8.DecodeRuneInString(text)
	e.put(text[:size], uniseg.StringWidth(text[:size]))
	return size
}

func (e *emulator) put(character string, width int) {
	if width == 0 {
		return
	}
	if e.x+width > e.width {
		e.lines[e.y].wrapped = true
		e.x = 0
		e.down()
	}
	line := &e.lines[e.y]
	for len(line.cells) < e.x+width {
		line.cells = append(line.cells, " ")
	}
	line.cells[e.x] = character
	for i := 1; i < width; i++ {
		line.cells[e.x+i] = ""
	}
	e.x += width
}

func (e *emulator) down() {
	if e.y++; e.y == len(e.lines) {
		e.lines = append(e.lines, emulatedLine{})
	}
}

func (e *emulator) sequence(text string) int {
	if len(text) < 2 {
		return 0
	}
	if text[1] != '[' {
		e.unknown = append(e.unknown, strconv.Quote(text[:2]))
		return 2
	}
	end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
	if end < 0 {
		return 0
	}
	parameter, final := text[2:2+end], text[2+end]
	n, err := strconv.Atoi(parameter)
	if err != nil {
		n = 1
	}
	switch {
	case final == 'A':
		e.y = max(e.top(), e.y-n)
	case final == 'B':
		e.y = min(len(e.lines)-1, e.y+n)
	case final == 'C':
		e.x = min(e.width-1, e.x+n)
	case final == 'D':
		e.x = max(0, min(e.x, e.width-1)-n)
	case final == 'J' && parameter == "":
		e.lines = e.lines[:e.y+1]
		e.clear()
	case final == 'K' && parameter == "":
		e.clear()
	case final == 'm', (final == 'h' || final == 'l') && parameter == "?2004": // attributes; bracketed paste
	default:
		e.unknown = append(e.unknown, fmt.Sprintf("%q", text[:2+end+1]))
	}
	return 2 + end + 1
}

// clear takes away what is right of the cursor.
func (e *emulator) clear() {
	line := &e.lines[e.y]
	line.cells = line.cells[:min(e.x, len(line.cells))]
	line.wrapped = false
}

// resize wraps all lines anew, and the cursor goes with its character.
func (e *emulator) resize(width, height int) {
	var lines []emulatedLine
	var long []string
	at, y, x := -1, 0, 0
	for i, line := range e.lines {
		if i == e.y {
			at = len(long) + e.x
		}
		long = append(long, line.cells...)
		if line.wrapped {
			continue
		}
		begin := len(lines)
		lines = append(lines, emulatedLine{})
		for k, cell := range long {
			last := &lines[len(lines)-1]
			if cell != "" && len(last.cells)+columns(long[k:]) > width {
				last.wrapped = true
				lines = append(lines, emulatedLine{})
				last = &lines[len(lines)-1]
			}
			last.cells = append(last.cells, cell)
		}
		if at >= 0 {
			y, x = begin, at
			for y < len(lines)-1 && x > len(lines[y].cells) {
				x -= len(lines[y].cells)
				y++
			}
			at = -1
		}
		long = nil
	}
	e.lines, e.width, e.height, e.x, e.y = lines, width, height, x, y
}

// columns of the first of the cells.
func columns(cells []string) int {
	if len(cells) > 1 && cells[1] == "" {
		return 2
	}
	return 1
}
