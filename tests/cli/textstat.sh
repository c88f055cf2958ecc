#!/bin/bash
# The statistics of an experiment's texts, on rows written by hand.
set -u
. tests/report.bash
bin=$(cd "$BIN" && pwd)
cd "$TMP" || exit 1
cat >a.jsonl <<'E2'
{"prompt": "Is 1 < 2 & \"so\"?", "response": "Yes <b>it</b> is.", "tokens": 4}
{"prompt": "Next", "response": "yes it is", "tokens": 2}
E2
expected=$'responses,tokens,ended,distinct_2\n2,3,50,1'
[ "$("$bin/textstat" a.jsonl)" = "$expected" ] || fatal "textstat: $("$bin/textstat" a.jsonl)"
printf 'response\n"one two one two one."\n' >b.csv
[ "$("$bin/textstat" b.csv | tail -n 1)" = '1,,100,0.5' ] || fatal "textstat: $("$bin/textstat" b.csv)"
printf 'response\n' >c.csv
"$bin/textstat" c.csv >log 2>&1
[ $? = 3 ] || fatal 'an empty file is no error'
