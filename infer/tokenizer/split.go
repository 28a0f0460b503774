package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A cut returns the length in bytes of the first piece of a text that is not empty. What a pattern of the file's tokenizer would match
// is a piece, and so is the gap between two matches.
//
// The patterns look ahead (`\s+(?!\S)`: a run of whitespace without its last character, or all of it at the end of the text), which
// Go's regexp cannot, and a file's own pattern may be built to never end. So each known pattern is a function here, and a name that is
// not known is an error. All cuts are linear in the text. An invalid byte is a character that is neither letter, number nor space.
type cut func(text string) int

// splitter is what a value of tokenizer.ggml.pre means.
type splitter struct {
	cuts        []cut // applied in turn, each to the pieces of the one before
	llamaFamily bool  // llama.cpp turns on ignore_merges and, unless the file says otherwise, add_bos_token
}

var llama = splitter{[]cut{cutLlama}, true}

var splitters = map[string]splitter{
	"default":   {cuts: []cut{cutPunctuation, cutGPT2, cutNumbers, cutThreeDigits}},
	"gpt-2":     {cuts: []cut{cutGPT2}},
	"falcon":    {cuts: []cut{cutSigns, cutGPT2, cutNumberBytes, cutThreeDigits}},
	"smollm":    {cuts: []cut{cutNumber, cutGPT2}},
	"qwen2":     {cuts: []cut{cutQwen2}},
	"llama-bpe": llama,
	"llama3":    llama,
	"llama-v3":  llama,
	"falcon3":   llama,
	"falcon-h1": llama,
	"pixtral":   llama,
}

// split calls piece for each piece of text, in order.
func split(cuts []cut, text string, piece func(string)) {
	for len(text) > 0 {
		n := cuts[0](text)
		if len(cuts) == 1 {
			piece(text[:n])
		} else {
			split(cuts[1:], text[:n], piece)
		}
		text = text[n:]
	}
}

// class is what the patterns tell characters apart by: \p{L}, \p{N}, \s, and the rest.
type class uint8

const (
	other class = iota
	letter
	number
	space
)

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		return asciiClass[r]
	case unicode.IsLetter(r):
		return letter
	case unicode.Is(unicode.N, r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

var asciiClass = func() (table [utf8.RuneSelf]class) {
	for r := range table {
		switch {
		case unicode.IsLetter(rune(r)):
			table[r] = letter
		case unicode.IsDigit(rune(r)):
			table[r] = number
		case unicode.IsSpace(rune(r)):
			table[r] = space
		}
	}
	return table
}()

// first returns the class and the size of the first character of text; size is 0 at the end.
func first(text string) (class, int) {
	if len(text) == 0 {
		return other, 0
	}
	r, size := utf8.DecodeRuneInString(text)
	return classOf(r), size
}

// run returns the length of the run of class c that text begins with.
func run(text string, c class) int {
	n := 0
	for {
		found, size := first(text[n:])
		if size == 0 || found != c {
			return n
		}
		n += size
	}
}

// runWhile returns the length of the longest prefix of text whose characters all satisfy ok or, if there is none, of the longest whose
// characters do not: the cut of a pattern like `\p{N}+`.
func runWhile(text string, ok func(rune) bool) int {
	r, n := utf8.DecodeRuneInString(text)
	want := ok(r)
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if ok(r) != want {
			break
		}
		n += size
	}
	return n
}

func isNumber(r rune) bool { return classOf(r) == number }

// cutNumbers is `\p{N}+`.
func cutNumbers(text string) int { return runWhile(text, isNumber) }

// cutNumber is `\p{N}`.
func cutNumber(text string) int {
	if c, size := first(text); c == number {
		return size
	}
	return runWhile(text, isNumber)
}

// cutPunctuation is `[\p{P}\$\+<=>\^~\|]+`.
func cutPunctuation(text string) int {
	return runWhile(text, func(r rune) bool { return unicode.Is(unicode.P, r) || strings.ContainsRune("$+<=>^~|", r) })
}

// cutSigns is Punctuation(Contiguous) of huggingface/tokenizers.
func cutSigns(text string) int {
	return runWhile(text, func(r rune) bool { return unicode.Is(unicode.P, r) || strings.ContainsRune("$+<=>^`~|", r) })
}

// cutNumberBytes is Digits of huggingface/tokenizers as Falcon has it, behind ByteLevel: it sees letters of the byte-level alphabet, six of which
// are numbers and stand for bytes inside of characters (the second of U+043C, say).
func cutNumberBytes(text string) int {
	isNumber := func(b byte) bool { return unicode.Is(unicode.N, letterOf[b]) }
	n := 1
	for n < len(text) && isNumber(text[n]) == isNumber(text[0]) {
		n++
	}
	return n
}

// cutThreeDigits is `[0-9][0-9][0-9]`.
func cutThreeDigits(text string) int {
	digits := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			digits = 0
			continue
		}
		if digits++; digits == 3 {
			if i == 2 {
				return 3
			}
			return i - 2
		}
	}
	return len(text)
}

// cutGPT2 is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`.
func cutGPT2(text string) int {
	for _, suffix := range [...]string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(text, suffix) {
			return len(suffix)
		}
	}
	lead := 0
	if text[0] == ' ' {
		lead = 1
	}
	if c, size := first(text[lead:]); size > 0 && c != space {
		return lead + run(text[lead:], c)
	}
	return cutSpace(text)
}

// cutSpace is `\s+(?!\S)`, and a single whitespace character where that fails.
func cutSpace(text string) int {
	n := run(text, space)
	if n == len(text) {
		return n
	}
	_, last := utf8.DecodeLastRuneInString(text[:n])
	if n == last {
		return n
	}
	return n - last
}

// cutLlama is
//
//	(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func cutLlama(text string) int { return cutTiktoken(text, 3) }

// cutQwen2 is cutLlama with one number at a time.
func cutQwen2(text string) int { return cutTiktoken(text, 1) }

func cutTiktoken(text string, numbers int) int {
	if n := contraction(text); n > 0 {
		return n
	}
	c, size := first(text)
	if c == letter {
		return run(text, letter)
	}
	if c == number {
		n := size
		for range numbers - 1 {
			next, size := first(text[n:])
			if next != number {
				break
			}
			n += size
		}
		return n
	}
	if text[0] != '\r' && text[0] != '\n' {
		if n := run(text[size:], letter); n > 0 {
			return size + n
		}
	}
	lead := 0
	if text[0] == ' ' {
		lead = 1
	}
	if n := run(text[lead:], other); n > 0 {
		n += lead
		for n < len(text) && (text[n] == '\r' || text[n] == '\n') {
			n++
		}
		return n
	}
	if n := strings.LastIndexAny(text[:run(text, space)], "\r\n"); n >= 0 {
		return n + 1
	}
	return cutSpace(text)
}

// contraction returns the length of an English contraction that text begins with, or 0.
func contraction(text string) int {
	if text[0] != '\'' || len(text) < 2 {
		return 0
	}
	switch text[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(text) >= 3 {
		switch pair := [2]byte{text[1] | 0x20, text[2] | 0x20}; pair {
		case [2]byte{'r', 'e'}, [2]byte{'v', 'e'}, [2]byte{'l', 'l'}:
			return 3
		}
	}
	return 0
}
