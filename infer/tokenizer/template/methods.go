package template

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

// method finds what stands behind the dot of a text or a dict. Nothing else has methods, and none changes its value.
func method(v value, name string) (callable, bool) {
	var methods map[string]*builtin
	switch v.(type) {
	case Text:
		methods = textMethods
	case *dict:
		methods = dictMethods
	}
	if b, ok := methods[name]; ok {
		return b.bind(v), true
	}
	return nil, false
}

// ofText makes a method of a text.
func ofText(name string, required int, parameters []string, f func(r *run, t Text, args []value) value) *builtin {
	return &builtin{name: name, parameters: parameters, required: required, run: func(r *run, of value, args []value, _ given) value {
		t := of.(Text)
		r.touchText(t)
		return f(r, t, args)
	}}
}

var textMethods = table(
	ofText("capitalize", 0, nil, func(r *run, t Text, _ []value) value { return r.capitalize(t) }),
	ofText("count", 1, []string{"sub"}, func(_ *run, t Text, args []value) value {
		return int64(strings.Count(t.String, textArg(args[0], "").String))
	}),
	ofText("endswith", 1, []string{"suffix"}, func(r *run, t Text, args []value) value {
		for _, suffix := range r.texts(args[0]) {
			if strings.HasSuffix(t.String, suffix.String) {
				return true
			}
		}
		return false
	}),
	ofText("find", 1, []string{"sub"}, func(r *run, t Text, args []value) value {
		return runeIndex(t.String, strings.Index(t.String, textArg(args[0], "").String))
	}),
	ofText("isdigit", 0, nil, func(_ *run, t Text, _ []value) value {
		return t.String != "" && strings.IndexFunc(t.String, func(c rune) bool { return !unicode.IsDigit(c) }) < 0
	}),
	ofText("join", 1, []string{"iterable"}, func(r *run, t Text, args []value) value { return r.join(t, r.items(args[0])) }),
	ofText("lower", 0, nil, func(r *run, t Text, _ []value) value { return r.recase(t, strings.ToLower) }),
	ofText("lstrip", 0, []string{"chars"}, func(r *run, t Text, args []value) value { return r.trim(t, args[0], true, false) }),
	ofText("removeprefix", 1, []string{"prefix"}, func(_ *run, t Text, args []value) value {
		return t.slice(len(t.String)-len(strings.TrimPrefix(t.String, textArg(args[0], "").String)), len(t.String))
	}),
	ofText("removesuffix", 1, []string{"suffix"}, func(_ *run, t Text, args []value) value {
		return t.slice(0, len(strings.TrimSuffix(t.String, textArg(args[0], "").String)))
	}),
	ofText("replace", 2, []string{"old", "new", "count"}, func(r *run, t Text, args []value) value {
		return r.replace(t, textArg(args[0], ""), textArg(args[1], ""), intArg(args[2], -1))
	}),
	ofText("rfind", 1, []string{"sub"}, func(r *run, t Text, args []value) value {
		return runeIndex(t.String, strings.LastIndex(t.String, textArg(args[0], "").String))
	}),
	ofText("rsplit", 0, []string{"sep", "maxsplit"}, func(r *run, t Text, args []value) value {
		return r.splitLast(t, args[0], intArg(args[1], -1))
	}),
	ofText("rstrip", 0, []string{"chars"}, func(r *run, t Text, args []value) value { return r.trim(t, args[0], false, true) }),
	ofText("split", 0, []string{"sep", "maxsplit"}, func(r *run, t Text, args []value) value {
		return r.split(t, args[0], intArg(args[1], -1))
	}),
	ofText("splitlines", 0, nil, func(r *run, t Text, _ []value) value { return r.lines(t) }),
	ofText("startswith", 1, []string{"prefix"}, func(r *run, t Text, args []value) value {
		for _, prefix := range r.texts(args[0]) {
			if strings.HasPrefix(t.String, prefix.String) {
				return true
			}
		}
		return false
	}),
	ofText("strip", 0, []string{"chars"}, func(r *run, t Text, args []value) value { return r.trim(t, args[0], true, true) }),
	ofText("title", 0, nil, func(r *run, t Text, _ []value) value {
		return r.titled(t, func(before rune) bool { return !unicode.IsLetter(before) })
	}),
	ofText("upper", 0, nil, func(r *run, t Text, _ []value) value { return r.recase(t, strings.ToUpper) }),
)

// runeIndex turns an offset in bytes, or -1, into one in characters.
func runeIndex(s string, at int) value {
	if at < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:at]))
}

// split cuts a text at a separator or, if that is missing or None, at whitespace, at most n times if n >= 0.
func (r *run) split(t Text, separator value, n int64) *list {
	parts := &list{}
	add := func(start, end int) {
		r.step(1)
		parts.items = append(parts.items, t.slice(start, end))
	}
	at := 0
	if isMissing(separator) || separator == nil {
		for {
			rest := strings.TrimLeftFunc(t.String[at:], isSpace)
			at = len(t.String) - len(rest)
			end := strings.IndexFunc(rest, isSpace)
			switch {
			case rest == "":
				return parts
			case n == 0 || end < 0:
				add(at, len(t.String))
				return parts
			}
			add(at, at+end)
			at += end
			n--
		}
	}
	sep := textArg(separator, "").String
	if sep == "" {
		fail("split needs a separator that is not empty")
	}
	for ; n != 0; n-- {
		found := strings.Index(t.String[at:], sep)
		if found < 0 {
			break
		}
		add(at, at+found)
		at += found + len(sep)
	}
	add(at, len(t.String))
	return parts
}

