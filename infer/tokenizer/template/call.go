package template

import (
	"github.com/wrinklefree/wf/gguf/fault"
)

// arguments are the expressions between the parentheses of a call.
type arguments struct {
	positional []expression
	named      []namedArgument
}

type namedArgument struct {
	name  string
	value expression
}

// given are the values of arguments.
type given struct {
	positional []value
	named      map[string]value
	order      []string // of named, as written
}

func (a arguments) eval(r *run) (g given) {
	for _, e := range a.positional {
		g.positional = append(g.positional, r.eval(e))
	}
	for _, n := range a.named {
		if g.named == nil {
			g.named = map[string]value{}
		}
		if _, twice := g.named[n.name]; twice {
			fail("the argument %s is given twice", fault.Quote(n.name))
		}
		g.named[n.name] = r.eval(n.value)
		g.order = append(g.order, n.name)
	}
	return g
}

// take takes the argument at a place or of a name.
func (a given) take(place int, name string) (v value, ok bool) {
	if place < len(a.positional) {
		return a.positional[place], true
	}
	v, ok = a.named[name]
	delete(a.named, name)
	return v, ok
}

// done fails if an argument is left that nobody took.
func (a given) done(callee string) {
	for name := range a.named {
		fail("%s has no argument %s, or got it twice", fault.Quote(callee), fault.Quote(name))
	}
}

// missing stands for an argument that was not given.
type missing struct{}

// builtin is a filter, a test, a method or a function: what is filtered, tested or before the dot comes as of; args has a value or missing{} for
// each parameter.
type builtin struct {
	name       string
	parameters []string
	required   int
	rest       bool // more positional and named arguments are allowed, and come as given
	run        func(r *run, of value, args []value, all given) value
}

func (b *builtin) call(r *run, of value, a given) value {
	if len(a.positional) > len(b.parameters) && !b.rest {
		fail("%s takes at most %d arguments, got %d", fault.Quote(b.name), len(b.parameters), len(a.positional))
	}
	args := make([]value, len(b.parameters))
	for i, name := range b.parameters {
		v, ok := a.take(i, name)
		if !ok {
			if v = (missing{}); i < b.required {
				fail("%s needs the argument %s", fault.Quote(b.name), fault.Quote(name))
			}
		}
		args[i] = v
	}
	if !b.rest {
		a.done(b.name)
	}
	return b.run(r, of, args, a)
}

func (b *builtin) bind(of value) callable {
	return func(r *run, a given) value { return b.call(r, of, a) }
}

type call struct {
	of        expression
	arguments arguments
}

func (e *call) eval(r *run) value {
	of := r.eval(e.of)
	f, ok := of.(callable)
	if !ok {
		if u, ok := of.(undefined); ok {
			fail("%s is undefined and cannot be called", fault.Quote(u.name))
		}
		fail("a %s cannot be called", typeName(of))
	}
	return f(r, e.arguments.eval(r))
}

type filtered struct {
	of        expression
	filter    *builtin
	arguments arguments
}

func (e *filtered) eval(r *run) value { return e.filter.call(r, r.eval(e.of), e.arguments.eval(r)) }

type tested struct {
	of        expression
	test      *builtin
	arguments arguments
}

func (e *tested) eval(r *run) value { return e.test.call(r, r.eval(e.of), e.arguments.eval(r)) }

// table makes builtins findable by name.
func table(builtins ...*builtin) map[string]*builtin {
	t := map[string]*builtin{}
	for _, b := range builtins {
		t[b.name] = b
	}
	return t
}

// Arguments of builtins.

func isMissing(v value) bool { _, ok := v.(missing); return ok }

// intArg is a whole number, or byDefault where it is missing or None.
func intArg(v value, byDefault int64) int64 {
	if isMissing(v) || v == nil {
		return byDefault
	}
	_, i, isInt, ok := number(v)
	if !ok || !isInt {
		fail("wanted a whole number, found a %s", typeName(v))
	}
	return i
}

// textArg is a text, or byDefault where it is missing or None.
func textArg(v value, byDefault string) Text {
	if isMissing(v) || v == nil {
		return trusted(byDefault)
	}
	t, ok := v.(Text)
	if !ok {
		fail("wanted a text, found a %s", typeName(v))
	}
	return t
}

func truthArg(v value, byDefault bool) bool {
	if isMissing(v) {
		return byDefault
	}
	return truth(v)
}

// texts are one text, or the texts of a list.
func (r *run) texts(v value) []Text {
	if l, ok := v.(*list); ok {
		r.step(len(l.items))
		var all []Text
		for _, item := range l.items {
			all = append(all, textArg(item, ""))
		}
		return all
	}
	return []Text{textArg(v, "")}
}
