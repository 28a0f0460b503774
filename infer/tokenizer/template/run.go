package template

import (
	"math"
	"strings"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

// run is one rendering.
type run struct {
	stepsLeft, bytesLeft int
	calls                int // macros that are running
	scope                *scope
	out                  *builder
	now                  time.Time
	filters              map[string]*builtin // the table, for filters that call others by name
}

// scope holds the variables of the template, of a macro's call, or of one turn of a loop.
type scope struct {
	vars   map[string]value // nil until something is set
	parent *scope
}

func (s *scope) set(name string, v value) {
	if s.vars == nil {
		s.vars = map[string]value{}
	}
	s.vars[name] = v
}

func (s *scope) lookup(name string) value {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	if f, ok := functions[name]; ok {
		return f.bind(nil)
	}
	return undefined{name}
}

// within runs f in a new scope below parent.
func (r *run) within(parent *scope, f func()) {
	outer := r.scope
	r.scope = &scope{parent: parent}
	f()
	r.scope = outer
}

// capture runs f and returns what it wrote.
func (r *run) capture(f func()) Text {
	outer := r.out
	r.out = &builder{}
	f()
	text := r.out.text()
	r.out = outer
	return text
}

// step counts n steps.
func (r *run) step(n int) {
	if r.stepsLeft -= n; r.stepsLeft < 0 {
		throw("TEMPLATE_LIMIT", "more than %d steps", maxSteps)
	}
}

// touch counts n bytes that are made or searched.
func (r *run) touch(n int) {
	if r.bytesLeft -= n; r.bytesLeft < 0 {
		throw("TEMPLATE_LIMIT", "more than %d MiB of strings", maxBytes>>20)
	}
}

// touchText counts the bytes of t and of the record of its taint.
func (r *run) touchText(t Text) { r.touch(len(t.String) + 16*len(t.Tainted)) }

// visit counts one step of a walk through a value that may go depth levels deeper.
func (r *run) visit(depth int) {
	r.step(1)
	if depth < 0 {
		throw("TEMPLATE_LIMIT", "lists or dicts nested deeper than %d", maxNested)
	}
}

// flow is how a statement ends.
type flow uint8

const (
	onward flow = iota
	breaking
	continuing
)

type statement interface{ exec(r *run) flow }

func (r *run) exec(body []statement) flow {
	for _, s := range body {
		r.step(1)
		if f := s.exec(r); f != onward {
			return f
		}
	}
	return onward
}

// output is {{ of }}, or text outside of tags.
type output struct{ of expression }

func (s *output) exec(r *run) flow {
	t := r.text(r.eval(s.of))
	r.touchText(t)
	r.out.add(t)
	return onward
}

// leave is {% break %} or {% continue %}.
type leave flow

func (s leave) exec(*run) flow { return flow(s) }

// choice is {% if %}.
type choice struct {
	branches  []branch
	otherwise []statement
}

type branch struct {
	test expression
	body []statement
}

func (s *choice) exec(r *run) flow {
	for _, b := range s.branches {
		if truth(r.eval(b.test)) {
			return r.exec(b.body)
		}
	}
	return r.exec(s.otherwise)
}

// assignment is {% set %}. With an attribute there is one target, a namespace.
type assignment struct {
	targets   []string
	attribute string
	value     expression
}

func (s *assignment) exec(r *run) flow {
	v := r.eval(s.value)
	if s.attribute == "" {
		r.assign(s.targets, v)
		return onward
	}
	ns, ok := r.scope.lookup(s.targets[0]).(*namespace)
	if !ok {
		fail("%s is not a namespace; only its attributes can be set", fault.Quote(s.targets[0]))
	}
	ns.vars[s.attribute] = v
	return onward
}

func (r *run) assign(targets []string, v value) {
	if len(targets) == 1 {
		r.scope.set(targets[0], v)
		return
	}
	items := r.items(v)
	if len(items) != len(targets) {
		fail("cannot unpack %d values into %d names", len(items), len(targets))
	}
	for i, target := range targets {
		r.scope.set(target, items[i])
	}
}

// loop is {% for %}.
type loop struct {
	targets   []string
	over      expression
	filter    expression // nil: none
	body      []statement
	otherwise []statement
}

func (s *loop) exec(r *run) flow {
	items := r.items(r.eval(s.over))
	parent := r.scope
	if s.filter != nil {
		var kept []value
		for _, item := range items {
			r.within(parent, func() {
				r.assign(s.targets, item)
				if truth(r.eval(s.filter)) {
					kept = append(kept, item)
				}
			})
		}
		items = kept
	}
	if len(items) == 0 {
		return r.exec(s.otherwise)
	}
	state := &loopState{items: items}
	for i := range items {
		state.index = i
		f := onward
		r.within(parent, func() {
			r.step(4) // a scope is dearer than an expression
			r.scope.set("loop", state)
			r.assign(s.targets, items[i])
			f = r.exec(s.body)
		})
		if f == breaking {
			break
		}
	}
	return onward
}

// loopState is the variable loop.
type loopState struct {
	items   []value
	index   int
	changed value // nil: never asked; else a list of what loop.changed saw last
}

func (l *loopState) field(name string) (value, bool) {
	i, n := int64(l.index), int64(len(l.items))
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return int64(1), true
	case "depth0":
		return int64(0), true
	case "previtem":
		if i > 0 {
			return l.items[i-1], true
		}
	case "nextitem":
		if i < n-1 {
			return l.items[i+1], true
		}
	case "cycle":
		return callable(func(r *run, a given) value {
			if len(a.positional) == 0 {
				fail("loop.cycle needs something to cycle through")
			}
			return a.positional[l.index%len(a.positional)]
		}), true
	case "changed":
		return callable(func(r *run, a given) value {
			now := &list{a.positional}
			same := l.changed != nil && r.equal(l.changed, now)
			l.changed = now
			return !same
		}), true
	}
	return nil, false
}

