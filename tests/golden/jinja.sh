#!/bin/bash
# What templates render to, against known answers that Jinja itself gave: templates/README.md.
# BLESS=1 asks Jinja again (python3 with jinja2).
stored=$PWD/tests/golden/templates oracle=$PWD/tests/oracle
. tests/lib.bash
if [ "${BLESS:-0}" = 1 ]; then
    python3 "$oracle/template_cases.py" --answers "$stored" "$stored"/*.jinja >made &&
        mv made "$stored/renderings.jsonl" || fatal "no answers: is python3-jinja2 installed?"
fi
for file in "$stored"/*.jsonl; do
    "$bin/../tests/cli/render" --check --folder "$stored" <"$file" >out ||
        fail "$file: $(tail -n 20 out)"
    echo "$(basename "$file"): $(tail -n 1 out)"
done
finish
