#!/bin/bash
# eval judge and eval score: win rates by hand, judges that buffer, die or print nonsense, the log of
# verdicts with which a run is continued and replayed.
set -u
. tests/report.bash
root=$PWD
cd "$TMP" || exit 1
case $BIN in /*) ;; *) BIN=$root/$BIN ;; esac
eval=$BIN/eval

run() { # CODE PATTERN command...
    local want=$1 pattern=$2 code
    shift 2
    "$@" >out 2>err </dev/null
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat err)"
    [ -z "$pattern" ] || grep -q -- "$pattern" err || fail "no '$pattern' from $*: $(cat err)"
    [ "$want" = 0 ] || [ ! -s out ] || fail "a table after a failure: $*"
}

# four pairs; the judge likes "good", in first place a little more
cat >a.jsonl <<'EOT'
{"row": 0, "sample": 0, "prompt": "p", "response": "good \"one\"\n", "tokens": 3, "finished": true}
{"row": 1, "sample": 0, "prompt": "q", "response": "good", "tokens": 1, "finished": true}
{"row": 2, "sample": 0, "prompt": "r", "response": "bad", "tokens": 1, "finished": true}
{"row": 3, "sample": 0, "prompt": "s", "response": "bad bad bad", "tokens": 1, "finished": true}
EOT
cat >b.csv <<'EOT'
row,sample,prompt,response
0,0,p,bad é
1,0,q,bad too
2,0,r,good
3,0,s,bad
EOT
# 0.75 where the first is good, 0.25 where the second is, 0.5 where neither is
cat >judge.sh <<'EOT'
while IFS= read -r line; do
    echo asked >>"$0.count"
    case $line in *'"response_a": "good'*) echo 0.75 ;; *'"response_b": "good'*) echo 0.25 ;; *) echo 0.5 ;; esac
done
EOT
run 0 '' $eval judge --a a.jsonl --b b.csv --judge 'sh judge.sh' --verdicts log.jsonl -o rows.csv --summary sum.csv
cp out table
# preferences 0.75 0.75 0.25 0.5: mean 0.5625; squares 0.140625 / 3 / 4 -> 0.119678; 2 wins, a draw
awk -F, 'NR == 2 && $1 == 56.25 && ($2 - 11.96789)^2 < 1e-8 && $3 == 2 && $4 == 1 && $5 == 1 &&
    $6 == 4 && $7 == 62.5 && $8 > 0 && $8 < 100 && $9 ~ /[0-9]/ && $10 > 5 && $11 == 7.25 && $12 == 4.75 && $13 == 50 { ok = 1 } END { exit !ok }' \
    sum.csv || fail "wrong numbers: $(cat sum.csv)"
[ "$(sed -n 1p rows.csv)" = row,sample,preference,a_first,b_first,length_a,length_b ] || fail "columns"
[ "$(sed -n 2p rows.csv)" = 0,0,0.75,0.75,0.25,11,5 ] || fail "rows: $(cat rows.csv)"
[ "$(wc -l <judge.sh.count)" = 8 ] || fail "not asked in both orders"

# replayed without the judge; continued where it was cut, in the middle of a line even
run 0 '' $eval judge --a a.jsonl --b b.csv --verdicts log.jsonl
cmp out table || fail "another table from the log"
run 0 '' $eval judge --a a.jsonl --b b.csv --verdicts log.jsonl --judge 'exit 9'
cmp out table || fail "another table from the log with a judge"
cp log.jsonl whole.jsonl
head -c 330 whole.jsonl >log.jsonl
rm judge.sh.count
run 0 '' $eval judge --a a.jsonl --b b.csv --judge 'sh judge.sh' --verdicts log.jsonl
cmp out table || fail "another table from the continued log"
cmp log.jsonl whole.jsonl || fail "the continued log differs"
[ "$(wc -l <judge.sh.count)" -lt 8 ] || fail "asked for what it had"
head -n 3 whole.jsonl >log.jsonl
run 2 '6 of 8 verdicts are not known; give --judge' $eval judge --a a.jsonl --b b.csv --verdicts log.jsonl
run 0 "verdicts of another judge, 'sh judge.sh'" $eval judge --a a.jsonl --b b.csv --verdicts log.jsonl --judge 'sh ./judge.sh'
run 0 "verdicts of another judge, 'sh ./judge.sh'" $eval judge --a a.jsonl --b b.csv --verdicts log.jsonl --judge 'false' # all are known
run 0 '' $eval judge --a a.jsonl --b b.csv --verdicts log.jsonl --dry-run
grep -q '^questions	0$' out || fail "the plan: $(cat out)"

# any pace; what was answered before a failure is kept
run 0 '' $eval judge --a a.jsonl --b b.csv --judge 'sh judge.sh | sort | sed s/.*/0.5/'
run 1 "exited with status 4 after 3 of 8" $eval judge --a a.jsonl --b b.csv --judge 'head -n 3 | sh judge.sh; exit 4' --verdicts part.jsonl
[ "$(wc -l <part.jsonl)" = 4 ] || fail "verdicts before the failure: $(cat part.jsonl)"
run 0 '' $eval judge --a a.jsonl --b b.csv --judge 'sh judge.sh' --verdicts part.jsonl
cmp out table || fail "another table after the failure"
run 1 'killed by signal 9' $eval judge --a a.jsonl --b b.csv --judge 'kill -9 $$'
run 1 'silent for' $eval judge --a a.jsonl --b b.csv --judge 'exec sleep 20' --timeout 0.3s
run 3 'printed 1 lines for 8' $eval judge --a a.jsonl --b b.csv --judge 'cat >/dev/null; echo 1'
run 3 "line 2 is '1.5', not a number from 0 to 1" $eval judge --a a.jsonl --b b.csv --judge 'echo 1; echo 1.5; cat'
run 3 'not a number' $eval judge --a a.jsonl --b b.csv --judge cat
echo '{}' >>log.jsonl
run 3 "'log.jsonl' line 11 is no verdict" $eval judge --a a.jsonl --b b.csv --judge cat --verdicts log.jsonl
run 2 'give --judge COMMAND' $eval judge --a a.jsonl --b b.csv
run 1 'cannot write' $eval judge --a a.jsonl --b b.csv --judge 'yes 1 | head -n 8' --verdicts none/log.jsonl
sed 4d b.csv >short.csv
run 3 'has 4 responses and .* has 3' $eval judge --a a.jsonl --b short.csv --judge cat
sed s/0,r/0,R/ b.csv >other.csv
run 3 "'a.jsonl' line 3 and 'other.csv' line 4 answer different prompts" $eval judge --a a.jsonl --b other.csv --judge cat
run 3 "no column 'response'; there are: row, sample, prompt, x" $eval judge --a a.jsonl --b <(sed s/response/x/ b.csv) --judge cat

