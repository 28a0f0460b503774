package template

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

// value is what an expression gives: undefined, nil (None), bool, int64, float64, Text, *list, *dict, *namespace, *loopState, or callable.
// None of them changes once made but for namespaces and the state of a loop.
type value any

// undefined is the value of a name that nothing was assigned to. It prints as nothing and is false; most other uses are errors.
type undefined struct{ name string }

type list struct{ items []value }

type dict struct{ entries []entry }

type entry struct{ key, value value }

// namespace holds the variables that a loop may change and leave behind.
type namespace struct{ vars map[string]value }

// callable is a macro, a function, or a method together with its receiver.
type callable func(r *run, a given) value

func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case Text:
		return v.String != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.entries) > 0
	}
	return true
}

// typeName is what Python calls the type of a value.
func typeName(v value) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case undefined:
		return "undefined"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case Text:
		return "str"
	case *list:
		return "list"
	case *dict:
		return "dict"
	case *namespace:
		return "namespace"
	case *loopState:
		return "loop"
	}
	return "function"
}

// get looks a key up.
func (d *dict) get(r *run, key value) (value, bool) {
	for _, e := range d.entries {
		if r.equal(e.key, key) {
			return e.value, true
		}
	}
	return nil, false
}

// number returns a number as float64, and as int64 if it is one. Booleans are numbers.
func number(v value) (f float64, i int64, isInt, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int64:
		return float64(v), v, true, true
	case float64:
		return v, 0, false, true
	}
	return 0, 0, false, false
}

// equal is Python's ==.
func (r *run) equal(a, b value) bool { return r.equalWithin(a, b, maxNested) }

func (r *run) equalWithin(a, b value, depth int) bool {
	r.visit(depth)
	if fa, ia, intA, ok := number(a); ok {
		fb, ib, intB, ok := number(b)
		if intA && intB {
			return ok && ia == ib
		}
		return ok && fa == fb
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case Text:
		b, ok := b.(Text)
		if !ok || len(a.String) != len(b.String) {
			return false
		}
		r.touch(len(a.String))
		return a.String == b.String
	case *list:
		b, ok := b.(*list)
		if !ok || len(a.items) != len(b.items) {
			return false
		}
		for i := range a.items {
			if !r.equalWithin(a.items[i], b.items[i], depth-1) {
				return false
			}
		}
		return true
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.entries) != len(b.entries) {
			return false
		}
		for _, e := range a.entries {
			if other, ok := b.get(r, e.key); !ok || !r.equalWithin(e.value, other, depth-1) {
				return false
			}
		}
		return true
	case *namespace:
		return a == b
	case *loopState:
		return a == b
	}
	return false
}

// compare is -1, 0 or 1 as a is less than, equal to or greater than b, which must both be numbers, texts, or lists of them.
func (r *run) compare(a, b value) int { return r.compareWithin(a, b, maxNested) }

