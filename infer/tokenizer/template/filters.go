package template

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/wrinklefree/wf/gguf/fault"
)

// filters are what may stand behind a bar. A text filter takes any value as its text, as Jinja's do.
var filters = table(
	&builtin{name: "abs", run: func(_ *run, of value, _ []value, _ given) value {
		f, i, isInt, ok := number(of)
		switch {
		case !ok:
			fail("abs needs a number, found a %s", typeName(of))
		case isInt:
			return max(i, -i)
		}
		return math.Abs(f)
	}},
	&builtin{name: "capitalize", run: func(r *run, of value, _ []value, _ given) value { return r.capitalize(r.text(of)) }},
	&builtin{name: "count", run: func(r *run, of value, _ []value, _ given) value { return r.length(of) }},
	&builtin{name: "d", parameters: []string{"default_value", "boolean"}, run: defaultFilter},
	&builtin{name: "default", parameters: []string{"default_value", "boolean"}, run: defaultFilter},
	&builtin{name: "dictsort", parameters: []string{"case_sensitive", "by", "reverse"}, run: dictsort},
	&builtin{name: "first", run: func(r *run, of value, _ []value, _ given) value { return r.edge(of, 0) }},
	&builtin{name: "float", parameters: []string{"default"}, run: toFloat},
	&builtin{name: "indent", parameters: []string{"width", "first", "blank"}, run: indent},
	&builtin{name: "int", parameters: []string{"default"}, run: toInt},
	&builtin{name: "items", run: func(r *run, of value, _ []value, _ given) value {
		switch of := of.(type) {
		case *dict:
			return r.pairs(of)
		case undefined:
			return &list{}
		}
		fail("a %s has no items", typeName(of))
		return nil
	}},
	&builtin{name: "join", parameters: []string{"d", "attribute"}, run: func(r *run, of value, args []value, _ given) value {
		items := r.items(of)
		if !isMissing(args[1]) {
			items = r.each(items, func(v value) value { return r.path(v, args[1]) })
		}
		return r.join(textArg(args[0], ""), items)
	}},
	&builtin{name: "last", run: func(r *run, of value, _ []value, _ given) value { return r.edge(of, -1) }},
	&builtin{name: "length", run: func(r *run, of value, _ []value, _ given) value { return r.length(of) }},
	&builtin{name: "list", run: func(r *run, of value, _ []value, _ given) value { return &list{r.items(of)} }},
	&builtin{name: "lower", run: func(r *run, of value, _ []value, _ given) value { return r.recase(r.text(of), strings.ToLower) }},
	&builtin{name: "map", rest: true, run: mapFilter},
	&builtin{name: "reject", rest: true, run: selector(false, false)},
	&builtin{name: "rejectattr", rest: true, run: selector(false, true)},
	&builtin{name: "replace", parameters: []string{"old", "new", "count"}, required: 2, run: func(r *run, of value, args []value, _ given) value {
		return r.replace(r.text(of), r.text(args[0]), r.text(args[1]), intArg(args[2], -1))
	}},
	&builtin{name: "reverse", run: func(r *run, of value, _ []value, _ given) value {
		return r.slice(of, [3]value{2: int64(-1)})
	}},
	&builtin{name: "round", parameters: []string{"precision", "method"}, run: round},
	&builtin{name: "safe", run: func(r *run, of value, _ []value, _ given) value { return r.text(of) }},
	&builtin{name: "select", rest: true, run: selector(true, false)},
	&builtin{name: "selectattr", rest: true, run: selector(true, true)},
	&builtin{name: "sort", parameters: []string{"reverse", "case_sensitive", "attribute"}, run: sortFilter},
	&builtin{name: "string", run: func(r *run, of value, _ []value, _ given) value { return r.text(of) }},
	&builtin{name: "title", run: func(r *run, of value, _ []value, _ given) value {
		return r.titled(r.text(of), func(before rune) bool { return isSpace(before) || strings.ContainsRune("-({[<", before) })
	}},
	&builtin{name: "tojson", parameters: []string{"ensure_ascii", "indent"}, run: func(r *run, of value, args []value, _ given) value {
		if truthArg(args[0], false) {
			fail("tojson with ensure_ascii is not supported")
		}
		w := writer{r: r}
		w.json(of, int(min(intArg(args[1], -1), 16)), 0, maxNested)
		return w.text()
	}},
	&builtin{name: "trim", parameters: []string{"chars"}, run: func(r *run, of value, args []value, _ given) value {
		return r.trim(r.text(of), args[0], true, true)
	}},
	&builtin{name: "upper", run: func(r *run, of value, _ []value, _ given) value { return r.recase(r.text(of), strings.ToUpper) }},
)

func defaultFilter(_ *run, of value, args []value, _ given) value {
	_, isUndefined := of.(undefined)
	if isUndefined || truthArg(args[1], false) && !truth(of) {
		if isMissing(args[0]) {
			return Text{}
		}
		return args[0]
	}
	return of
}

