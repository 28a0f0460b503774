package template

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

var hello = []Message{{"user", "hello"}}

// refuses wants a template to fail with a code, when it is read or when it is rendered, within 250 ms.
func refuses(t *testing.T, source, code string) {
	t.Helper()
	slowness := 1.0
	if text := os.Getenv("WF_TEST_SLOWNESS"); text != "" {
		var err error
		if slowness, err = strconv.ParseFloat(text, 64); err != nil {
			t.Fatal(err)
		}
	}
	least := time.Hour
	for try := 0; try < 5 && (try == 0 || least > time.Duration(slowness*float64(250*time.Millisecond))); try++ { // the machine may be busy
		start := time.Now()
		text, err := render(source, hello, true)
		least = min(least, time.Since(start))
		if fault.Code(err) != code {
			t.Errorf("%.80q: got %v [%s], want %s", source, err, fault.Code(err), code)
		}
		if text.String != "" {
			t.Errorf("%.80q: it wrote %q", source, text.String)
		}
		if err != nil && (len(err.Error()) > 250 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("not a line of 250 bytes: %q", err)
		}
	}
	if limit := time.Duration(slowness * float64(250*time.Millisecond)); least > limit {
		t.Errorf("%.80q: took %v, wanted less than %v", source, least, limit)
	}
}

