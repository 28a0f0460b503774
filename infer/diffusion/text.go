package diffusion

import "strings"

// TextStream turns ids into text one by one, holding back an unfinished character: tokenizer.Stream.
type TextStream interface {
	Push(id int32) string
	Flush() string
}

// reading is the text of an answer as far as it is settled.
type reading struct {
	stream TextStream // nil: no text is wanted
	stops  []string
	show   func(string) // nil: nobody watches
	shown  strings.Builder
	fresh  string // settled, and shown with the next flush
	held   string // may still become a stop string
	cut    bool   // a stop string came; nothing after it counts
}

// push adds a token, returns the text that it completes, and reports whether that completes a stop string.
func (r *reading) push(id int32) (text string, cut bool) {
	if r.stream != nil {
		text = r.stream.Push(id)
		r.add(text)
	}
	return text, r.cut
}

func (r *reading) add(text string) {
	r.held += text
	free := len(r.held)
	for _, stop := range r.stops {
		if at := strings.Index(r.held, stop); at >= 0 {
			free, r.cut = min(free, at), true
		}
	}
	if r.cut {
		r.fresh, r.held = r.fresh+r.held[:free], ""
		return
	}
	for _, stop := range r.stops {
		free = min(free, len(r.held)-overlap(r.held, stop))
	}
	r.fresh, r.held = r.fresh+r.held[:free], r.held[free:]
}

// overlap is the length of the longest end of text that begins stop without being all of it.
func overlap(text, stop string) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if strings.HasSuffix(text, stop[:n]) {
			return n
		}
	}
	return 0
}

// flush shows what is settled; at the end of the answer also what was held back, since nothing can follow it.
func (r *reading) flush(end bool) {
	if end && r.stream != nil && !r.cut {
		r.add(r.stream.Flush())
		r.fresh, r.held = r.fresh+r.held, ""
	}
	if r.fresh == "" {
		return
	}
	r.shown.WriteString(r.fresh)
	if r.show != nil {
		r.show(r.fresh)
	}
	r.fresh = ""
}
