package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/show"
)

const (
	passTime   = 80 * time.Millisecond // a pass is to be seen so long, however fast the model is
	behindTime = 2 * time.Second       // but a picture is never further behind than about this
)

// steps shows the passes of an answer as they come: as a picture on standard error if that is a terminal, else a line each. The nil steps show
// nothing.
type steps struct {
	env     *environment
	text    func(id int32) string
	picture *picture // nil: lines
	view    *show.View
	events  chan diffusion.Event
	done    chan struct{} // closed when drawing has ended
	crash   any           // what drawing panicked with
}

// showSteps begins. The picture goes on until stop or the end of ctx.
func (env *environment) showSteps(ctx context.Context, h show.Header, text func(id int32) string) *steps {
	s := &steps{env: env, text: text, picture: newPicture(env.stderr)}
	if s.picture != nil {
		s.view = show.NewView(h, text)
		s.events, s.done = make(chan diffusion.Event, 1024), make(chan struct{})
		go s.draw(ctx)
	}
	return s
}

// holds reports whether the passes have the terminal that the text is to appear on.
func (s *steps) holds() bool { return terminal(s.env.stdout) && terminal(s.env.stderr) }

// event takes a pass. It does not wait for the picture, so that the time of drawing is none of decoding.
func (s *steps) event(e diffusion.Event) {
	switch {
	case s == nil:
	case s.picture == nil:
		fmt.Fprintln(s.env.stderr, show.Line(e, s.text))
	default:
		e.Take = slices.Clone(e.Take)
		select {
		case s.events <- e:
		case <-s.done:
		}
	}
}

// stop waits until the picture has come to the end, and takes it away.
func (s *steps) stop() {
	if s == nil || s.picture == nil {
		return
	}
	close(s.events)
	<-s.done
	s.picture.clear()
	if s.crash != nil {
		panic(s.crash)
	}
}

func (s *steps) draw(ctx context.Context) {
	defer close(s.done)
	defer func() { s.crash = recover() }()
	changes, stop := resized()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			time.Sleep(settleTime)
			s.picture.draw(s.view)
		case e, more := <-s.events:
			if !more {
				return
			}
			s.view.Apply(e)
			s.picture.draw(s.view)
			if !s.picture.stand(ctx, s.view, min(passTime, behindTime/time.Duration(len(s.events)+1)), changes) {
				return
			}
		}
	}
}
