"""Makes golden.json: what jinja2, set up as transformers sets it up, makes of templates/*.jinja and of the lines of expressions.txt.

    pip install jinja2==3.1.6 && python3 make.py

An output of null is an error. A line of expressions.txt is a template; "\\n" in it is a line feed.
"""
import datetime, json
from pathlib import Path
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2 import nodes

HERE = Path(__file__).parent


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(["name:endgeneration"], drop_needle=True)).set_lineno(line)


def raise_exception(message):
    raise TemplateError(message)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None: json.dumps(x, ensure_ascii=ensure_ascii, indent=indent)
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2024, 2, 9, 15, 4, 5).strftime(f)

CONVERSATIONS = [
    [("user", "What is the capital of France?")],
    [("system", "Be brief."), ("user", " Hi \n"), ("assistant", "Hello!\n"), ("user", "Bye")],
    [("user", "a"), ("assistant", "<think>\nhm\n</think>\n\nb"), ("user", "'c' \"d\" <&> {{ e }} {% f %}"), ("assistant", "")],
    [("system", ""), ("user", "été 日本 🙂"), ("tool", "[1, 2]"), ("assistant", "x\ty")],
    [("assistant", "I begin"), ("user", "no")],
    [("system", "s1"), ("system", "s2"), ("user", "\n\nlines\n\nmore\n")],
    [],
]


def render(template, conversation, prompt):
    try:
        return env.from_string(template).render(
            messages=[{"role": r, "content": c} for r, c in conversation], tools=None, documents=None, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")
    except Exception:
        return None


golden = {"conversations": CONVERSATIONS, "templates": {}, "expressions": []}
for path in sorted(HERE.glob("templates/*.jinja")):
    golden["templates"][path.stem] = [[render(path.read_text(), c, prompt) for prompt in (False, True)] for c in CONVERSATIONS]
for line in (HERE / "expressions.txt").read_text().splitlines():
    if line:
        golden["expressions"].append([line, render(line.replace("\\n", "\n"), CONVERSATIONS[1], True)])
json.dump(golden, open(HERE / "golden.json", "w"), ensure_ascii=True, indent=1)
print(sum(o is None for _, o in golden["expressions"]), "errors of", len(golden["expressions"]))
