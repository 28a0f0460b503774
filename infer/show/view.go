package show

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/infer/diffusion"
)

// The events of a trace (diffusion.Event) but fill.
const (
	eventNext    = "next"
	eventDenoise = "denoise"
)

// View is an answer as far as its events go.
type View struct {
	text    func(id int32) string
	stop    []int32
	size    int    // positions in a block
	first   int    // position that the answer starts at
	given   int    // behind the last token that was given: from here on a stop token ends the answer
	limit   int    // positions of prompt and answer together at most
	cells   []cell // from the position first on, to the end of the current block
	settled int    // position of the first mask
	ended   bool   // at settled

	last   diffusion.Event // without its Take
	events int             // so far
	steps  int             // denoise steps
	fresh  int             // positions that the last event took
	taken  int             // positions that were taken, up to the end of the answer
}

// cell is a position of the answer.
type cell struct {
	id         int32 // masked where it is not known
	confidence float32
	event      int // number of the event that took it
}

const (
	masked = diffusion.Masked

	// What a confidence can be besides a probability.
	ofTask  = -1 // the token was given
	unknown = -2 // a trace has none for the token of an event next
)

// NewView begins an answer. text returns the bytes of an id.
func NewView(h Header, text func(id int32) string) *View {
	v := &View{text: text, stop: h.Stop, size: h.BlockSize, first: len(h.Prompt)}
	v.given, v.settled, v.limit = v.first, v.first, v.first+maxPositions
	if h.Context > v.first {
		v.limit = h.Context
	}
	if h.MaxTokens > 0 {
		v.limit = min(v.limit, v.first+min(h.MaxTokens, maxPositions))
	}
	for i, id := range h.Infill {
		v.cells = append(v.cells, cell{id: id, confidence: ofTask})
		if id != masked {
			v.given = v.first + i + 1
		}
	}
	if h.Infill != nil {
		v.limit = v.first + len(h.Infill)
	}
	return v
}

// View begins the answer of a trace, with the trace's own texts. other, which may be nil, returns the bytes of an id that the trace does not name.
func (t *Trace) View(other func(id int32) string) *View {
	v := NewView(t.Header, t.Text(other))
	if t.Header.Version == 0 { // the answer starts at the first position that is ever taken
		v.first = math.MaxInt
		for _, e := range t.Events {
			v.first = min(v.first, e.Take[0].Position)
		}
		v.given, v.settled, v.limit = v.first, v.first, v.first+maxPositions
	}
	return v
}

// Text returns a function for the bytes of an id: the trace's own text, else what other says, else the number.
func (t *Trace) Text(other func(id int32) string) func(id int32) string {
	return func(id int32) string {
		if text, ok := t.Texts[id]; ok {
			return text
		}
		if other != nil {
			return other(id)
		}
		return fmt.Sprintf("[%d]", id)
	}
}

// Apply takes a pass in.
func (v *View) Apply(e diffusion.Event) {
	v.events++
	end := e.Block + v.size
	if e.Event == eventNext { // it opens a block, which the first denoise step will show
		end = e.Block + 1
	}
	for v.first+len(v.cells) < end {
		v.cells = append(v.cells, cell{id: masked})
	}
	v.fresh = 0
	for _, t := range e.Take {
		if t.Position < v.first {
			continue
		}
		c := &v.cells[t.Position-v.first]
		*c = cell{id: t.ID, confidence: t.Confidence, event: v.events}
		if e.Event == eventNext && t.Confidence == 0 {
			c.confidence = unknown
		}
		v.fresh++
	}
	v.taken += v.fresh
	if e.Event == eventDenoise {
		v.steps++
	}
	v.last = e
	v.last.Take = nil
	v.settle()
}

// settle moves over what has no mask before it, up to the end of the answer. What was taken behind that does not count.
func (v *View) settle() {
	for !v.ended && v.settled-v.first < len(v.cells) && v.cells[v.settled-v.first].id != masked {
		id := v.cells[v.settled-v.first].id
		v.settled++
		if v.ended = v.settled == v.limit || v.settled > v.given && slices.Contains(v.stop, id); !v.ended {
			continue
		}
		v.taken = 0
		for _, c := range v.shown() {
			if c.confidence != ofTask {
				v.taken++
			}
		}
	}
}

// shown is the answer to where it ends, as far as that is known, or to where its last block does.
func (v *View) shown() []cell {
	if v.ended {
		return v.cells[:v.settled-v.first]
	}
	return v.cells[:min(len(v.cells), v.limit-v.first)]
}

// Line is the last event in plain text, for a log:
//
//	step 2, block 32, sub-block 8: 41 " of" 0.99, 42 " the" 0.87
func Line(e diffusion.Event, text func(id int32) string) string {
	var b strings.Builder
	switch {
	case e.Event == eventNext:
		b.WriteString("next")
	case e.Event == eventDenoise:
		fmt.Fprintf(&b, "step %d, block %d", e.Pass, e.Block)
	default:
		fmt.Fprintf(&b, "%s, block %d", e.Event, e.Block)
	}
	if e.Sub != diffusion.NoSub {
		fmt.Fprintf(&b, ", sub-block %d", e.Sub)
	}
	for i, t := range e.Take {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		fmt.Fprintf(&b, "%s%d \"%s\"", separator, t.Position, Visible(text(t.ID)))
		if e.Event != eventNext {
			fmt.Fprintf(&b, " %.2f", t.Confidence)
		}
	}
	return b.String()
}

// Status sums up what the last event did, and all so far, in as many words as fit into so many columns:
//
//	step 2, block 32: +4, 12 tokens, 6.0/step
func (v *View) Status(columns int) string {
	what := fmt.Sprintf("%s %d", v.last.Event, v.last.Pass)
	switch v.last.Event {
	case eventNext:
		what = "next"
	case eventDenoise:
		what = fmt.Sprintf("step %d", v.last.Pass)
	}
	parts := []string{fmt.Sprintf("%s, block %d: +%d", what, v.last.Block, v.fresh), fmt.Sprintf(", %d tokens", v.settled-v.first)}
	if v.steps > 0 {
		parts = append(parts, fmt.Sprintf(", %.1f/step", float64(v.taken)/float64(v.steps)))
	}
	line := ""
	for _, part := range parts {
		if len(line)+len(part) > columns {
			break
		}
		line += part
	}
	return line
}
