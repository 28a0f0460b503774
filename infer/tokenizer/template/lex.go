package template

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

type kind uint8

const (
	data       kind = iota // text outside of tags
	tagBegin               // {%
	tagEnd                 // %}
	printBegin             // {{
	printEnd               // }}
	name
	str
	integer
	float
	operator
	end // of the template
)

// token is a piece of a template. text is the data, the name, the string without quotes and escapes, the digits, or the operator.
type token struct {
	kind kind
	text string
	line int
}

// what describes a token to a person.
func (t token) what() string {
	switch t.kind {
	case tagBegin, printBegin:
		return "the begin of a tag"
	case tagEnd, printEnd:
		return "the end of the tag"
	case end:
		return "the end of the template"
	}
	return fault.Quote(t.text)
}

// lexer cuts a template into tokens.
type lexer struct {
	source string
	at     int
	line   int
	tokens []token
}

func lex(source string) []token {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{source: strings.TrimSuffix(source, "\n"), line: 1}
	lineStart := true // the text begins at the beginning of a line, as far as lstrip_blocks is concerned
	for l.at < len(l.source) {
		rest := l.source[l.at:]
		open := -1
		for i := 0; i+1 < len(rest) && open < 0; i++ {
			if rest[i] == '{' && (rest[i+1] == '{' || rest[i+1] == '%' || rest[i+1] == '#') {
				open = i
			}
		}
		if open < 0 {
			l.emit(data, rest)
			break
		}
		text, opener := rest[:open], rest[open+1]
		line := l.line + strings.Count(text, "\n")
		l.at += open + 2
		switch sign := l.sign(); {
		case sign == '-':
			text = strings.TrimRightFunc(text, isSpace)
		case sign != '+' && opener != '{':
			if start := strings.LastIndexByte(text, '\n') + 1; (start > 0 || lineStart) && strings.TrimLeftFunc(text[start:], isSpace) == "" {
				text = text[:start]
			}
		}
		if text != "" {
			l.emit(data, text)
		}
		l.line = line
		switch opener {
		case '#':
			lineStart = l.comment()
		case '%':
			l.emit(tagBegin, "")
			lineStart = l.inside(tagEnd, "%}")
		case '{':
			l.emit(printBegin, "")
			lineStart = l.inside(printEnd, "}}")
		}
	}
	l.emit(end, "")
	return l.tokens
}

func (l *lexer) emit(k kind, text string) {
	l.tokens = append(l.tokens, token{k, text, l.line})
}

func (l *lexer) fail(format string, args ...any) {
	throw("TEMPLATE_INVALID", "line %d: "+format, append([]any{l.line}, args...)...)
}

// sign takes the + or - behind the begin of a tag.
func (l *lexer) sign() byte {
	if l.at < len(l.source) && (l.source[l.at] == '-' || l.source[l.at] == '+') {
		l.at++
		return l.source[l.at-1]
	}
	return 0
}

// closes takes the end of a tag with what belongs to it: a sign, and the whitespace or the line feed that it swallows. lineStart tells
// whether a line feed was the last of it.
func (l *lexer) closes(closer string) (ok, lineStart bool) {
	rest := l.source[l.at:]
	n := len(closer)
	switch {
	case strings.HasPrefix(rest, closer):
		if closer != "}}" && strings.HasPrefix(rest[n:], "\n") { // trim_blocks
			n++
		}
	case strings.HasPrefix(rest, "-"+closer):
		n = len(rest) - len(strings.TrimLeftFunc(rest[n+1:], isSpace))
	case strings.HasPrefix(rest, "+"+closer) && closer != "}}":
		n++
	default:
		return false, false
	}
	l.line += strings.Count(rest[:n], "\n")
	l.at += n
	return true, rest[n-1] == '\n'
}

func (l *lexer) comment() (lineStart bool) {
	for l.at < len(l.source) {
		if ok, lineStart := l.closes("#}"); ok {
			return lineStart
		}
		if l.source[l.at] == '\n' {
			l.line++
		}
		l.at++
	}
	l.fail("a comment does not end; add #}")
	return false
}

// operators, each before those that it begins with.
var operators = []string{
	"//", "**", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",",
}

