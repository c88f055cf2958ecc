#!/usr/bin/env python3
# The same as tests/cli/render.c by Jinja itself, in the environment that transformers sets up: each
# line of stdin {"template", "variables"}, each line of stdout the text or {"error": ...}.
import datetime
import json
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import CallBlock
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return CallBlock(self.call_method("write"), [], [], body).set_lineno(line)

    def write(self, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                            extensions=[Generation, loopcontrols])
environment.filters["tojson"] = to_json
environment.globals["raise_exception"] = refuse
environment.globals["strftime_now"] = lambda f: datetime.datetime(2024, 7, 26).strftime(f)

for line in sys.stdin:
    case = json.loads(line)
    try:
        text = environment.from_string(case["template"]).render(**case["variables"])
        print(json.dumps(text, ensure_ascii=False))
    except Exception as e:  # whatever a template may raise
        print(json.dumps({"error": f"{type(e).__name__}: {e}"}, ensure_ascii=False))
