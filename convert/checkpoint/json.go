package checkpoint

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

// scanner reads JSON strictly (RFC 8259) and in a stream: nothing is kept that the caller does not ask for, object keys are unique after
// their escapes are resolved, and text is valid Unicode. encoding/json takes the last of two equal keys and folds bad UTF-8 and lone
// surrogates to U+FFFD, so that two readers could see different tensors in one header.
//
// The first error stays in err, and from then on every method returns zero without reading.
type scanner struct {
	r    *bufio.Reader
	file *file
	off  int64 // bytes read
	err  error

	bad, dup, many string // codes: a syntax error, a repeated key, too many keys
}

// Limits of a scan.
const (
	maxText  = 64 << 10 // bytes of a string that are kept
	maxDepth = 64       // of a value that is skipped
)

// scan returns a scanner over n bytes at off of f.
func (f *file) scan(off, n int64, bad, dup, many string) *scanner {
	return &scanner{r: bufio.NewReaderSize(io.NewSectionReader(f, off, n), int(min(n, 64<<10))), file: f, bad: bad, dup: dup, many: many}
}

// fail records an error with a code unless there is one already.
func (s *scanner) fail(code, format string, args ...any) {
	if s.err == nil {
		s.err = s.file.fail(code, format, args...)
	}
}

// syntax records an error at the last byte read.
func (s *scanner) syntax(format string, args ...any) {
	s.fail(s.bad, "byte %d of the JSON text: "+format, append([]any{s.off - 1}, args...)...)
}

// read returns the next byte.
func (s *scanner) read() byte {
	if s.err != nil {
		return 0
	}
	c, err := s.r.ReadByte()
	s.off++
	if err == io.EOF {
		s.syntax("the text ends before its value is complete")
	} else if s.err = err; err == nil {
		return c
	}
	return 0
}

// back makes the last byte the next one again.
func (s *scanner) back() {
	if s.err == nil {
		s.off--
		s.err = s.r.UnreadByte()
	}
}

// next returns the first byte that is not white space, without consuming it.
func (s *scanner) next() byte {
	for {
		switch c := s.read(); c {
		case ' ', '\t', '\n', '\r':
		default:
			s.back()
			return c
		}
	}
}

// expect consumes white space and one given byte.
func (s *scanner) expect(want byte) {
	s.next()
	if c := s.read(); c != want {
		s.syntax("found %q, wanted %q", c, want)
	}
}

// end checks that only white space is left.
func (s *scanner) end() error {
	for s.err == nil {
		c, err := s.r.ReadByte()
		if err == io.EOF {
			return nil
		}
		s.off++
		if s.err = err; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			s.syntax("found %q behind the value, wanted nothing but spaces", c)
		}
	}
	return s.err
}

// sequence reads what stands between two brackets, calling item for each element between commas.
func (s *scanner) sequence(open, closing byte, item func()) {
	s.expect(open)
	for first := true; s.err == nil; first = false {
		if c := s.next(); c == closing && first {
			break
		}
		if item(); s.next() == closing {
			break
		}
		s.expect(',')
	}
	s.expect(closing)
}

// array reads an array, calling item for each element.
func (s *scanner) array(item func()) { s.sequence('[', ']', item) }

// object reads an object of at most most keys, calling item for each value.
func (s *scanner) object(most int, item func(key string)) {
	seen := map[string]bool{}
	s.sequence('{', '}', func() {
		if len(seen) == most {
			s.fail(s.many, "byte %d of the JSON text: an object has more than %d keys", s.off, most)
		}
		key, whole := s.text()
		if !whole {
			s.syntax("a key has more than %d bytes", maxText)
		}
		if seen[key] {
			s.fail(s.dup, "byte %d of the JSON text: the key %s occurs twice in one object", s.off, fault.Quote(key))
		}
		seen[key] = true
		if s.expect(':'); s.err == nil {
			item(key)
		}
	})
}

// text reads a string. Only about its first maxText bytes are kept; whole tells whether that is all of it.
func (s *scanner) text() (text string, whole bool) {
	s.expect('"')
	var kept []byte
	for whole = true; s.err == nil; {
		r, size, err := s.r.ReadRune()
		if err != nil {
			if s.err = err; err == io.EOF {
				s.err = nil
				s.syntax("a string is not closed where the text ends")
			}
			break
		}
		s.off += int64(size)
		switch {
		case r == '"':
			return string(kept), whole
		case r == utf8.RuneError && size == 1:
			s.syntax("it is not UTF-8")
		case r < ' ':
			s.syntax("control character %#x inside a string", r)
		case r == '\\':
			r = s.escape()
		}
		if whole = whole && len(kept) < maxText; whole {
			kept = utf8.AppendRune(kept, r)
		}
	}
	return "", true
}

// escape reads what follows a backslash.
func (s *scanner) escape() rune {
	switch c := s.read(); c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
	default:
		s.syntax("found %q after a backslash", c)
	}
	r := s.hex()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.read() == '\\' && s.read() == 'u' {
		r = utf16.DecodeRune(r, s.hex())
	}
	if r == utf8.RuneError || utf16.IsSurrogate(r) {
		s.syntax("a lone surrogate, which is not Unicode text")
	}
	return r
}

// hex reads the four digits of \u.
func (s *scanner) hex() rune {
	digits := []byte{s.read(), s.read(), s.read(), s.read()}
	n, err := strconv.ParseUint(string(digits), 16, 16)
	if err != nil {
		s.syntax(`\u is followed by %q, wanted four hexadecimal digits`, digits)
	}
	return rune(n)
}

// word reads a number, true, false or null, as it is written.
func (s *scanner) word() string {
	s.next()
	var word []byte
	for c := s.read(); s.err == nil; c = s.read() {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '+' && c != '.' && c != 'E' {
			s.back()
			break
		}
		if word = append(word, c); len(word) > 64 {
			s.syntax("a number has more than 64 characters")
		}
	}
	if !json.Valid(word) {
		s.syntax("%s is no JSON value", fault.Quote(string(word)))
	}
	return string(word)
}

// integer reads a value that should be an exact integer of 0..2^64-1; 1.0, 1e3 and -0 are not. If it is none, ok is false and found
// describes it.
func (s *scanner) integer() (n uint64, ok bool, found string) {
	if name := map[byte]string{'"': "a string", '{': "an object", '[': "an array"}[s.next()]; name != "" {
		s.skip(0)
		return 0, false, name
	}
	word := s.word()
	n, err := strconv.ParseUint(word, 10, 64)
	return n, err == nil, word
}

// skip reads any value and keeps nothing.
func (s *scanner) skip(depth int) {
	if depth == maxDepth {
		s.syntax("nested more than %d levels deep", maxDepth)
		return
	}
	switch s.next() {
	case '{':
		s.object(maxTensors, func(string) { s.skip(depth + 1) })
	case '[':
		s.array(func() { s.skip(depth + 1) })
	case '"':
		s.text()
	default:
		s.word()
	}
}
