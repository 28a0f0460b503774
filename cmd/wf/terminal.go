package main

import (
	"os"

	"github.com/wrinklefree/wf/infer/show"
	"golang.org/x/term"
)

// picture is a view of an answer that is repainted in place on a terminal.
type picture struct {
	file   *os.File
	screen *show.Screen
}

// newPicture returns nil if stream is no terminal, or one on which nothing can be drawn.
func newPicture(stream any) *picture {
	if !terminal(stream) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	file := stream.(*os.File)
	if !obeysEscapes(file) {
		return nil
	}
	return &picture{file, show.NewScreen(file)}
}

// draw repaints. It does not fail: a picture is a courtesy, and a terminal that has gone must not end an answer.
func (p *picture) draw(v *show.View) {
	width, height := p.size()
	_ = p.screen.Draw(v.Picture(width, height, os.Getenv("NO_COLOR") == ""), width)
}

// clear takes the picture away.
func (p *picture) clear() {
	width, _ := p.size()
	_ = p.screen.Clear(width)
}

// size is what the terminal says, which changes with its window.
func (p *picture) size() (width, height int) { return screenSize(p.file) }

func screenSize(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 || height < 1 {
		return 80, 24
	}
	return width, height
}