func (r *run) compareWithin(a, b value, depth int) int {
	r.visit(depth)
	fa, ia, intA, okA := number(a)
	fb, ib, intB, okB := number(b)
	switch {
	case intA && intB:
		return order(ia, ib)
	case okA && okB:
		return order(fa, fb)
	}
	switch a := a.(type) {
	case Text:
		if b, ok := b.(Text); ok {
			r.touch(min(len(a.String), len(b.String)))
			return strings.Compare(a.String, b.String)
		}
	case *list:
		if b, ok := b.(*list); ok {
			for i := range min(len(a.items), len(b.items)) {
				if c := r.compareWithin(a.items[i], b.items[i], depth-1); c != 0 {
					return c
				}
			}
			return order(int64(len(a.items)), int64(len(b.items)))
		}
	}
	fail("cannot order %s and %s", typeName(a), typeName(b))
	return 0
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// text is Python's str: what a value looks like in the output.
func (r *run) text(v value) Text {
	switch v := v.(type) {
	case undefined:
		return Text{}
	case Text:
		return v
	case callable, *namespace, *loopState:
		fail("a %s has no text", typeName(v))
	}
	w := writer{r: r}
	w.repr(v, maxNested)
	return w.text()
}

// writer spells out a value. Within what it writes it does not track taint: all of it counts as a message's if anything in it is.
type writer struct {
	r     *run
	bytes []byte
	taint bool
}

func (w *writer) text() Text {
	if w.taint {
		return tainted(string(w.bytes))
	}
	return trusted(string(w.bytes))
}

func (w *writer) put(s string) {
	w.r.touch(len(s))
	w.bytes = append(w.bytes, s...)
}

// repr writes a value as Python source.
func (w *writer) repr(v value, depth int) {
	w.r.visit(depth)
	switch v := v.(type) {
	case nil:
		w.put("None")
	case undefined:
		w.put("Undefined")
	case bool:
		w.put(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		w.put(strconv.FormatInt(v, 10))
	case float64:
		w.put(floatText(v))
	case Text:
		w.taint = w.taint || len(v.Tainted) > 0
		w.put(quotePython(v.String))
	case *list:
		w.put("[")
		for i, item := range v.items {
			if i > 0 {
				w.put(", ")
			}
			w.repr(item, depth-1)
		}
		w.put("]")
	case *dict:
		w.put("{")
		for i, e := range v.entries {
			if i > 0 {
				w.put(", ")
			}
			w.repr(e.key, depth-1)
			w.put(": ")
			w.repr(e.value, depth-1)
		}
		w.put("}")
	default:
		fail("a %s has no text", typeName(v))
	}
}

// quotePython is repr of a string.
func quotePython(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := []byte{quote}
	for i := range len(s) {
		switch c := s[i]; {
		case c == quote || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = appendControl(b, c, `\x`)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, quote))
}

// appendControl appends an ASCII control character as an escape: \n, \r, \t, or hexadecimal behind a prefix.
func appendControl(b []byte, c byte, prefix string) []byte {
	switch c {
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const hex = "0123456789abcdef"
	return append(append(b, prefix...), hex[c>>4], hex[c&15])
}

// floatText is repr of a float: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16.
func floatText(f float64) string {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) && !math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	switch s := strconv.FormatFloat(f, 'f', -1, 64); s {
	case "+Inf", "-Inf", "NaN":
		return strings.ToLower(strings.TrimPrefix(s, "+"))
	default:
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
}

// json writes a value as Python's json.dumps with ensure_ascii off. indent < 0 is one line.
func (w *writer) json(v value, indent, level, depth int) {
	w.r.visit(depth)
	switch v := v.(type) {
	case nil:
		w.put("null")
	case bool:
		w.put(strconv.FormatBool(v))
	case Text:
		w.taint = w.taint || len(v.Tainted) > 0
		w.put(quoteJSON(v.String))
	case int64, float64:
		w.repr(v, depth)
	case *list:
		w.sequence("[", "]", len(v.items), indent, level, func(i int) { w.json(v.items[i], indent, level+1, depth-1) })
	case *dict:
		w.sequence("{", "}", len(v.entries), indent, level, func(i int) {
			key := w.r.text(v.entries[i].key)
			w.taint = w.taint || len(key.Tainted) > 0
			w.put(quoteJSON(key.String) + ": ")
			w.json(v.entries[i].value, indent, level+1, depth-1)
		})
	default:
		fail("a %s has no JSON", typeName(v))
	}
}

func (w *writer) sequence(open, closing string, n, indent, level int, item func(int)) {
	newline := func(level int) {
		if indent >= 0 {
			w.put("\n" + strings.Repeat(" ", indent*level))
		}
	}
	w.put(open)
	for i := range n {
		switch {
		case i > 0 && indent < 0:
			w.put(", ")
		case i > 0:
			w.put(",")
		}
		newline(level + 1)
		item(i)
	}
	if n > 0 {
		newline(level)
	}
	w.put(closing)
}

func quoteJSON(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c < ' ':
			b = appendControl(b, c, `\u00`)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// items returns what a loop over v goes through: a list's items, a dict's keys, a text's characters; nothing of undefined.
func (r *run) items(v value) []value {
	switch v := v.(type) {
	case undefined:
		return nil
	case *list:
		return v.items
	case *dict:
		keys := make([]value, 0, len(v.entries))
		for _, e := range v.entries {
			keys = append(keys, e.key)
		}
		return keys
	case Text:
		r.step(utf8.RuneCountInString(v.String))
		r.touch(len(v.String))
		var chars []value
		for at := 0; at < len(v.String); {
			_, size := utf8.DecodeRuneInString(v.String[at:])
			chars = append(chars, v.slice(at, at+size))
			at += size
		}
		return chars
	}
	fail("cannot loop over a %s", typeName(v))
	return nil
}

// attribute is v.name: a method or a field, then a dict's entry.
func (r *run) attribute(v value, name string) value {
	r.touch(len(name))
	forbidPrivate(name)
	switch v := v.(type) {
	case undefined:
		fail("%s is undefined and has no %s", fault.Quote(v.name), fault.Quote(name))
	case *namespace:
		if found, ok := v.vars[name]; ok {
			return found
		}
	case *loopState:
		if found, ok := v.field(name); ok {
			return found
		}
	}
	if m, ok := method(v, name); ok {
		return m
	}
	if d, ok := v.(*dict); ok {
		if found, ok := d.get(r, trusted(name)); ok {
			return found
		}
	}
	return undefined{name}
}

// index is v[key]: an item, then what attribute finds.
func (r *run) index(v, key value) value {
	switch v := v.(type) {
	case *dict:
		if found, ok := v.get(r, key); ok {
			return found
		}
	case *list, Text:
		if i, ok := key.(int64); ok {
			return r.at(v, i)
		}
	}
	if name, ok := key.(Text); ok {
		return r.attribute(v, name.String)
	}
	if u, ok := v.(undefined); ok {
		fail("%s is undefined", fault.Quote(u.name))
	}
	return undefined{"an index"}
}

// at is item i of a list or a text, from the end if i is negative.
func (r *run) at(v value, i int64) value {
	n := r.length(v)
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return undefined{"an index out of range"}
	}
	if l, ok := v.(*list); ok {
		return l.items[i]
	}
	t := v.(Text)
	start := runeOffset(t.String, i)
	return t.slice(start, start+runeOffset(t.String[start:], 1))
}

// runeOffset is where character i of s begins, in bytes.
func runeOffset(s string, i int64) int {
	at := 0
	for ; i > 0 && at < len(s); i-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

// length counts items, entries or characters.
func (r *run) length(v value) int64 {
	switch v := v.(type) {
	case undefined:
		return 0
	case *list:
		return int64(len(v.items))
	case *dict:
		return int64(len(v.entries))
	case Text:
		r.touch(len(v.String))
		return int64(utf8.RuneCountInString(v.String))
	}
	fail("a %s has no length", typeName(v))
	return 0
}

// slice is v[start:stop:step] as Python has it. A bound is nil where none is written.
func (r *run) slice(v value, bounds [3]value) value {
	var items []value
	t, isText := v.(Text)
	if l, ok := v.(*list); ok {
		items = l.items
	} else if !isText {
		fail("cannot take a slice of a %s", typeName(v))
	}
	bound := func(i int, absent int64) int64 {
		if bounds[i] == nil {
			return absent
		}
		n, ok := bounds[i].(int64)
		if !ok {
			fail("a slice needs whole numbers, found a %s", typeName(bounds[i]))
		}
		return n
	}
	n := r.length(v)
	step := bound(2, 1)
	first, last := int64(0), n // first is where an absent start is, last where an absent stop is
	low, high := int64(0), n   // where bounds are cut off
	if step < 0 {
		first, last, low, high = n-1, -1, -1, n-1
	}
	clip := func(i int64) int64 {
		if i < 0 {
			i += n
		}
		return max(low, min(i, high))
	}
	start, stop := first, last
	if bounds[0] != nil {
		start = clip(bound(0, 0))
	}
	if bounds[1] != nil {
		stop = clip(bound(1, 0))
	}
	if step == 0 {
		fail("the step of a slice cannot be 0")
	}
	if isText {
		if step == 1 {
			if start >= stop {
				return Text{}
			}
			from := runeOffset(t.String, start)
			return t.slice(from, from+runeOffset(t.String[from:], stop-start))
		}
		items = r.items(t)
	}
	part := &list{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; {
		r.step(1)
		part.items = append(part.items, items[i])
		if step > n || step < -n { // the next one is outside, and i+step might not fit
			break
		}
		i += step
	}
	if isText {
		return r.join(Text{}, part.items)
	}
	return part
}

// join joins the texts of values.
func (r *run) join(separator Text, items []value) Text {
	var b builder
	for i, item := range items {
		r.step(1)
		if i > 0 {
			r.touchText(separator)
			b.add(separator)
		}
		t := r.text(item)
		r.touchText(t)
		b.add(t)
	}
	return b.text()
}