# score: 1 for good, else 0; two inputs, two lines
scorer='while IFS= read -r line; do case $line in "{\"prompt\": \""?"\", \"response\": \"good"*) echo 1 ;; *) echo 0 ;; esac; done'
run 0 '' $eval score --scorer "$scorer" --input a.jsonl b.csv -o score.csv --summary sum.csv
[ "$(cut -d, -f1-3 sum.csv | tr '\n' ' ')" = 'input,responses,mean a.jsonl,4,0.5 b.csv,4,0.25 ' ] || fail "scores: $(cat sum.csv)"
awk -F, 'NR == 2 && ($4 - 0.5773502691896257)^2 < 1e-20 && ($5 - $4 / 2)^2 < 1e-20 { ok = 1 } END { exit !ok }' sum.csv ||
    fail "deviation: $(cat sum.csv)"
[ "$(sed -n '1p;3p;6p' score.csv | tr '\n' ' ')" = 'input,row,sample,score a.jsonl,1,0,1 b.csv,0,0,0 ' ] || fail "rows: $(cat score.csv)"
run 3 "line 1 is 'inf', not a number" $eval score --scorer 'echo inf; cat' --input a.jsonl
run 1 'status 3 after 0 of 4' $eval score --scorer 'exit 3' --input a.jsonl
run 2 'missing' $eval score --input a.jsonl

# a NUL is no text; all that a judge started ends with it; a stop keeps what was answered
run 3 'line 1 has a NUL byte' $eval judge --a a.jsonl --b b.csv --judge 'printf "1\\0000\\n"; cat'
run 3 'line 1 has a NUL byte' $eval score --scorer 'printf "1\\0\\n"; cat' --input a.jsonl
alive() { # and no zombie that nobody waits for
    grep -q '^State:.[RSDT]' "/proc/$(cat child)/status" 2>/dev/null
}
cat >slow.sh <<'S'
sleep 60 & # deaf to what ends its parent
echo $! >child
for i in 1 2 3; do read -r line && echo 1 && printf '%s\n' "$line" >>asked; done
wait
S
run 1 'silent for' $eval judge --a a.jsonl --b b.csv --judge 'trap "" TERM; sh slow.sh' --timeout 0.5s
sleep 0.2
alive && fail "the judge's child outlives it"
for what in judge score; do
    rm -f child stop.jsonl asked
    case $what in
    judge) command="judge --a a.jsonl --b b.csv --judge" ;;
    score) command="score --input a.jsonl b.csv --scorer" ;;
    esac
    $eval $command 'sh slow.sh' --verdicts stop.jsonl >out 2>err &
    pid=$!
    for i in $(seq 100); do [ "$(cat stop.jsonl 2>/dev/null | wc -l)" = 4 ] && break || sleep 0.1; done
    kill -TERM $pid
    wait $pid
    [ $? = 75 ] || fail "$what: exit $? after SIGTERM: $(cat err)"
    grep -q 'run the same command again' err || fail "$what: no word of the stop: $(cat err)"
    sleep 0.2
    alive && fail "the child of $what outlives it"
    [ "$(wc -l <stop.jsonl)" = 4 ] || fail "$what: what was answered is not kept: $(cat stop.jsonl)"
    asked=$(wc -l <asked)
    run 0 '' $eval $command 'while read -r line; do echo 1; printf "%s\n" "$line" >>asked; done' --verdicts stop.jsonl
    [ "$asked" = 3 ] && [ "$(sort asked | uniq -d | wc -l)" = 0 ] || fail "$what: asked again for what it had: $asked, $(cat asked)"
done
finish