// macro is {% macro %}.
type macro struct {
	name       string
	parameters []parameter
	body       []statement
}

type parameter struct {
	name      string
	byDefault expression // nil: none
}

func (s *macro) exec(r *run) flow {
	home := r.scope
	r.scope.set(s.name, callable(func(r *run, a given) value { return s.call(r, home, a) }))
	return onward
}

func (s *macro) call(r *run, home *scope, a given) (text value) {
	if r.calls++; r.calls > maxCalls {
		throw("TEMPLATE_LIMIT", "more than %d macros call each other", maxCalls)
	}
	defer func() { r.calls-- }()
	if len(a.positional) > len(s.parameters) {
		fail("macro %s takes %d arguments, got %d", fault.Quote(s.name), len(s.parameters), len(a.positional))
	}
	r.within(home, func() {
		for i, p := range s.parameters {
			v, ok := a.take(i, p.name)
			if !ok && p.byDefault != nil {
				v = r.eval(p.byDefault)
			} else if !ok {
				v = undefined{p.name}
			}
			r.scope.set(p.name, v)
		}
		a.done(s.name)
		text = r.capture(func() { r.exec(s.body) })
	})
	return text
}

// expression is a node that gives a value.
type expression interface{ eval(r *run) value }

func (r *run) eval(e expression) value {
	r.step(1)
	return e.eval(r)
}

type literal struct{ value value }

func (e *literal) eval(*run) value { return e.value }

type variable struct{ name string }

func (e *variable) eval(r *run) value { return r.scope.lookup(e.name) }

type listOf struct{ items []expression }

func (e *listOf) eval(r *run) value {
	l := &list{}
	for _, item := range e.items {
		l.items = append(l.items, r.eval(item))
	}
	return l
}

type dictOf struct{ keys, values []expression }

func (e *dictOf) eval(r *run) value {
	d := &dict{}
	for i := range e.keys {
		d.set(r, r.eval(e.keys[i]), r.eval(e.values[i]))
	}
	return d
}

// set adds an entry while a dict is made.
func (d *dict) set(r *run, key, v value) {
	for i := range d.entries {
		if r.equal(d.entries[i].key, key) {
			d.entries[i].value = v
			return
		}
	}
	d.entries = append(d.entries, entry{key, v})
}

// captured is what the block of a {% set %} writes.
type captured struct{ body []statement }

func (e *captured) eval(r *run) (text value) {
	r.within(r.scope, func() { text = r.capture(func() { r.exec(e.body) }) })
	return text
}

type conditional struct{ then, test, otherwise expression }

func (e *conditional) eval(r *run) value {
	switch {
	case truth(r.eval(e.test)):
		return r.eval(e.then)
	case e.otherwise != nil:
		return r.eval(e.otherwise)
	}
	return undefined{"the else of an inline if"}
}

// logical is and, or or; it gives the operand that decides.
type logical struct {
	left, right expression
	or          bool
}

func (e *logical) eval(r *run) value {
	if left := r.eval(e.left); truth(left) == e.or {
		return left
	}
	return r.eval(e.right)
}

type negation struct{ of expression }

func (e *negation) eval(r *run) value { return !truth(r.eval(e.of)) }

// comparison is a < b <= c: true if each pair is.
type comparison struct {
	first expression
	rest  []operand
}

type operand struct {
	op string
	e  expression
}