// splitLast is split from the end, at most n times.
func (r *run) splitLast(t Text, separator value, n int64) *list {
	parts := r.split(t, separator, -1)
	extra := int64(len(parts.items)) - 1 - n
	if n < 0 || extra <= 0 {
		return parts
	}
	if isMissing(separator) || separator == nil {
		fail("rsplit with a limit needs a separator")
	}
	sep := textArg(separator, "")
	head := r.join(sep, parts.items[:extra+1])
	return &list{append([]value{t.slice(0, len(head.String))}, parts.items[extra+1:]...)}
}

// lines cuts a text into lines, without what ends them.
func (r *run) lines(t Text) *list {
	parts := &list{}
	for at := 0; at < len(t.String); {
		r.step(1)
		end := strings.IndexAny(t.String[at:], "\r\n")
		if end < 0 {
			end = len(t.String) - at
		}
		parts.items = append(parts.items, t.slice(at, at+end))
		at += end
		if strings.HasPrefix(t.String[at:], "\r\n") {
			at++
		}
		at++
	}
	return parts
}

var dictMethods = table(
	&builtin{name: "get", parameters: []string{"key", "default"}, required: 1, run: func(r *run, of value, args []value, _ given) value {
		if found, ok := of.(*dict).get(r, args[0]); ok {
			return found
		}
		if isMissing(args[1]) {
			return nil
		}
		return args[1]
	}},
	&builtin{name: "items", run: func(r *run, of value, _ []value, _ given) value { return r.pairs(of.(*dict)) }},
	&builtin{name: "keys", run: func(r *run, of value, _ []value, _ given) value { return &list{r.items(of)} }},
	&builtin{name: "values", run: func(r *run, of value, _ []value, _ given) value {
		d := of.(*dict)
		r.step(len(d.entries))
		l := &list{}
		for _, e := range d.entries {
			l.items = append(l.items, e.value)
		}
		return l
	}},
)

// functions are the names that every template knows.
var functions = table(
	&builtin{name: "dict", rest: true, run: func(r *run, _ value, _ []value, all given) value {
		d := &dict{}
		for _, v := range all.positional {
			from, ok := v.(*dict)
			if !ok {
				fail("dict takes a dict or named arguments, found a %s", typeName(v))
			}
			for _, e := range from.entries {
				d.set(r, e.key, e.value)
			}
		}
		for _, name := range all.order {
			d.set(r, trusted(name), all.named[name])
		}
		return d
	}},
	&builtin{name: "namespace", rest: true, run: func(_ *run, _ value, _ []value, all given) value {
		ns := &namespace{map[string]value{}}
		if len(all.positional) > 0 {
			fail("namespace takes named arguments only")
		}
		for name, v := range all.named {
			ns.vars[name] = v
		}
		return ns
	}},
	&builtin{name: "raise_exception", parameters: []string{"message"}, required: 1, run: func(r *run, _ value, args []value, _ given) value {
		fail("it refuses these messages: %s", fault.Quote(r.text(args[0]).String))
		return nil
	}},
	&builtin{name: "range", parameters: []string{"start", "stop", "step"}, required: 1, run: func(r *run, _ value, args []value, _ given) value {
		start, stop, step := int64(0), intArg(args[0], 0), intArg(args[2], 1)
		if !isMissing(args[1]) {
			start, stop = stop, intArg(args[1], 0)
		}
		if step == 0 {
			fail("the step of range cannot be 0")
		}
		l := &list{}
		for i := start; step > 0 && i < stop || step < 0 && i > stop; {
			r.step(1)
			l.items = append(l.items, i)
			next := i + step
			if (next > i) != (step > 0) { // beyond 64 bits
				break
			}
			i = next
		}
		return l
	}},
	&builtin{name: "strftime_now", parameters: []string{"format"}, required: 1, run: func(r *run, _ value, args []value, _ given) value {
		return r.strftime(textArg(args[0], ""))
	}},
)

// layouts are the directives of strftime in the C locale, as Go writes them.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'd': "02", 'e': "_2", 'j': "002", 'b': "Jan", 'B': "January", 'm': "01", 'y': "06", 'Y': "2006",
	'H': "15", 'I': "03", 'M': "04", 'p': "PM", 'S': "05", 'D': "01/02/06", 'F': "2006-01-02", 'T': "15:04:05", 'z': "-0700", 'Z': "MST",
}

func (r *run) strftime(format Text) Text {
	r.touch(8 * len(format.String))
	var b []byte
	for s := format.String; s != ""; {
		n, bare := 1, false
		if s[0] != '%' || len(s) == 1 {
			b = append(b, s[0])
			s = s[1:]
			continue
		}
		if s[1] == '-' && len(s) > 2 { // without zeros or blanks before
			n, bare = 2, true
		}
		layout, ok := layouts[s[n]]
		switch {
		case s[n] == '%':
			b = append(b, '%')
		case !ok:
			fail("strftime_now does not know %s", fault.Quote(s[:n+1]))
		default:
			text := r.now.Format(layout)
			if bare {
				if text = strings.TrimLeft(text, "0 "); text == "" {
					text = "0"
				}
			}
			b = append(b, text...)
		}
		s = s[n+1:]
		r.step(1)
	}
	return derived(string(b), format)
}