// edge is the first (0) or last (-1) item.
func (r *run) edge(v value, i int64) value {
	switch v := v.(type) {
	case *dict:
		return r.at(&list{r.items(v)}, i)
	case undefined:
		return v
	case *list, Text:
		return r.at(v, i)
	}
	fail("a %s has no items", typeName(v))
	return nil
}

// pairs are the entries of a dict, each a list of key and value.
func (r *run) pairs(d *dict) *list {
	r.step(len(d.entries))
	l := &list{}
	for _, e := range d.entries {
		l.items = append(l.items, &list{[]value{e.key, e.value}})
	}
	return l
}

// each makes a list by calling f for each item.
func (r *run) each(items []value, f func(value) value) []value {
	made := make([]value, 0, len(items))
	for _, item := range items {
		r.step(1)
		made = append(made, f(item))
	}
	return made
}

// path follows the attributes a.b.c that are written as a text, or takes the item of a number.
func (r *run) path(v, path value) value {
	t, ok := path.(Text)
	if !ok {
		return r.index(v, path)
	}
	for part := range strings.SplitSeq(t.String, ".") {
		var key value
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			key = n
		} else {
			key = trusted(part)
		}
		r.step(1)
		v = r.index(v, key)
	}
	return v
}

// mapFilter is map("filter", arguments...) or map(attribute="a.b", default=x).
func mapFilter(r *run, of value, _ []value, all given) value {
	if path, ok := all.named["attribute"]; ok {
		byDefault, hasDefault := all.named["default"]
		return &list{r.each(r.items(of), func(v value) value {
			found := r.path(v, path)
			if _, isUndefined := found.(undefined); isUndefined && hasDefault {
				return byDefault
			}
			return found
		})}
	}
	if len(all.positional) == 0 {
		fail("map needs the name of a filter, or attribute")
	}
	filter := r.look(r.filters, textArg(all.positional[0], "").String, "filter")
	return &list{r.each(r.items(of), func(v value) value { return filter.call(r, v, all.without(1)) })}
}

// without is a copy of the arguments, so that a builtin may take them, without the first n.
func (a given) without(n int) given {
	rest := given{positional: a.positional[n:]}
	for key, v := range a.named {
		if rest.named == nil {
			rest.named = map[string]value{}
		}
		rest.named[key] = v
	}
	return rest
}

// look finds a builtin whose name the template computes.
func (r *run) look(in map[string]*builtin, name, what string) *builtin {
	r.touch(len(name))
	if name == "attr" {
		throw("TEMPLATE_FORBIDDEN", "the filter attr reaches attributes by computed names")
	}
	b, ok := in[name]
	if !ok {
		fail("there is no %s %s", what, fault.Quote(name))
	}
	return b
}

// selector makes select, reject, selectattr and rejectattr: the items that pass (or fail) a test, or whose attribute does.
func selector(keep, byAttribute bool) func(*run, value, []value, given) value {
	return func(r *run, of value, _ []value, all given) value {
		subject := func(v value) value { return v }
		if byAttribute {
			if len(all.positional) == 0 {
				fail("wanted the name of an attribute")
			}
			path := all.positional[0]
			all = all.without(1)
			subject = func(v value) value { return r.path(v, path) }
		}
		passes := truth
		if len(all.positional) > 0 {
			test := r.look(tests, textArg(all.positional[0], "").String, "test")
			passes = func(v value) bool { return truth(test.call(r, v, all.without(1))) }
		}
		kept := &list{}
		for _, item := range r.items(of) {
			r.step(1)
			if passes(subject(item)) == keep {
				kept.items = append(kept.items, item)
			}
		}
		return kept
	}
}

// sorted sorts items by a key, texts without regard to case unless caseSensitive.
func (r *run) sorted(items []value, key func(value) value, caseSensitive, reverse bool) *list {
	r.step(len(items))
	keyOf := func(v value) value {
		v = key(v)
		if t, ok := v.(Text); ok && !caseSensitive {
			return r.recase(t, strings.ToLower)
		}
		return v
	}
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b value) int {
		r.step(1)
		if reverse {
			return r.compare(keyOf(b), keyOf(a))
		}
		return r.compare(keyOf(a), keyOf(b))
	})
	return &list{items}
}

func sortFilter(r *run, of value, args []value, _ given) value {
	key := func(v value) value { return v }
	if !isMissing(args[2]) && args[2] != nil {
		key = func(v value) value { return r.path(v, args[2]) }
	}
	return r.sorted(r.items(of), key, truthArg(args[1], false), truthArg(args[0], false))
}

func dictsort(r *run, of value, args []value, _ given) value {
	d, ok := of.(*dict)
	if !ok {
		fail("dictsort needs a dict, found a %s", typeName(of))
	}
	by := 0
	switch name := textArg(args[1], "key").String; name {
	case "key":
	case "value":
		by = 1
	default:
		fail("dictsort sorts by key or value, not by %s", fault.Quote(name))
	}
	return r.sorted(r.pairs(d).items, func(v value) value { return v.(*list).items[by] }, truthArg(args[0], false), truthArg(args[2], false))
}