func (e *comparison) eval(r *run) value {
	left := r.eval(e.first)
	for _, o := range e.rest {
		right := r.eval(o.e)
		if !r.holds(o.op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func (r *run) holds(op string, a, b value) bool {
	switch op {
	case "==":
		return r.equal(a, b)
	case "!=":
		return !r.equal(a, b)
	case "in":
		return r.contains(b, a)
	case "not in":
		return !r.contains(b, a)
	}
	c := r.compare(a, b)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

func (r *run) contains(in, v value) bool {
	switch in := in.(type) {
	case Text:
		part, ok := v.(Text)
		if !ok {
			fail("a text contains texts, not a %s", typeName(v))
		}
		r.touch(len(in.String))
		return strings.Contains(in.String, part.String)
	case *dict:
		_, ok := in.get(r, v)
		return ok
	}
	for _, item := range r.items(in) {
		if r.equal(item, v) {
			return true
		}
	}
	return false
}

type signed struct {
	op string
	of expression
}

func (e *signed) eval(r *run) value {
	v := r.eval(e.of)
	f, i, isInt, ok := number(v)
	switch {
	case !ok:
		fail("a %s has no sign", typeName(v))
	case isInt && e.op == "-":
		return -i
	case isInt:
		return i
	case e.op == "-":
		return -f
	}
	return f
}

type binary struct {
	op          string
	left, right expression
}

func (e *binary) eval(r *run) value {
	a, b := r.eval(e.left), r.eval(e.right)
	if e.op == "~" {
		return r.concat(r.text(a), r.text(b))
	}
	fa, ia, intA, okA := number(a)
	fb, ib, intB, okB := number(b)
	switch {
	case intA && intB && e.op != "/":
		return integers(e.op, ia, ib)
	case okA && okB:
		return floats(e.op, fa, fb)
	}
	switch a := a.(type) {
	case Text:
		if b, ok := b.(Text); ok && e.op == "+" {
			return r.concat(a, b)
		}
		if intB && e.op == "*" {
			return r.repeat(a, ib)
		}
	case *list:
		if b, ok := b.(*list); ok && e.op == "+" {
			r.step(len(a.items) + len(b.items))
			return &list{append(append([]value{}, a.items...), b.items...)}
		}
	case int64:
		if b, ok := b.(Text); ok && e.op == "*" {
			return r.repeat(b, a)
		}
	}
	for _, v := range []value{a, b} {
		if u, ok := v.(undefined); ok {
			fail("%s is undefined", fault.Quote(u.name))
		}
	}
	fail("%s %s %s has no meaning", typeName(a), e.op, typeName(b))
	return nil
}

func (r *run) concat(a, b Text) Text {
	r.touchText(a)
	r.touchText(b)
	return concat(a, b)
}

func (r *run) repeat(t Text, n int64) Text {
	if n <= 0 || t.String == "" {
		return Text{}
	}
	if n > int64(r.bytesLeft) {
		n = int64(r.bytesLeft) // too much in any case, and the product fits
	}
	r.touch((len(t.String) + 16 + 16*len(t.Tainted)) * int(n)) // 16 for the work of joining
	var b builder
	for range n {
		b.add(t)
	}
	return b.text()
}

// integers computes with int64, where Python has numbers of any size.
func integers(op string, a, b int64) value {
	result, ok := int64(0), true
	switch op {
	case "+":
		result = a + b
		ok = (result > a) == (b > 0)
	case "-":
		result = a - b
		ok = (result < a) == (b > 0)
	case "*":
		result = a * b
		ok = a == 0 || result/a == b && !(a == -1 && b == math.MinInt64)
	case "//", "%":
		if b == 0 {
			fail("division by zero")
		}
		result = a / b
		if a%b != 0 && (a < 0) != (b < 0) {
			result-- // towards minus infinity
		}
		if ok = !(a == math.MinInt64 && b == -1); op == "%" {
			result = a - result*b
		}
	case "**":
		if b < 0 {
			return floats(op, float64(a), float64(b))
		}
		result = 1
		for ; b > 0 && ok; b-- {
			if a == 0 || a == 1 || a == -1 {
				if b%2 == 0 {
					return a * a
				}
				return a
			}
			product := result * a
			ok = product/a == result
			result = product
		}
	}
	if !ok {
		throw("TEMPLATE_LIMIT", "%d %s %d does not fit 64 bits", a, op, b)
	}
	return result
}

func floats(op string, a, b float64) value {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		return math.Pow(a, b)
	}
	if b == 0 {
		fail("division by zero")
	}
	switch op {
	case "/":
		return a / b
	case "//":
		return math.Floor(a / b)
	}
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}

type attribute struct {
	of   expression
	name string
}

func (e *attribute) eval(r *run) value { return r.attribute(r.eval(e.of), e.name) }

type subscript struct{ of, key expression }

func (e *subscript) eval(r *run) value { return r.index(r.eval(e.of), r.eval(e.key)) }

type slicing struct {
	of     expression
	bounds [3]expression
}

func (e *slicing) eval(r *run) value {
	v := r.eval(e.of)
	var bounds [3]value
	for i, b := range e.bounds {
		if b != nil {
			bounds[i] = r.eval(b)
		}
	}
	return r.slice(v, bounds)
}
