package quant

import (
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Word is one option that changes bytes, as wf.options records it: the flag that a person would type. Writing and reading share the entry, so
// that what a file records can be replayed. O is the room's Options.
type Word[O any] struct {
	Flag   string
	Attach string                 // what stands between flag and value: " ", "=", or "" for a flag without a value
	Get    func(*O) []string      // a value for each time the flag is given; nil: it is not
	Set    func(*O, string) error // takes one value; after an error the options are unchanged
}

// TextWord is an option whose value is a name, of which case does not matter; "" means that it was not given.
func TextWord[O any](flag string, at func(*O) *string) Word[O] {
	return Word[O]{flag, " ", func(o *O) []string {
		if *at(o) == "" {
			return nil
		}
		return []string{strings.ToLower(*at(o))}
	}, func(o *O, value string) error { *at(o) = value; return nil }}
}

// SwitchWord is a flag without a value.
func SwitchWord[O any](flag string, at func(*O) *bool) Word[O] {
	return Word[O]{flag, "", func(o *O) []string {
		if !*at(o) {
			return nil
		}
		return []string{""}
	}, func(o *O, _ string) error { *at(o) = true; return nil }}
}

// ListWord is an option that can be given any number of times.
func ListWord[O any](flag string, at func(*O) *[]string) Word[O] {
	return Word[O]{flag, " ", func(o *O) []string { return *at(o) },
		func(o *O, value string) error { *at(o) = append(*at(o), value); return nil }}
}

// Record lists the options that were given, in the order of the words.
func Record[O any](words []Word[O], o *O) string {
	var flags []string
	for _, w := range words {
		for _, value := range w.Get(o) {
			if strings.ContainsAny(value, " \"") {
				value = strconv.Quote(value)
			}
			flags = append(flags, w.Flag+w.Attach+value)
		}
	}
	return strings.Join(flags, " ")
}

// Recall is the inverse of Record. What it does not understand completely is RECEIPT_UNKNOWN: a replay with other options would prove nothing.
func Recall[O any](words []Word[O], text string) (*O, error) {
	o := new(O)
	rest := text
	for rest != "" {
		tail, ok := recallOne(words, o, rest)
		if !ok {
			break
		}
		rest = tail
	}
	if rest != "" || Record(words, o) != text {
		return nil, fault.New("RECEIPT_UNKNOWN",
			"the options that the file records, %s, are not ones that this release writes, so they cannot be replayed", fault.Quote(text))
	}
	return o, nil
}

// recallOne takes the first option off a text.
func recallOne[O any](words []Word[O], o *O, text string) (rest string, ok bool) {
	for _, w := range words {
		tail, ok := strings.CutPrefix(text, w.Flag+w.Attach)
		if !ok || w.Attach == "" && tail != "" && tail[0] != ' ' {
			continue
		}
		value := ""
		if quoted, err := strconv.QuotedPrefix(tail); w.Attach != "" && err == nil {
			value, _ = strconv.Unquote(quoted)
			tail = tail[len(quoted):]
		} else if w.Attach != "" {
			end := strings.IndexByte(tail+" ", ' ')
			value, tail = tail[:end], tail[end:]
		}
		if w.Set(o, value) == nil {
			return strings.TrimPrefix(tail, " "), true
		}
	}
	return text, false
}
