// Package fault gives an error a code that programs can act on and a text that people can.
//
// A room states what it found with New or Wrap; each level above adds only what it knows with fmt.Errorf and %w. Code finds the
// code again through any number of wrappers, and cmd/wf alone turns codes into exit status.
//
// Text that comes out of a file is hostile until it has passed through Quote, and a path until it has passed through Path: terminals obey escape bytes and logs obey newlines.
package fault

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuoted is how many bytes of a file's own text an error shows.
const maxQuoted = 64

// Error is a problem with a code, such as GGUF_TRUNCATED. The codes are listed in docs/errors.md.
type Error struct {
	code string
	text string
	err  error
}

// New makes an error whose text is format and args. The verb %w keeps the cause reachable.
func New(code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{code: code, text: err.Error(), err: errors.Unwrap(err)}
}

// Error returns the sentence; whoever prints it appends the code.
func (e *Error) Error() string { return e.text }

// Code returns the upper-case code.
func (e *Error) Code() string { return e.code }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.err }

// Code returns the code of the outermost coded error in err's tree, or "" if there is none.
func Code(err error) string {
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		return coded.Code()
	}
	return ""
}

// Printable reports whether text is UTF-8 without anything that a terminal or a log would obey, or could not show.
func Printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Path returns a path as an error shows it: its end if it is long, and in quotes, escaped, if it is not printable.
func Path(path string) string {
	const most = 60 // room for two quotes and a sentence in 300 bytes
	if cut := len(path) - most; cut > 0 {
		for cut < len(path) && !utf8.RuneStart(path[cut]) {
			cut++
		}
		path = "..." + path[cut:]
	}
	if !Printable(path) {
		return Quote(path)
	}
	return path
}

// Quote returns text from a file in double quotes, escaped. What takes more than 64 bytes that way is cut, and its full length named.
func Quote(text string) string {
	quoted := strconv.QuoteToASCII(text[:min(len(text), maxQuoted)])
	if len(text) <= maxQuoted && len(quoted) <= maxQuoted+len(`""`) {
		return quoted
	}
	for cut := min(len(text), maxQuoted); len(quoted) > maxQuoted+len(`""`) || !utf8.ValidString(text[:cut]); {
		_, size := utf8.DecodeLastRuneInString(text[:cut])
		cut -= size
		quoted = strconv.QuoteToASCII(text[:cut])
		if size <= 1 && len(quoted) <= maxQuoted+len(`""`) {
			break // invalid bytes are shown as such
		}
	}
	return fmt.Sprintf("%s... (%d bytes)", quoted, len(text))
}
