#!/bin/bash
# The page of an experiment and the statistics of its texts, on rows written by hand.
set -u
. tests/report.bash
bin=$(cd "$BIN" && pwd)
cd "$TMP" || exit 1
holds() { grep -qF -- "$1" page.html || fatal "the page has no '$1': $(cat page.html)"; }

cat >a.jsonl <<'E2'
{"prompt": "Is 1 < 2 & \"so\"?", "response": "Yes <b>it</b> is.", "tokens": 4}
{"prompt": "Next", "response": "yes it is", "tokens": 2}
E2
printf 'model,gold,gold_error,kl\nsft,1.234567,0.0456,\n"a,<b>",-12.5,0.1,30\n' >table.csv
printf 'row,position,token,alpha,text\n0,3,9,0.5, <s>\n0,4,9,-1,b\n1,3,9,0.25,c\n2,3,9,9,never\n' >tokens.csv
printf '<?xml version="1.0"?>\n<svg width="1"></svg>\n' >f.svg
cat >spec <<'E2'
title T & T
# nothing
heading H
text a < b
table table.csv
figure f.svg caption here
figure missing.svg no picture
responses 1 one=a.jsonl two=a.jsonl
heat 2 alpha tokens.csv
E2
[ "$("$bin/page" spec -o page.html)" = page.html ] || fatal 'the path is not printed'
holds '<title>T &amp; T</title>'
holds '<p>a &lt; b</p>'
holds '<td>1.23&nbsp;±&nbsp;0.05</td><td>–</td>'
holds '<td>a,&lt;b&gt;</td><td>-12.50&nbsp;±&nbsp;0.10</td><td>30</td>'
holds '<svg width="1"></svg>'
grep -q '<?xml' page.html && fatal 'the XML declaration of a figure is in the page'
[ "$(grep -c 'gnuplot was not found' page.html)" = 1 ] || fatal 'no note where a figure is missing'
holds 'Is 1 &lt; 2 &amp; &quot;so&quot;?'
[ "$(grep -c 'Yes &lt;b&gt;it&lt;/b&gt; is.' page.html)" = 2 ] || fatal 'a response is missing'
grep -q '>Next<' page.html && fatal 'more prompts than asked for'
holds 'title="-1.000">b</span></div>'
holds ' &lt;s&gt;</span>'
grep -q never page.html && fatal 'more rows than asked for in the heat map'

cp page.html before
for bad in 'text first' $'title T\nnonsense' $'title T\ntable' $'title T\nheat x alpha tokens.csv' \
    $'title T\ntable nowhere.csv' $'title T\nresponses 1 a.jsonl' ''; do
    printf '%s\n' "$bad" >bad
    "$bin/page" bad -o page.html >log 2>&1
    [ $? = 3 ] || fatal "a page of '$bad' is not refused: $(cat log)"
    cmp -s before page.html || fatal "a refused page replaced the one that was there"
done

expected=$'responses,tokens,ended,distinct_2\n2,3,50,1'
[ "$("$bin/textstat" a.jsonl)" = "$expected" ] || fatal "textstat: $("$bin/textstat" a.jsonl)"
printf 'response\n"one two one two one."\n' >b.csv
[ "$("$bin/textstat" b.csv | tail -n 1)" = '1,,100,0.5' ] || fatal "textstat: $("$bin/textstat" b.csv)"
printf 'response\n' >c.csv
"$bin/textstat" c.csv >log 2>&1
[ $? = 3 ] || fatal 'an empty file is no error'
