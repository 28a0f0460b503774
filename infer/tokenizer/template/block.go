package template

import (
	"slices"

	"github.com/wrinklefree/wf/gguf/fault"
)

// parseTemplate parses all tokens.
func (p *parser) parseTemplate() []statement {
	body, _ := p.block()
	return body
}

// block parses statements up to a tag with one of the names in until, whose name it takes and returns.
func (p *parser) block(until ...string) (body []statement, ending string) {
	defer p.restore(p.depth)
	p.deeper()
	for {
		switch t := p.next(); t.kind {
		case end:
			if len(until) > 0 {
				p.fail("the template ends inside a block; add {%% %s %%}", until[len(until)-1])
			}
			return body, ""
		case data:
			body = append(body, &output{&literal{trusted(t.text)}})
		case printBegin:
			body = append(body, &output{p.tuple(p.expression)})
			p.expectKind(printEnd, "}}")
		case tagBegin:
			tag := p.expectKind(name, "the name of a tag")
			if slices.Contains(until, tag.text) {
				return body, tag.text
			}
			body = append(body, p.tag(tag)...)
		}
	}
}

// closeTag takes the end of a tag.
func (p *parser) closeTag() { p.expectKind(tagEnd, "%}") }

// tag parses a statement whose name has been taken.
func (p *parser) tag(t token) []statement {
	switch t.text {
	case "if":
		return []statement{p.ifTag()}
	case "for":
		return []statement{p.forTag()}
	case "set":
		return []statement{p.setTag()}
	case "macro":
		return []statement{p.macroTag()}
	case "generation": // marks what the assistant said, for training
		p.closeTag()
		body, _ := p.block("endgeneration")
		p.closeTag()
		return body
	case "break", "continue":
		if p.loops == 0 {
			p.fail("%s stands outside of a loop", t.text)
		}
		p.closeTag()
		if t.text == "break" {
			return []statement{leave(breaking)}
		}
		return []statement{leave(continuing)}
	case "include", "import", "from", "extends":
		throw("TEMPLATE_FORBIDDEN", "line %d: the tag %s reaches other files", t.line, t.text)
	}
	throw("TEMPLATE_INVALID", "line %d: the tag %s is unknown or has no place here", t.line, fault.Quote(t.text))
	return nil
}

func (p *parser) ifTag() statement {
	s := &choice{}
	ending := "elif"
	for ending == "elif" {
		b := branch{test: p.tuple(p.or)}
		p.closeTag()
		b.body, ending = p.block("elif", "else", "endif")
		s.branches = append(s.branches, b)
	}
	if ending == "else" {
		p.closeTag()
		s.otherwise, _ = p.block("endif")
	}
	p.closeTag()
	return s
}

func (p *parser) forTag() statement {
	s := &loop{targets: p.targets()}
	p.expect(name, "in")
	s.over = p.tuple(p.or)
	if p.take(name, "if") {
		s.filter = p.expression()
	}
	if p.take(name, "recursive") {
		p.fail("recursive loops are not supported")
	}
	p.closeTag()
	p.loops++
	var ending string
	s.body, ending = p.block("else", "endfor")
	p.loops--
	if ending == "else" {
		p.closeTag()
		s.otherwise, _ = p.block("endfor")
	}
	p.closeTag()
	return s
}

// targets parses the names that a loop or a set assigns to.
func (p *parser) targets() []string {
	paren := p.take(operator, "(")
	var targets []string
	for {
		t := p.expectKind(name, "the name of a variable")
		if slices.Contains([]string{"true", "True", "false", "False", "none", "None", "in", "not", "and", "or", "if", "else", "is"}, t.text) {
			throw("TEMPLATE_INVALID", "line %d: cannot assign to %s", t.line, t.text)
		}
		targets = append(targets, t.text)
		if !p.take(operator, ",") {
			break
		}
	}
	if paren {
		p.expect(operator, ")")
	}
	return targets
}

func (p *parser) setTag() statement {
	s := &assignment{targets: p.targets()}
	if len(s.targets) == 1 && p.take(operator, ".") {
		s.attribute = p.expectKind(name, "the name of an attribute").text
	}
	if p.take(operator, "=") {
		s.value = p.tuple(p.expression)
		p.closeTag()
		return s
	}
	if len(s.targets) > 1 {
		p.fail("found %s, wanted \"=\"", p.peek().what())
	}
	captured := &captured{}
	s.value = captured
	if p.peek().kind == operator && p.peek().text == "|" {
		s.value = p.filters(captured)
	}
	p.closeTag()
	captured.body, _ = p.block("endset")
	p.closeTag()
	return s
}

func (p *parser) macroTag() statement {
	m := &macro{name: p.expectKind(name, "the name of the macro").text}
	p.expect(operator, "(")
	for !p.take(operator, ")") {
		if len(m.parameters) > 0 {
			p.expect(operator, ",")
			if p.take(operator, ")") {
				break
			}
		}
		param := parameter{name: p.expectKind(name, "the name of a parameter").text}
		if p.take(operator, "=") {
			param.byDefault = p.expression()
		} else if n := len(m.parameters); n > 0 && m.parameters[n-1].byDefault != nil {
			p.fail("a parameter without a default follows one with a default")
		}
		m.parameters = append(m.parameters, param)
	}
	p.closeTag()
	loops := p.loops
	p.loops = 0
	m.body, _ = p.block("endmacro")
	p.loops = loops
	p.closeTag()
	return m
}
