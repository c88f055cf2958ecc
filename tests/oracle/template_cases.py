#!/usr/bin/env python3
# Templates times conversations as cases for tests/cli/render.c and render_jinja.{py,mjs}:
#   template_cases.py FOLDER TEMPLATE.jinja...      a case a line on stdout
#   template_cases.py --answers FOLDER TEMPLATE.jinja...   the lines of renderings.jsonl, with what
#       Jinja renders of them
# FOLDER holds conversations.json.
import json
import os
import subprocess
import sys

answers = sys.argv[1] == "--answers"
folder, *templates = sys.argv[2 if answers else 1 :]
with open(os.path.join(folder, "conversations.json"), encoding="utf-8") as f:
    conversations = json.load(f)
sources = {}
for path in templates:
    with open(path, encoding="utf-8", newline="") as f:
        sources[os.path.basename(path)] = f.read()

cases = []
for name, conversation in conversations.items():
    for ask in (False, True):
        variables = dict(conversation, documents=None, add_generation_prompt=ask,
                         bos_token="<s>", eos_token="</s>")
        for thinking in (None, False) if ask else (None,):
            if thinking is not None:
                variables = dict(variables, enable_thinking=False)
            for template, source in sources.items():
                if thinking is not None and "enable_thinking" not in source:
                    continue
                cases.append((f"{name}, {'asks' if ask else 'whole'}", template, source, variables))

lines = [json.dumps({"template": c[2], "variables": c[3]}, ensure_ascii=False) for c in cases]
if not answers:
    print("\n".join(lines))
    sys.exit()
oracle = os.path.join(os.path.dirname(os.path.abspath(__file__)), "render_jinja.py")
made = subprocess.run([sys.executable, oracle], input="\n".join(lines) + "\n", check=True,
                      stdout=subprocess.PIPE, encoding="utf-8").stdout.split("\n")
last = None
for (name, template, _, variables), text in zip(cases, made):
    if variables is not last:
        print(json.dumps({"variables": variables}, ensure_ascii=False))
        last = variables
    print(json.dumps({"file": template, "want": json.loads(text)}, ensure_ascii=False))