func TestHostileTemplates(t *testing.T) {
	t.Run("R81 forbidden", func(t *testing.T) {
		for _, source := range []string{
			"{{ ''.__class__.__mro__ }}", "{{ cycler.__init__.__globals__ }}", "{{ ''['__class__'] }}", "{{ ''['__cl' ~ 'ass__'] }}", "{{ ''|attr('format') }}",
			"{{ ['']|map('attr', '__class__') | list }}", "{{ ['']|map(attribute='__class__') | list }}", "{{ messages|selectattr('__class__') | list }}",
			"{{ (messages + messages)|sort(attribute='role.__class__') }}", "{{ self._TemplateReference__context }}", "{{ messages[0]._secret }}",
			"{% include 'x' %}", "{% import 'os' as os %}", "{% from 'x' import y %}", "{% extends 'base' %}", "{% if false %}{% include 'x' %}{% endif %}",
		} {
			refuses(t, source, "TEMPLATE_FORBIDDEN")
		}
		for _, source := range []string{ // nothing is there to be reached
			"{{ '{0.__class__}'.format(1) }}", "{{ lipsum() }}", "{{ cycler('a') }}", "{{ messages.append(1) }}", "{{ messages[0].update({}) }}", "{{ self() }}", "{{ range }}",
		} {
			refuses(t, source, "TEMPLATE_ERROR")
		}
	})
	t.Run("R82 limits", func(t *testing.T) {
		block := strings.Repeat("{% if 1 %}", 100_000/10)
		for _, source := range []string{
			"{{ range(10**9) }}", "{% for i in range(10**9) %}x{% endfor %}", "{{ range(10**18) | length }}",
			"{% for i in range(1000000) %}{% for j in range(1000000) %}{% endfor %}{% endfor %}",
			"{% set r = range(1000) %}{% for i in r %}{% for j in r %}{% for k in r %}{% endfor %}{% endfor %}{% endfor %}",
			"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
			"{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
			"{% macro m(x=m()) %}{% endmacro %}{{ m() }}",
			"{% set s = '" + strings.Repeat("x", 10<<20) + "' %}" + strings.Repeat("{% set s = s + s %}", 40),
			"{% set s = '" + strings.Repeat("x", 200<<10) + "' %}" + strings.Repeat("{% set s = s + s %}", 40),
			"{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(1000) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
			"{% set ns = namespace(s=['x']) %}{% for i in range(1000) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
			"{% set ns = namespace(s=['x']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
			"{% set ns = namespace(s=['x']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == [ns.s] or ns.s | tojson }}",
			"{% set ns = namespace(s=['x'], t=['x']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
			"{% set ns = namespace(s=[]) %}{% for i in range(10000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
			"{{ 'x' * 10**12 }}", "{{ 'xy' * 9223372036854775807 }}", "{{ [1] | join('x' * 10**9) }}", "{{ ('x' * 10**6) | replace('x', 'y' * 10**6) }}",
			"{{ ('x' * 10**6) | indent(10**9) }}", "{{ ('\\n' * 10**6) | indent(1000) }}", "{{ [[1]] | tojson(indent=10**9) | length * 10**18 * 100 }}",
			"{% set s = 'x' * 10**6 %}{% for i in range(10**5) %}{{ 'y' in s }}{{ s.find('y') }}{% endfor %}",
			"{% set s = 'x' * 10**6 %}{% for i in range(10**5) %}{{ s.strip() | length }}{{ s | upper | length }}{% endfor %}",
			"{% set s = 'x ' * 10**6 %}{% for i in range(10**5) %}{% set y = s.split() %}{% endfor %}",
			"{% set s = '1' * 10**6 %}{% for i in range(10**5) %}{{ s | int }}{{ s | float }}{{ strftime_now(s) | length }}{% endfor %}",
			"{% set s = 'a' * 10**6 %}{% for i in range(10**5) %}{{ messages[0][s] }}{{ 'x'.startswith([s, s]) }}{% endfor %}",
			"{% set l = ('a ' * 50000).split() %}{% for i in range(10**5) %}{{ 'x'.startswith(l) }}{% endfor %}",
			"{% for i in range(10**5) %}" + strings.Repeat("x", 1000) + "{% endfor %}",
			"{{ 10**19 }}", "{{ 9223372036854775807 + 1 }}", "{{ 99999999999999999999 }}", "{{ 1e999 }}",
			"{{ " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000) + " }}", "{{ " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + " }}",
			"{{ " + strings.Repeat("-", 100_000) + "1 }}", "{{ " + strings.Repeat("not ", 50_000) + "1 }}", "{{ 1" + strings.Repeat("+1", 100_000) + " }}",
			"{{ 1" + strings.Repeat("|abs", 50_000) + " }}", "{{ a" + strings.Repeat(".a", 100_000) + " }}", "{{ a" + strings.Repeat("[0]", 50_000) + " }}",
			"{{ 1" + strings.Repeat(" if 1", 40_000) + " }}", "{{ 1" + strings.Repeat(" and 1", 40_000) + " }}", "{{ 2" + strings.Repeat("**2", 50_000) + " }}",
			"{{ 1" + strings.Repeat(" if 1 else 1", 20_000) + " }}", "{{ a" + strings.Repeat("()", 50_000) + " }}", block,
		} {
			refuses(t, source, "TEMPLATE_LIMIT")
		}
	})
	t.Run("R83 invalid", func(t *testing.T) {
		for _, source := range []string{
			"{% nosuchtag %}", "{% if %}", "{{", "{%", "{#", "{{ 1", "{% if 1 %}", "{% endif %}", "{{ 'x }}", "{{ ) }}", "{{ (] }}", "{{ '\\xq' }}", "{{ x | nofilter }}", "{{ x is notest }}",
			"{% for %}{% endfor %}", "{% block a %}{% endblock %}", "{% break %}", "{% macro m() %}{% break %}{% endmacro %}", "{{ ! }}", "{{ a.'b' }}", "{{ a[1:2:3:4] }}", "{{ a[] }}",
			"{% for i in x recursive %}{% endfor %}", "{% set a, b %}{% endset %}", "{{ \xff }}", "{% raw %}{% endraw %}",
		} {
			refuses(t, source, "TEMPLATE_INVALID")
		}
	})
	t.Run("R83 a filter or a test that is named while it runs, and does not exist", func(t *testing.T) {
		refuses(t, "{{ ['x']|map('no_such_filter') | list }}", "TEMPLATE_ERROR")
		refuses(t, "{{ ['x']|select('no_such_test') | list }}", "TEMPLATE_ERROR")
	})
	t.Run("R83 raise_exception", func(t *testing.T) {
		_, err := render("{{ raise_exception('roles must\n alternate') }}", hello, true)
		if fault.Code(err) != "TEMPLATE_ERROR" || !strings.Contains(err.Error(), `"roles must\n alternate"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("R83 generation is a no-op", func(t *testing.T) {
		text, err := render("a {% generation %}b{{ messages[0].content }}{% endgeneration %} c", hello, true)
		if err != nil || text.String != "a bhello c" {
			t.Errorf("got %q, %v", text.String, err)
		}
	})
}

// What a template costs does not depend on the length of a conversation that it goes through once.
func TestLongConversation(t *testing.T) {
	source, err := os.ReadFile("testdata/templates/qwen2.jinja")
	if err != nil {
		t.Fatal(err)
	}
	var messages []Message
	for range 5000 {
		messages = append(messages, Message{"user", "question"}, Message{"assistant", "answer"})
	}
	if _, err := render(string(source), messages, true); err != nil {
		t.Error(err)
	}
	if _, err := render(string(source), []Message{{"user", strings.Repeat("long\n", 1<<20)}}, true); err != nil {
		t.Error(err)
	}
}
