#!/bin/bash
# tokenize: every kind, and each kind of bad input: one line, the exit code, nothing half-written.
set -u
. tests/report.bash
cd "$TMP" || exit 1
case $BIN in /*) ;; *) BIN=$OLDPWD/$BIN ;; esac

# run CODE PATTERN command...
run() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >out 2>err
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat err)"
    [ -z "$pattern" ] || grep -q -e "$pattern" err || fail "no '$pattern' from $*: $(cat err)"
}
# bad PATTERN arguments...: exit 3, the message is the last line, no output
bad() {
    run 3 "$@"
    [ "$(grep -vc "': .*, shape\|^tokenize:  *[0-9]* [rsd]" err)" = 1 ] || fail "not one line: $(cat err)"
    [ -e x.h5 ] && fail "an output after a failure: $*"
    rm -f x.h5*
}
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

printf 'the cat sat on the mat\nthe dog sat on the log\na "quoted" word, and more\n' >corpus.txt
$BIN/import -q --train-tokenizer corpus.txt --vocab 300 -o tok.json >/dev/null || fail "no tokenizer"
tok="$BIN/tokenize -q --tokenizer tok.json"
loud="$BIN/tokenize --tokenizer tok.json"

# the same rows in every syntax give the same tokens
printf 'prompt,response\n"the cat, ""sat""",on the mat\nthe dog,"sat\non the log"\n' >a.csv
printf '\xef\xbb\xbfprompt,response\r\n"the cat, ""sat""",on the mat\r\nthe dog,"sat\non the log"\r\n' >b.csv
printf '{"prompt":"the cat, \\"sat\\"","response":"on the mat"}\n{"prompt":"the dog","response":"sat\\non the log"}\n' >c.jsonl
printf '[%s,\n%s]' "$(head -1 c.jsonl)" "$(tail -1 c.jsonl)" >d.json
gzip -nc a.csv >e
printf 'question,answer\n"the cat, ""sat""",on the mat\nthe dog,"sat\non the log"\n' >f.csv
for f in a.csv b.csv c.jsonl d.json e; do
    $loud --kind sft --input $f --show 9 >show.$f 2>err || fail "$f: $(cat err)"
    sed 's/^.*line [0-9]*//' show.$f >shown
    [ $f = a.csv ] && cp shown want
    same want shown
done
$loud --kind sft --input f.csv --show 9 2>/dev/null | sed 's/^.*line [0-9]*//' | cmp - want || fail "aliases"
$loud --kind sft --input a.csv --map prompt=response,response=prompt --show 1 2>/dev/null | grep -q '(.*on.*{+.*the' || fail "--map"
grep -q '^  tokens ([0-9]*): <|bos|>|the|.*{+.*<|eos|>+}$' want || fail "show: $(cat want)"

# files: written, found again, the same from a pipe and by one thread
run 0 '2 rows in' $loud --kind sft --input a.csv -o a.h5
[ "$(cat out)" = a.h5 ] || fail "the path is not on stdout: $(cat out)"
run 0 'up to date' $loud --kind sft --input a.csv -o a.h5
cp a.h5 first.h5
run 0 '' $tok --kind sft --input - -o a.h5 --force --threads 1 <a.csv
same a.h5 first.h5
run 0 '' $tok --kind sft --input <(cat a.csv) -o fifo.h5
same fifo.h5 first.h5
run 0 '' $tok --kind pref --input c.jsonl --map chosen=response,rejected=prompt -o p.h5
run 0 '' $tok --kind prompt --input a.csv -o q.h5
run 0 '' $tok --kind text --input c.jsonl --map text=prompt -o t.h5

# text in pieces: every token but the first is trained once
run 0 'split into pieces' $loud --kind text --input corpus.txt --max-length 4 -o t.h5
rows=$(sed -n 's/.* \([0-9]*\) rows out.*/\1/p' err)
[ "$rows" -gt 3 ] || fail "no pieces: $(cat err)"
# ids as they are
echo '{"ids":[1,2,3],"prompt_length":1}' >ids.jsonl
run 0 'shape ids' $loud --kind sft --input ids.jsonl --show 1
echo '{"ids":[1,2,300]}' >ids.jsonl
bad 'outside the vocabulary' $tok --kind text --input ids.jsonl -o x.h5

