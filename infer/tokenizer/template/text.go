package template

import (
	"slices"
	"sort"
)

// Text is a string that remembers which of its bytes came out of a message.
type Text struct {
	String  string
	Tainted []Span // ascending, not empty, not touching
}

// Span is the bytes Start <= i < End of a string.
type Span struct{ Start, End int }

// trusted is text of the template's own.
func trusted(s string) Text { return Text{String: s} }

// tainted is text of a message.
func tainted(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{s, []Span{{0, len(s)}}}
}

// derived is a string made from others in a way that does not tell which of its bytes came from where.
func derived(s string, from ...Text) Text {
	if slices.ContainsFunc(from, func(t Text) bool { return len(t.Tainted) > 0 }) {
		return tainted(s)
	}
	return trusted(s)
}

// slice returns the bytes from start to end.
func (t Text) slice(start, end int) Text {
	part := Text{String: t.String[start:end]}
	for i := sort.Search(len(t.Tainted), func(i int) bool { return t.Tainted[i].End > start }); i < len(t.Tainted) && t.Tainted[i].Start < end; i++ {
		s := t.Tainted[i]
		part.Tainted = append(part.Tainted, Span{max(s.Start, start) - start, min(s.End, end) - start})
	}
	return part
}

// builder joins texts.
type builder struct {
	bytes   []byte
	tainted []Span
}

func (b *builder) add(t Text) {
	at := len(b.bytes)
	b.bytes = append(b.bytes, t.String...)
	for _, s := range t.Tainted {
		s.Start, s.End = s.Start+at, s.End+at
		if n := len(b.tainted); n > 0 && b.tainted[n-1].End == s.Start {
			b.tainted[n-1].End = s.End
		} else {
			b.tainted = append(b.tainted, s)
		}
	}
}

func (b *builder) text() Text { return Text{string(b.bytes), b.tainted} }

func concat(parts ...Text) Text {
	var b builder
	for _, t := range parts {
		b.add(t)
	}
	return b.text()
}
