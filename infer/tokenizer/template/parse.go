package template

import (
	"math"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// parser builds the tree of a template. Each precedence of Jinja's grammar is a method; depth bounds their recursion, and that of whoever
// walks the tree.
type parser struct {
	tokens []token // the last is end
	depth  int
	loops  int // for loops around this place, for break and continue
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) fail(format string, args ...any) {
	throw("TEMPLATE_INVALID", "line %d: "+format, append([]any{p.peek().line}, args...)...)
}

// deeper counts one level of the tree. A method that calls it restores the depth when it returns.
func (p *parser) deeper() {
	if p.depth++; p.depth > maxDepth {
		throw("TEMPLATE_LIMIT", "line %d: more than %d expressions or blocks in each other", p.peek().line, maxDepth)
	}
}

func (p *parser) restore(depth int) { p.depth = depth }

// take takes the next token if it is this operator or keyword.
func (p *parser) take(k kind, text string) bool {
	if t := p.peek(); t.kind != k || t.text != text {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(k kind, text string) {
	if !p.take(k, text) {
		p.fail("found %s, wanted %s", p.peek().what(), fault.Quote(text))
	}
}

func (p *parser) expectKind(k kind, what string) token {
	if p.peek().kind != k {
		p.fail("found %s, wanted %s", p.peek().what(), what)
	}
	return p.next()
}

// takeOne takes the next token if it is one of these operators, and returns it or "".
func (p *parser) takeOne(operators ...string) string {
	for _, op := range operators {
		if p.take(operator, op) {
			return op
		}
	}
	return ""
}

// expression is an inline if or less.
func (p *parser) expression() expression {
	defer p.restore(p.depth)
	p.deeper()
	e := p.or()
	for p.take(name, "if") {
		p.deeper()
		c := &conditional{then: e, test: p.or()}
		if p.take(name, "else") {
			c.otherwise = p.expression()
		}
		e = c
	}
	return e
}

// tuple is an expression, or more with commas between. Jinja's tuples are lists here.
func (p *parser) tuple(item func() expression) expression {
	e := item()
	if !p.take(operator, ",") {
		return e
	}
	l := &listOf{[]expression{e}}
	for !p.endsTuple() {
		l.items = append(l.items, item())
		if !p.take(operator, ",") {
			break
		}
	}
	return l
}

func (p *parser) endsTuple() bool {
	t := p.peek()
	return t.kind == tagEnd || t.kind == printEnd || t.kind == operator && (t.text == ")" || t.text == "=") || t.kind == name && t.text == "in"
}

func (p *parser) or() expression {
	defer p.restore(p.depth)
	e := p.and()
	for p.take(name, "or") {
		p.deeper()
		e = &logical{e, p.and(), true}
	}
	return e
}

func (p *parser) and() expression {
	defer p.restore(p.depth)
	e := p.not()
	for p.take(name, "and") {
		p.deeper()
		e = &logical{e, p.not(), false}
	}
	return e
}

func (p *parser) not() expression {
	defer p.restore(p.depth)
	if p.take(name, "not") {
		p.deeper()
		return &negation{p.not()}
	}
	return p.comparison()
}

func (p *parser) comparison() expression {
	defer p.restore(p.depth)
	c := &comparison{first: p.sum()}
	for {
		op := p.takeOne("==", "!=", "<=", ">=", "<", ">")
		switch {
		case op != "":
		case p.take(name, "in"):
			op = "in"
		case p.peek() == (token{name, "not", p.peek().line}) && p.tokens[1].kind == name && p.tokens[1].text == "in":
			p.next()
			p.next()
			op = "not in"
		case len(c.rest) == 0:
			return c.first
		default:
			return c
		}
		p.deeper()
		c.rest = append(c.rest, operand{op, p.sum()})
	}
}

// chain parses operands with left-associative operators between them.
func (p *parser) chain(operand func() expression, operators ...string) expression {
	defer p.restore(p.depth)
	e := operand()
	for {
		op := p.takeOne(operators...)
		if op == "" {
			return e
		}
		p.deeper()
		e = &binary{op, e, operand()}
	}
}

func (p *parser) sum() expression     { return p.chain(p.joined, "+", "-") }
func (p *parser) joined() expression  { return p.chain(p.product, "~") }
func (p *parser) product() expression { return p.chain(p.power, "*", "//", "/", "%") }
func (p *parser) power() expression   { return p.chain(func() expression { return p.unary(true) }, "**") }

// unary is a signed operand; filters bind looser than the sign.
func (p *parser) unary(filters bool) expression {
	defer p.restore(p.depth)
	var e expression
	if op := p.takeOne("-", "+"); op != "" {
		p.deeper()
		e = &signed{op, p.unary(false)}
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filters(e)
	}
	return e
}

func (p *parser) primary() expression {
	t := p.next()
	switch t.kind {
	case name:
		switch t.text {
		case "true", "True":
			return &literal{true}
		case "false", "False":
			return &literal{false}
		case "none", "None":
			return &literal{nil}
		}
		return &variable{t.text}
	case str:
		var text strings.Builder
		text.WriteString(t.text)
		for p.peek().kind == str {
			text.WriteString(p.next().text)
		}
		return &literal{trusted(text.String())}
	case integer:
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			throw("TEMPLATE_LIMIT", "line %d: the number %s does not fit 64 bits", t.line, fault.Quote(t.text))
		}
		return &literal{n}
	case float:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil || math.IsInf(f, 0) {
			throw("TEMPLATE_LIMIT", "line %d: the number %s is out of range", t.line, fault.Quote(t.text))
		}
		return &literal{f}
	case operator:
		switch t.text {
		case "(":
			if p.take(operator, ")") {
				return &listOf{}
			}
			e := p.tuple(p.expression)
			p.expect(operator, ")")
			return e
		case "[":
			l := &listOf{}
			for !p.take(operator, "]") {
				if len(l.items) > 0 {
					p.expect(operator, ",")
					if p.take(operator, "]") {
						break
					}
				}
				l.items = append(l.items, p.expression())
			}
			return l
		case "{":
			d := &dictOf{}
			for !p.take(operator, "}") {
				if len(d.keys) > 0 {
					p.expect(operator, ",")
					if p.take(operator, "}") {
						break
					}
				}
				d.keys = append(d.keys, p.expression())
				p.expect(operator, ":")
				d.values = append(d.values, p.expression())
			}
			return d
		}
	}
	throw("TEMPLATE_INVALID", "line %d: found %s, wanted an expression", t.line, t.what())
	return nil
}

// postfix parses attributes, indices, slices and calls behind an expression.
func (p *parser) postfix(e expression) expression {
	defer p.restore(p.depth)
	for {
		switch p.takeOne(".", "[", "(") {
		case "":
			return e
		case ".":
			t := p.next()
			if t.kind == integer {
				e = p.index(e, t)
				break
			}
			if t.kind != name {
				throw("TEMPLATE_INVALID", "line %d: found %s, wanted a name behind the dot", t.line, t.what())
			}
			forbidPrivate(t.text)
			e = &attribute{e, t.text}
		case "[":
			e = p.subscript(e)
		case "(":
			e = &call{e, p.arguments()}
		}
		p.deeper()
	}
}

// index is the old spelling list.0 of list[0].
func (p *parser) index(e expression, number token) expression {
	n, err := strconv.ParseInt(number.text, 10, 64)
	if err != nil {
		throw("TEMPLATE_LIMIT", "line %d: the number %s does not fit 64 bits", number.line, fault.Quote(number.text))
	}
	return &subscript{e, &literal{n}}
}

// forbidPrivate refuses the names by which a template would leave its world if this were Python.
func forbidPrivate(name string) {
	if strings.HasPrefix(name, "_") {
		throw("TEMPLATE_FORBIDDEN", "the attribute %s is private; templates have no use for those", fault.Quote(name))
	}
}

func (p *parser) subscript(e expression) expression {
	var bounds [3]expression
	n, isSlice := 0, false
	for !p.take(operator, "]") {
		if p.take(operator, ":") {
			isSlice = true
			if n++; n == len(bounds) {
				p.fail("a slice has at most two colons")
			}
			continue
		}
		if bounds[n] != nil {
			p.fail("found %s, wanted \"]\"", p.peek().what())
		}
		bounds[n] = p.expression()
	}
	switch {
	case isSlice:
		return &slicing{e, bounds}
	case bounds[0] == nil:
		p.fail("an index is missing between [ and ]")
	}
	if l, ok := bounds[0].(*literal); ok {
		if t, ok := l.value.(Text); ok && strings.HasPrefix(t.String, "__") {
			forbidPrivate(t.String)
		}
	}
	return &subscript{e, bounds[0]}
}

// arguments parses what follows an opening parenthesis.
func (p *parser) arguments() (a arguments) {
	for !p.take(operator, ")") {
		if len(a.positional)+len(a.named) > 0 {
			p.expect(operator, ",")
			if p.take(operator, ")") {
				break
			}
		}
		if p.peek().kind == name && p.tokens[1].kind == operator && p.tokens[1].text == "=" {
			key := p.next().text
			p.next()
			a.named = append(a.named, namedArgument{key, p.expression()})
			continue
		}
		if len(a.named) > 0 {
			p.fail("an argument without a name follows one with a name")
		}
		a.positional = append(a.positional, p.expression())
	}
	return a
}

// filters parses filters and tests behind an operand.
func (p *parser) filters(e expression) expression {
	defer p.restore(p.depth)
	for {
		switch {
		case p.take(operator, "|"):
			e = p.filter(e)
		case p.take(name, "is"):
			e = p.test(e)
		case p.peek().kind == operator && p.peek().text == "(":
			e = p.postfix(e)
		default:
			return e
		}
		p.deeper()
	}
}

func (p *parser) filter(e expression) expression {
	t := p.expectKind(name, "the name of a filter")
	f := &filtered{of: e, filter: lookFilter(t.text, t.line)}
	if p.take(operator, "(") {
		f.arguments = p.arguments()
	}
	return f
}

// lookFilter finds a filter while a template is read, so that a wrong name is found before the first message.
func lookFilter(name string, line int) *builtin {
	f, ok := filters[name]
	switch {
	case name == "attr":
		throw("TEMPLATE_FORBIDDEN", "line %d: the filter attr reaches attributes by computed names", line)
	case !ok:
		throw("TEMPLATE_INVALID", "line %d: there is no filter %s", line, fault.Quote(name))
	}
	return f
}

func (p *parser) test(e expression) expression {
	negated := p.take(name, "not")
	t := p.expectKind(name, "the name of a test")
	tested := &tested{of: e, test: lookTest(t.text, t.line)}
	switch next := p.peek(); {
	case next.kind == operator && next.text == "(":
		p.next()
		tested.arguments = p.arguments()
	case next.kind == str, next.kind == integer, next.kind == float, next.kind == operator && (next.text == "[" || next.text == "{"),
		next.kind == name && next.text != "else" && next.text != "or" && next.text != "and" && next.text != "is" && next.text != "if" &&
			next.text != "in" && next.text != "not":
		tested.arguments.positional = []expression{p.postfix(p.primary())}
	}
	if t := p.peek(); t.kind == name && t.text == "is" {
		p.fail("a test cannot follow a test; use and")
	}
	if negated {
		return &negation{tested}
	}
	return tested
}

func lookTest(name string, line int) *builtin {
	f, ok := tests[name]
	if !ok {
		throw("TEMPLATE_INVALID", "line %d: there is no test %s", line, fault.Quote(name))
	}
	return f
}
