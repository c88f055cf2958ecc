#!/bin/bash
# Renderings against Jinja itself where it is installed (python3-jinja2), for our templates of
# tests/golden/templates and the models' own in ../shared; and against npm's @huggingface/jinja where
# node finds it (HF_JINJA names its folder). Where the two disagree, jinja2, which transformers runs,
# is right.
shared=$PWD/../shared/data/configs/chat_templates
stored=$PWD/tests/golden/templates oracle=$PWD/tests/oracle
. tests/lib.bash
python=python3
python3 -c 'import jinja2' 2>/dev/null || python=/usr/bin/python3
$python -c 'import jinja2' 2>/dev/null || skip "no jinja2 for python3 (python3-jinja2)"
node_jinja=${HF_JINJA:-$(npm root -g 2>/dev/null)/@huggingface/jinja}
templates=("$stored"/*.jinja)
[ -d "$shared" ] && templates+=("$shared"/*.jinja)

$python "$oracle/template_cases.py" "$stored" "${templates[@]}" >cases || fatal "no cases"
"$bin/../tests/cli/render" <cases >ours || fatal "render fails"
$python "$oracle/render_jinja.py" <cases >right || fatal "jinja2 fails"
[ ! -e "$node_jinja/dist/index.js" ] ||
    node "$oracle/render_jinja.mjs" "$node_jinja" <cases >second || fatal "node fails"
$python - <<'P' || problems=1
import json, os, sys
def lines(name):
    with open(name, encoding="utf-8", newline="\n") as f:
        return [json.loads(line) for line in f.read().split("\n")[:-1]]
refused = lambda x: isinstance(x, dict)
cases, ours, right = lines("cases"), lines("ours"), lines("right")
second = lines("second") if os.path.exists("second") else right
wrong = other = 0
assert len(cases) == len(ours) == len(right) == len(second) > 500
for case, have, want, node in zip(cases, ours, right, second):
    other += not refused(node) and not refused(want) and node != want
    if refused(have) != refused(want) or not refused(have) and have != want:
        wrong += 1
        print(case["template"][:80], json.dumps(case["variables"])[:200], have, want, sep="\n  ")
print(f"{len(cases)} renderings, {wrong} differ from jinja2's; @huggingface/jinja"
      f" {'differs from jinja2 in ' + str(other) if second is not right else 'is not here'}")
sys.exit(wrong > 0)
P
finish