# shards
run 0 '' $tok --kind prompt --input a.csv corpus.txt --rows-per-shard 2 -o s.h5
[ "$(wc -l <out)" = 3 ] && [ -e s-00002-of-00003.h5 ] || fail "shards: $(cat out err)"
# a split by prompt
for i in $(seq 200); do echo "{\"prompt\":\"the cat $(((i - 1) / 2))\",\"response\":\"mat $i\"}"; done >many.jsonl
run 0 'valid' $loud --kind sft --input many.jsonl --split valid=0.3 -o v.h5
[ -s v.h5 ] && [ -s v.valid.h5 ] || fail "no split"
[ "$(sed -n 's/.* \([0-9]*\) rows out (valid).*/\1/p' err | awk '{print $1 % 2}')" = 0 ] || fail "a prompt in both parts: $(cat err)"

# usage
run 2 'give one of' $BIN/tokenize --kind text --input a.csv -o x.h5
run 2 'output' $tok --kind text --input a.csv
run 2 'kind' $tok --input a.csv -o x.h5
run 2 'split' $tok --kind sft --input a.csv --on-long split -o x.h5
run 2 'split' $tok --kind sft --input a.csv --split valid=2 -o x.h5
run 2 'map' $tok --kind sft --input a.csv --map prompt -o x.h5
# names of --map: ours by any of its names, once, and a column that is there
run 2 "no field of that name" $tok --kind sft --input a.csv --map prmpt=response -o x.h5
run 2 "names 'prompt' twice" $tok --kind sft --input a.csv --map prompt=response,question=prompt -o x.h5
bad "no column 'missing', which --map has for 'prompt'" $tok --kind sft --input a.csv --map prompt=missing -o x.h5
bad "no column 'missing'" $tok --kind sft --input a.csv --map system=missing -o x.h5
echo '{"prompt": "the", "better": "cat", "output": "sat"}' >m.jsonl
bad "no column 'missing'" $tok --kind sft --input m.jsonl --map response=missing -o x.h5
$loud --kind sft --input m.jsonl --map output=better --show 1 2>/dev/null | tr -d '|' | grep -q 'the{+cat' || fail "--map by another name"
echo '{"prompt": "the", "response": "cat", "system": "sat", "system_prompt": "on"}' >m.jsonl
$loud --kind sft --input m.jsonl --map system=nothing --show 1 2>/dev/null | tr -d '|' | grep -q '>the{+cat' || fail 'a system text that --map leaves out'
# what a row of JSON need not have it may lack, in any order; `none` leaves a column out
printf '%s\n' '{"instruction": "the", "output": "cat"}' '{"instruction": "the", "context": "on", "output": "dog"}' >alpaca.jsonl
run 0 '2 rows out' $loud --kind sft --input alpaca.jsonl --map input=context -o alpaca.h5
tac alpaca.jsonl >capla.jsonl
run 0 '2 rows out' $loud --kind sft --input capla.jsonl --map input=context -o alpaca.h5
printf 'instruction,input,output\nthe,on,cat\n' >alpaca.csv
run 0 '1 rows out' $loud --kind sft --input alpaca.csv --map input=none -o alpaca.h5
bad "no column 'context'" $tok --kind sft --input alpaca.csv --map input=context -o x.h5
bad "no column 'missing'" $tok --kind sft --input a.csv --format completion --map prompt=missing -o x.h5
# what a file's name says is how it is read
printf 'text\nthe cat\n' >name.txt
cp name.txt name.csv
run 0 '2 rows out' $loud --kind text --input name.txt -o name.h5
run 0 '1 rows out' $loud --kind text --input name.csv -o name.h5
# a mask that is not that of the tokens after the prompt
echo '{"ids": [1, 2, 3, 4], "prompt_length": 1, "mask": [0, 1, 0, 1]}' >ids.jsonl
bad "its 'mask' is not" $tok --kind sft --input ids.jsonl -o x.h5
echo '{"ids": [1, 2, 3, 4], "prompt_length": 2, "mask": [false, false, true, true]}' >ids.jsonl
run 0 '' $tok --kind sft --input ids.jsonl -o ids.h5
echo '{"ids": [1, 2, 3, 4], "prompt_length": 2, "mask": [0, 0, 1, 1]}' >ids.jsonl
run 0 '' $tok --kind sft --input ids.jsonl -o x.h5
rm x.h5
run 2 'template' $tok --kind sft --input a.csv --template nonsense -o x.h5
run 2 'max-length' $tok --kind sft --input a.csv --max-length 1 -o x.h5
run 2 'max-length' $tok --kind sft --input a.csv --max-length -5 -o x.h5

