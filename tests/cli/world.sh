#!/bin/bash
# The embedded world and its gold reward as programs: seeds, splits, scores, pairs, judging.
set -u
. tests/report.bash
expect() { # CODE TEXT COMMAND...: exit code, and a text that stdout or stderr holds
    local code=$1 text=$2 out
    shift 2
    out=$("$@" 2>&1)
    local got=$?
    [ $got = "$code" ] || fatal "'$*' exited $got, not $code: $out"
    [[ $out == *"$text"* ]] || fatal "'$*' does not say '$text': $out"
}
bin=$(cd "$BIN" && pwd)
world=$bin/world
gold=$bin/gold
cd "$TMP" || exit 1

# one seed, the same bytes; another, another world
expect 0 a.csv "$world" corpus --seed 3 --rows 300 -o a.csv
expect 0 b.csv "$world" corpus --seed 3 --rows 300 -o b.csv
expect 0 c.csv "$world" corpus --seed 4 --rows 300 -o c.csv
cmp -s a.csv b.csv || fatal 'the same seed wrote other bytes'
cmp -s a.csv c.csv && fatal 'another seed wrote the same bytes'
"$world" corpus --seed 3 --rows 300 | cmp -s - a.csv || fatal 'stdout differs from the file'
[ "$(wc -l <a.csv) $(head -1 a.csv)" = '301 prompt,response' ] || fatal 'corpus has another form'
"$world" corpus --seed 3 --rows 200 | cmp -s - <(head -201 a.csv) || fatal 'rows depend on --rows'

# splits: no prompt in two, no prompt twice, and the corpus keeps to its split
for split in train valid test; do
    expect 0 "$split.csv" "$world" prompts --rows 2000 --split "$split" -o "$split.csv"
    [ "$(head -1 "$split.csv")" = prompt,kind,topic ] || fatal 'prompts have another form'
    tail -n +2 "$split.csv" >"$split.rows"
    [ "$(sort -u "$split.rows" | wc -l)" = 2000 ] || fatal "'$split' repeats a prompt"
done
[ "$(cat ./*.rows | sort -u | wc -l)" = 6000 ] || fatal 'splits share prompts'
expect 0 v.csv "$world" corpus --rows 500 --split valid -o v.csv
cat train.rows test.rows | grep -v "^\"" | cut -d, -f1 | sort -u >others
[ -z "$(tail -n +2 v.csv | grep -v "^\"" | cut -d, -f1 | sort -u | comm -12 - others)" ] ||
    fatal 'the corpus of valid has prompts of another split'
expect 2 "give 'corpus' or 'prompts'" "$world" --rows 3
expect 2 'unknown option' "$world" corpus --sead 3
expect 1 "cannot write" "$world" corpus -o none/x.csv

# score: CSV and JSONL, one number per row, parts that add up
cat >rows.jsonl <<'END'
{"row":0,"sample":0,"prompt":"Describe a fox.","response":"A fox is a furry animal.","finished":true}
{"row":0,"sample":1,"prompt":"Describe a fox.","response":"A boat is, \"well\", nice"}

{"row":1,"sample":0,"prompt":"Describe a fox.","response":"A fox. A fox."}
{"row":1,"sample":1,"prompt":"Describe a fox.","response":"A fox. A fox."}
{"row":2,"sample":0,"prompt":"Describe a fox.","response":""}
END
[ "$("$gold" rows.jsonl | tr '\n' ' ')" = '2.25 -2.65 2 2 -1 ' ] || fatal 'other scores'
[ "$("$gold" score - <a.csv | wc -l)" = 300 ] || fatal 'the CSV has other rows'
"$gold" --parts a.csv >parts || fatal 'no parts'
awk 'NR > 1 { s = 0; for (i = 2; i <= NF; i++) s += $i; d = s - $1
    if (d > 1e-4 || d < -1e-4) exit 1 }' parts || fatal 'parts do not add up'
printf 'response,prompt\r\n"A ""fox"",\nis a furry animal.",Describe a fox.\r\n' >odd.csv
[ "$("$gold" odd.csv)" = 2.25 ] || fatal 'a quoted CSV is read otherwise'
[ "$("$gold" --world stories rows.jsonl | sed -n 1,2p | tr '\n' ' ')" = '1 -0.6 ' ] ||
    fatal 'other scores of stories'
[ -z "$("$gold" </dev/null)" ] || fatal 'nothing has a score'
expect 3 "'stdin' line 2" "$gold" <<<'{"prompt":"a","response":"b"}
{"prompt":"a"}'
expect 3 "no column 'response'" "$gold" <<<'prompt,answer'
expect 3 "invalid JSON in 'stdin'" "$gold" <<<'{"prompt":'
expect 1 "cannot open 'none'" "$gold" score none
expect 2 "unexpected 'b'" "$gold" a b
expect 1 "cannot write to 'stdout'" bash -c "$gold a.csv >/dev/full"

# label: pairs of one row's samples; noise by seed; the report
expect 0 '1 pairs, 100.0 %' "$gold" label --noise none rows.jsonl -o pairs.csv
printf '%s\n' prompt,chosen,rejected \
    'Describe a fox.,A fox is a furry animal.,"A boat is, ""well"", nice"' | cmp -s - pairs.csv ||
    fatal "other pairs: $(cat pairs.csv)"
expect 0 '1 with equal texts skipped, 1 responses without a partner' "$gold" label rows.jsonl
{
    echo prompt,response
    for file in a.csv c.csv; do
        grep -v '^prompt\|^"' $file | sed 's/^[^,]*,/Tell me more.,/'
    done
} >two.csv # one prompt, hundreds of responses: pairs of neighbours
"$gold" label --seed 5 --scale 1 two.csv >l5 2>note || fatal "label: $(cat note)"
"$gold" label --seed 5 --scale 1 two.csv 2>/dev/null | cmp -s - l5 || fatal 'label is not repeatable'
"$gold" label --seed 6 --scale 1 two.csv 2>/dev/null | cmp -s - l5 && fatal 'label ignores its seed'
share=$(sed 's/.* pairs, \([0-9]*\).*/\1/' note)
[ "$share" -gt 60 ] && [ "$share" -lt 97 ] || fatal "noise of scale 1 leaves $share % right"
expect 0 ', 100.0 %' "$gold" label --scale 1e6 two.csv -o sure.csv
for i in $(seq 100); do
    for side in A B; do echo "{\"row\":$i,\"prompt\":\"p\",\"response\":\"$side.\"}"; done
done >sides.jsonl
first=$("$gold" label --scale 0 sides.jsonl 2>/dev/null | grep -c '^p,A.,B.$')
[ "$first" -gt 30 ] && [ "$first" -lt 70 ] || fatal "a coin falls $first times of 100 on one side"
expect 3 'sample more' "$gold" label -o no.csv <<<'{"prompt":"a","response":"b"}'
[ ! -e no.csv ] || fatal 'a failed label left a file'

# judge: answers each line before it reads the next
coproc JUDGE { "$gold" judge --scale 2; }
ask() { # PROMPT A B
    printf '{"prompt":"%s","response_a":"%s","response_b":"%s"}\n' "$@" >&"${JUDGE[1]}"
    read -r -t 10 answer <&"${JUDGE[0]}" || fatal 'the judge does not answer'
}
ask 'Describe a fox.' 'A fox.' 'A fox.'
[ "$answer" = 0.5 ] || fatal "equal responses are judged $answer"
ask 'Describe a fox.' 'A fox is a furry animal.' 'A fox.'
[ "$answer" = 0.622459331 ] || fatal "2 times 0.25 is judged $answer"
exit 0
