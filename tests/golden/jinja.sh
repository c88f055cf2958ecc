#!/bin/bash
# What templates render to, against known answers that Jinja itself gave: templates/README.md.
. tests/lib.bash
stored=$root/tests/golden/templates
for file in "$stored"/*.jsonl; do
    "$root/$BUILD/tests/cli/render" --check <"$file" >out || fail "$file: $(cat out)"
    echo "$(basename "$file"): $(tail -n 1 out)"
done
finish