// inside takes what stands in a tag, and its end.
func (l *lexer) inside(endKind kind, closer string) (lineStart bool) {
	var brackets []byte
	for {
		rest := strings.TrimLeftFunc(l.source[l.at:], isSpace)
		skipped := l.source[l.at : len(l.source)-len(rest)]
		l.line += strings.Count(skipped, "\n")
		l.at += len(skipped)
		if rest == "" {
			l.fail("a tag does not end; add %s", closer)
		}
		if len(brackets) == 0 {
			line := l.line
			if ok, lineStart := l.closes(closer); ok {
				l.tokens = append(l.tokens, token{endKind, "", line})
				return lineStart
			}
		}
		switch c := rest[0]; {
		case c >= '0' && c <= '9':
			l.number(rest)
		case c == '\'' || c == '"':
			l.str(rest)
		case isNameStart(rest):
			n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			if n < 0 {
				n = len(rest)
			}
			l.emit(name, rest[:n])
			l.at += n
		default:
			op := ""
			for _, o := range operators {
				if strings.HasPrefix(rest, o) {
					op = o
					break
				}
			}
			switch op {
			case "":
				r, _ := utf8.DecodeRuneInString(rest)
				l.fail("the character %s has no meaning in a tag", fault.Quote(string(r)))
			case "(", "[", "{":
				brackets = append(brackets, op[0])
			case ")", "]", "}":
				last := len(brackets) - 1
				if last < 0 || strings.IndexByte("([{", brackets[last]) != strings.IndexByte(")]}", op[0]) {
					l.fail("%s closes nothing", fault.Quote(op))
				}
				brackets = brackets[:last]
			}
			l.emit(operator, op)
			l.at += len(op)
		}
	}
}

func isNameStart(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || unicode.IsLetter(r)
}

// number takes 12, 1_000, 1.5 or 1e9.
func (l *lexer) number(rest string) {
	digits := func(from int) int {
		for from < len(rest) && (rest[from] >= '0' && rest[from] <= '9' || rest[from] == '_') {
			from++
		}
		return from
	}
	n, k := digits(0), integer
	if last := l.tokens[len(l.tokens)-1]; last.kind == operator && last.text == "." { // list.0.1
		l.emit(integer, rest[:n])
		l.at += n
		return
	}
	if n+1 < len(rest) && rest[n] == '.' && digits(n+1) > n+1 {
		n, k = digits(n+1), float
	}
	if n < len(rest) && rest[n]|0x20 == 'e' {
		from := n + 1
		if from < len(rest) && (rest[from] == '+' || rest[from] == '-') {
			from++
		}
		if to := digits(from); to > from {
			n, k = to, float
		}
	}
	l.emit(k, strings.ReplaceAll(rest[:n], "_", ""))
	l.at += n
}

// str takes a string in either kind of quotes, with Python's escapes.
func (l *lexer) str(rest string) {
	var text []byte
	for i := 1; i < len(rest); {
		switch c := rest[i]; c {
		case rest[0]:
			l.emit(str, string(text))
			l.line += strings.Count(rest[:i], "\n")
			l.at += i + 1
			return
		case '\\':
			var n int
			text, n = l.escape(text, rest[i+1:])
			i += 1 + n
		default:
			text = append(text, c)
			i++
		}
	}
	l.fail("a string does not end; add %s", rest[:1])
}

var escapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// escape appends what the escape behind a backslash means, and returns how many bytes of rest it took. An escape that Python does not
// know is a backslash.
func (l *lexer) escape(text []byte, rest string) ([]byte, int) {
	if rest == "" {
		return text, 0
	}
	if s, ok := escapes[rest[0]]; ok {
		return append(text, s...), 1
	}
	if rest[0] >= '0' && rest[0] <= '7' {
		n := 1
		for n < 3 && n < len(rest) && rest[n] >= '0' && rest[n] <= '7' {
			n++
		}
		r, _ := strconv.ParseUint(rest[:n], 8, 16)
		return utf8.AppendRune(text, rune(r)), n
	}
	if width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[0]]; width > 0 {
		if len(rest) > width {
			if r, err := strconv.ParseUint(rest[1:1+width], 16, 32); err == nil && r <= unicode.MaxRune {
				return utf8.AppendRune(text, rune(r)), 1 + width
			}
		}
		l.fail("the escape \\%c needs %d hexadecimal digits of a character", rest[0], width)
	}
	return append(text, '\\'), 0
}

// isSpace is Python's str.isspace for one character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
