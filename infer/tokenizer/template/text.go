package template

// Text is a string that remembers which of its bytes came out of a message.
type Text struct {
	String  string
	Tainted []Span // ascending, not empty, not touching
}

// Span is the bytes Start <= i < End of a string.
type Span struct{ Start, End int }
