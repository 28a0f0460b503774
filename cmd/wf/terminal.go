package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wrinklefree/wf/infer/show"
	"golang.org/x/term"
)

// picture is a view of an answer that is repainted in place on a terminal.
type picture struct {
	file   *os.File
	screen *show.Screen
}

// newPicture returns nil if nothing can be drawn on stream.
func newPicture(stream any) *picture {
	if file := drawable(stream); file != nil {
		return &picture{file, show.NewScreen(file)}
	}
	return nil
}

// keyboard returns a stream that is a terminal with keys and a cursor; nil for any other.
func keyboard(stream any) *os.File {
	if !terminal(stream) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return stream.(*os.File)
}

// drawable returns a stream that is a terminal which moves its cursor as told; nil for any other.
func drawable(stream any) *os.File {
	if file := keyboard(stream); file != nil && obeysEscapes(file) {
		return file
	}
	return nil
}

// draw repaints. It does not fail: a picture is a courtesy, and a terminal that has gone must not end an answer.
func (p *picture) draw(v *show.View) {
	width, height := p.size()
	_ = p.screen.Draw(v.Picture(width, height, os.Getenv("NO_COLOR") == ""), width)
}

// settleTime is how long a terminal may take to wrap its lines after it has told of its new width. What is drawn before that is torn.
const settleTime = 50 * time.Millisecond

// stand lets the picture stand for a while, and repaints it when the terminal changes; false if ctx has ended.
func (p *picture) stand(ctx context.Context, v *show.View, pause time.Duration, changes <-chan os.Signal) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changes:
			time.Sleep(settleTime)
			p.draw(v)
		case <-timer.C:
			return true
		}
	}
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

// forReading returns standard output for a model's text. On a terminal that shows what the terminal would obey, but for line ends and tabs, as Go
// writes it: a model may say anything.
func (env *environment) forReading() io.Writer {
	if terminal(env.stdout) {
		return harmless{env.stdout}
	}
	return env.stdout
}

type harmless struct{ w io.Writer }

func (o harmless) Write(text []byte) (int, error) {
	var b strings.Builder
	rest := string(text)
	for rest != "" {
		end := strings.IndexAny(rest, "\n\t")
		if end < 0 {
			b.WriteString(show.Visible(rest))
			break
		}
		b.WriteString(show.Visible(rest[:end]))
		b.WriteByte(rest[end])
		rest = rest[end+1:]
	}
	if _, err := io.WriteString(o.w, b.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}