// toInt is a number without its fraction; a text that is none gives the default.
func toInt(r *run, of value, args []value, _ given) value {
	f, i, isInt, ok := number(of)
	if t, isText := of.(Text); isText {
		r.touchText(t)
		s := strings.TrimFunc(t.String, isSpace)
		var err error
		if i, err = strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		f, err = strconv.ParseFloat(s, 64)
		ok = err == nil
	}
	switch {
	case isInt:
		return i
	case ok && math.Abs(f) < 1<<63:
		return int64(f)
	}
	return numberDefault(args[0], int64(0))
}

func toFloat(r *run, of value, args []value, _ given) value {
	f, _, _, ok := number(of)
	if t, isText := of.(Text); isText {
		r.touchText(t)
		var err error
		f, err = strconv.ParseFloat(strings.TrimFunc(t.String, isSpace), 64)
		ok = err == nil
	}
	if ok {
		return f
	}
	return numberDefault(args[0], 0.0)
}

func numberDefault(v, byDefault value) value {
	if isMissing(v) {
		return byDefault
	}
	return v
}

func round(_ *run, of value, args []value, _ given) value {
	f, i, isInt, ok := number(of)
	switch {
	case !ok:
		fail("round needs a number, found a %s", typeName(of))
	case isInt:
		return i
	}
	scale := math.Pow(10, float64(max(-300, min(intArg(args[0], 0), 300))))
	switch method := textArg(args[1], "common").String; method {
	case "common":
		return math.RoundToEven(f*scale) / scale
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	default:
		fail("round knows common, ceil and floor, not %s", fault.Quote(method))
		return nil
	}
}

// indent puts a margin before each line but the first (unless first) and the empty ones (unless blank).
func indent(r *run, of value, args []value, _ given) value {
	margin, ok := args[0].(Text)
	if !ok {
		margin = r.repeat(trusted(" "), intArg(args[0], 4))
	}
	t := r.text(of)
	var b builder
	for at := 0; at < len(t.String); {
		end := strings.IndexByte(t.String[at:], '\n') + 1
		if end += at; end == at {
			end = len(t.String)
		}
		r.step(1)
		line := t.slice(at, end)
		if (at > 0 || truthArg(args[1], false)) && (line.String != "\n" || truthArg(args[2], false)) {
			r.touchText(margin)
			b.add(margin)
		}
		r.touchText(line)
		b.add(line)
		at = end
	}
	return b.text()
}

// Operations on texts that filters and methods share.

// trim cuts characters off either end: those of chars or, if it is missing or None, whitespace.
func (r *run) trim(t Text, chars value, left, right bool) Text {
	r.touchText(t)
	in := isSpace
	if !isMissing(chars) && chars != nil {
		set := textArg(chars, "").String
		r.touch(len(t.String) / 8 * len(set))
		in = func(c rune) bool { return strings.ContainsRune(set, c) }
	}
	start, end := 0, len(t.String)
	if left {
		start = end - len(strings.TrimLeftFunc(t.String, in))
	}
	if right {
		end = start + len(strings.TrimRightFunc(t.String[start:], in))
	}
	return t.slice(start, end)
}

// replace replaces the first n places (all if n < 0) where old stands.
func (r *run) replace(t, old, with Text, n int64) Text {
	r.touchText(t)
	var b builder
	at := 0
	for first := true; n != 0; n, first = n-1, false {
		found := strings.Index(t.String[at:], old.String)
		if old.String == "" && !first { // it stands before, between and behind all characters
			if at == len(t.String) {
				break
			}
			found = runeOffset(t.String[at:], 1)
		}
		if found < 0 {
			break
		}
		r.touchText(with)
		r.touch(32)
		b.add(t.slice(at, at+found))
		b.add(with)
		at += found + len(old.String)
	}
	b.add(t.slice(at, len(t.String)))
	return b.text()
}

// recase changes letters, so that offsets of taint are lost.
func (r *run) recase(t Text, to func(string) string) Text {
	r.touch(8 * len(t.String))
	return derived(to(t.String), t)
}

func (r *run) capitalize(t Text) Text {
	return r.recase(t, func(s string) string {
		first := runeOffset(s, 1)
		return strings.ToTitle(s[:first]) + strings.ToLower(s[first:])
	})
}

// titled makes the first letter of each word upper case and the others lower. startsWord tells whether a word begins behind a character.
func (r *run) titled(t Text, startsWord func(before rune) bool) Text {
	return r.recase(t, func(s string) string {
		before := ' '
		return strings.Map(func(c rune) rune {
			defer func() { before = c }()
			if startsWord(before) {
				return unicode.ToTitle(c)
			}
			return unicode.ToLower(c)
		}, s)
	})
}