# bad input
bad "'none.csv'" $tok --kind sft --input none.csv -o x.h5
bad "'none.json'" $BIN/tokenize -q --tokenizer none.json --kind sft --input a.csv -o x.h5
bad "corpus.txt" $BIN/tokenize -q --model corpus.txt --kind sft --input a.csv -o x.h5
bad "there are: prompt, response" $tok --kind pref --input a.csv -o x.h5
printf 'prompt,response\na,b\nc\n' >bad.csv
bad "line 3: 1 fields, but the header has 2" $tok --kind sft --input bad.csv -o x.h5
printf 'prompt,response\na,b\nc,"d\ne,f\n' >bad.csv
bad "unclosed quote in 'bad.csv' line 5 (the row begins at line 3)" $tok --kind sft --input bad.csv -o x.h5
printf 'prompt,response\na,b\nc,\xff\n' >bad.csv
bad "invalid UTF-8 in 'bad.csv' line 3" $tok --kind sft --input bad.csv -o x.h5
printf 'prompt,response\na,b\n,d\n' >bad.csv
bad "line 3: empty prompt" $tok --kind sft --input bad.csv -o x.h5
printf 'prompt,response\na,b\nc, \n' >blank.csv
run 0 '2 rows out' $loud --kind sft --input blank.csv -o blank.h5 # white space is text
printf 'prompt,response\na,b\nc,\n' >bad.csv
bad "line 3: empty response" $tok --kind sft --input bad.csv -o x.h5
printf 'prompt,response\n' >bad.csv
bad "no usable rows in 'bad.csv'" $tok --kind sft --input bad.csv -o x.h5
: >bad.csv
bad "no usable rows" $tok --kind sft --input bad.csv -o x.h5
printf '{"prompt":"a","response":"b"}\n{"prompt":"a"\n' >bad.jsonl
bad "invalid JSON in 'bad.jsonl' line 2" $tok --kind sft --input bad.jsonl -o x.h5
printf '{"prompt":"a","response":7}\n' >bad.jsonl
bad "'response' is not a text" $tok --kind sft --input bad.jsonl -o x.h5
gzip -c a.csv | head -c 30 >bad.gz
bad "truncated gzip file 'bad.gz'" $tok --kind sft --input bad.gz -o x.h5

bad "'a.h5' is an HDF5 file, not text" $tok --kind sft --input a.h5 -o x.h5
bad "no usable rows in '/dev/null'" $tok --kind sft --input /dev/null -o x.h5
run 1 "the output's name is empty" $tok --kind sft --input a.csv -o ''

# a stop while it waits for more of a pipe
mkfifo pipe
exec 9<>pipe
run 75 "stopped while it waited for 'stdin'" $tok --kind sft --input - -o x.h5 --stop-after 0.2 <&9
run 75 "stopped while it waited for 'pipe'" timeout -s INT --preserve-status 2 $tok --kind sft --input pipe -o x.h5
exec 9>&-

# skipping, and rows that are too long
printf 'prompt,response\nthe cat,on the mat\n,x\ny,\nz\nthe dog,on\n\xff,b\n' >bad.csv
run 0 '6 rows in' $loud --kind sft --input bad.csv --on-bad skip -o k.h5
for what in '1 skipped: empty prompt' '1 skipped: empty response' '1 skipped: # fields' '1 skipped: invalid UTF-8' '2 rows out'; do
    grep -q "$what" err || fail "the ledger lacks '$what': $(cat err)"
done
printf 'prompt,response\nthe,sat on the mat the mat the mat\nthe dog the dog the dog the dog the dog,on\nthe,dog\n' >long.csv
bad 'tokens, more than the --max-length of 6' $tok --kind sft --input long.csv --max-length 6 -o x.h5
run 0 '2 dropped: longer than 6' $loud --kind sft --input long.csv --max-length 6 --on-long drop -o l.h5
run 0 '1 dropped: no room' $loud --kind sft --input long.csv --max-length 6 --on-long truncate -o l2.h5
grep -q '2 rows out' err && grep -q ' 1 truncated' err || fail "truncated: $(cat err)"
bad "no usable rows" $tok --kind sft --input long.csv --max-length 2 --on-long truncate -o x.h5

# places that cannot be written
run 1 "" $tok --kind sft --input a.csv -o nowhere/x.h5
if [ -w /dev/full ]; then
    $tok --kind sft --input a.csv --show 2 >/dev/full 2>err
    [ $? = 1 ] || fail "a full stdout is not an error"
fi
$tok --kind sft --input a.csv --show 2 >&- 2>err
[ $? = 1 ] || fail "a closed stdout is not an error"
cp a.h5 before.h5
(ulimit -f 1; $tok --kind sft --input many.jsonl -o a.h5 >/dev/null 2>err; [ $? = 1 ]) || fail "a full disk: $(cat err)"
same a.h5 before.h5
ls -A | grep '^\.' && fail "left behind"
finish
