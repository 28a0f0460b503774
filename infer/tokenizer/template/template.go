// Package template renders the chat templates that models carry: the part of Jinja that they use, for input that nobody has vetted.
//
// A template is a program of the file's author. It gets the messages and names of special tokens, and returns text. It cannot reach anything
// else: values are of the few types in value.go; the names behind a dot, the filters and the tests are fixed tables; there is no
// inclusion, no import, no format string. It cannot run for long either: its source, its nesting, its steps and the bytes that it
// touches are counted (limits below), never its time, so that the same template and messages always give the same result.
//
// The text that it returns remembers which bytes came out of a message (Text), through every operation. Where an operation cannot tell, its
// whole result counts as the message's.
//
// Whitespace is as Hugging Face sets it: trim_blocks and lstrip_blocks. What is supported: for (with if, else, break, continue and the loop
// variable), if, set (also of a block and of a namespace's attribute), macro, generation (which does nothing), comments, expressions with
// slices, calls, inline if, filters and tests. What differs from Jinja: integers have 64 bits.
//
// Sources: jinja.palletsprojects.com/en/stable/templates, and render_jinja_template in transformers' chat_template_utils.py.
package template

import (
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

const (
	maxSource = 256 << 10 // bytes of a template; the longest in use have 20 KiB
	maxDepth  = 400       // of parentheses, operands in a chain, and blocks in each other
	maxCalls  = 32        // macros that call each other
	maxNested = 64        // lists in lists, where a value is compared or printed
	maxSteps  = 250_000   // expressions and statements evaluated, elements of lists made
	maxBytes  = 16 << 20  // bytes of strings made or searched; and as many times again the bytes of the messages
)

// Template is a parsed template. It is read-only and safe for concurrent use.
type Template struct{ body []statement }

// Message is one turn.
type Message struct{ Role, Content string }

// Input is what a template sees.
type Input struct {
	Messages            []Message
	AddGenerationPrompt bool
	Variables           map[string]string // such as bos_token
	Now                 time.Time         // for strftime_now
}

// Parse reads a template. Errors: TEMPLATE_INVALID for what is not Jinja or not supported, TEMPLATE_FORBIDDEN for what reaches outside of the
// template, TEMPLATE_LIMIT.
func Parse(source string) (t *Template, err error) {
	defer catch(&err)
	if len(source) > maxSource {
		throw("TEMPLATE_LIMIT", "%d bytes of source; the limit is %d", len(source), maxSource)
	}
	p := parser{tokens: lex(source)}
	return &Template{p.parseTemplate()}, nil
}

// Render runs the template. Errors: TEMPLATE_ERROR for what goes wrong in it, also because it says so (raise_exception), TEMPLATE_FORBIDDEN,
// TEMPLATE_LIMIT.
func (t *Template) Render(in Input) (text Text, err error) {
	defer catch(&err)
	r := newRun(in)
	r.exec(t.body)
	return r.out.text(), nil
}

// thrown carries an error out of the parser or the interpreter.
type thrown struct{ err error }

func throw(code, format string, args ...any) {
	panic(thrown{fault.New(code, "template: "+format, args...)})
}

// fail throws what is wrong with a template while it runs.
func fail(format string, args ...any) { throw("TEMPLATE_ERROR", format, args...) }

func catch(err *error) {
	switch p := recover().(type) {
	case nil:
	case thrown:
		*err = p.err
	default:
		panic(p)
	}
}

// knownRoles are words of the protocol and not anybody's text: a template may build the name of a control token out of one
// ("<|" + role + "|>"). Any other role is tainted like a message's content.
var knownRoles = map[string]bool{"system": true, "developer": true, "user": true, "assistant": true, "tool": true}

func newRun(in Input) *run {
	r := &run{stepsLeft: maxSteps, out: &builder{}, now: in.Now, filters: filters}
	size := 0
	messages := &list{}
	for _, m := range in.Messages {
		size += len(m.Role) + len(m.Content)
		r.stepsLeft += 200 // a conversation may be long; what one message costs is bounded
		role := Text{String: m.Role}
		if !knownRoles[m.Role] {
			role = tainted(m.Role)
		}
		messages.items = append(messages.items, &dict{[]entry{{trusted("role"), role}, {trusted("content"), tainted(m.Content)}}})
	}
	r.bytesLeft = maxBytes + maxBytes>>20*size
	r.scope = &scope{vars: map[string]value{
		"messages": messages, "add_generation_prompt": in.AddGenerationPrompt, "tools": nil, "documents": nil,
	}}
	for name, text := range in.Variables {
		r.scope.vars[name] = trusted(text)
	}
	return r
}
