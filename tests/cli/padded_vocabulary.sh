#!/bin/bash
# Models of one tokenizer whose matrices have more or fewer rows of padding work together: pairs,
# references, teachers, caches, students, generation and evaluation, in both directions.
set -u
. tests/report.bash
config=$PWD/pipelines/smoke/config.json
cd "$TMP" || exit 1
case $BIN in /*) ;; *) BIN=$OLDPWD/$BIN ;; esac
must() { "$@" >out 2>err || fail "$*: $(tail -n 3 err)"; }

for i in $(seq 24); do
    printf '{"prompt":"the cat %d","response":"sat on mat %d","chosen":"sat on mat %d","rejected":"ran"}\n' $i $i $i
done >rows.jsonl
must "$BIN/import" -q --train-tokenizer rows.jsonl --vocab 280 -o tok.json
for rows in 300 352; do
    sed "1s/{/{ \"vocab_size\": $rows,/" "$config" >c$rows.json
    must "$BIN/import" -q --init c$rows.json --tokenizer tok.json --seed $rows -o m$rows.h5
    must "$BIN/tokenize" -q --model m$rows.h5 --kind pref --input rows.jsonl -o pairs$rows.h5
    must "$BIN/tokenize" -q --model m$rows.h5 --kind sft --input rows.jsonl -o sft$rows.h5
    must "$BIN/tokenize" -q --model m$rows.h5 --kind prompt --input rows.jsonl -o prompts$rows.h5
done
train='--steps 2 --batch-size 4 --lr 1e-3'
for here in 300 352; do
    there=$((652 - here))
    must "$BIN/sft" -q --model m$here.h5 --data sft$there.h5 $train -o s$here.h5
    must "$BIN/dpo-train" -q --model s$here.h5 --ref m$there.h5 --data pairs$there.h5 --reference ref$here.h5 $train -o d$here.h5
    must "$BIN/dpo-train" -q --model s$here.h5 --reference ref$here.h5 --data pairs$there.h5 $train --reverse -o r$here.h5
    must "$BIN/dpo-train" -q --model s$here.h5 --ref m$there.h5 --data pairs$here.h5 --loss tdpo1 $train -o tdpo$here.h5
done
for here in 300 352; do
    there=$((652 - here))
    must "$BIN/teacher-dump" -q --dpo d$here.h5 --reverse r$there.h5 --ref s$there.h5 --data pairs$there.h5 -o t$here.h5
    must "$BIN/teacher-dump" -q --dpo d$here.h5 --reverse r$here.h5 --student s$there.h5 --data pairs$here.h5 --layout components -o k$here.h5
    must "$BIN/shard" check t$here.h5 k$here.h5
    must "$BIN/shard" verify --dpo d$here.h5 --reverse r$there.h5 t$here.h5
    must "$BIN/distill" -q --model s$there.h5 --teacher t$here.h5 $train -o a$here.h5
    must "$BIN/distill" -q --model s$there.h5 --teacher k$here.h5 --dpo d$here.h5 --reverse r$there.h5 --watch-every 1 --ref s$here.h5 $train --log w.csv -o ak$here.h5
    must "$BIN/distill" -q --model s$there.h5 --on-policy --dpo d$here.h5 --reverse r$there.h5 --data prompts$here.h5 --max-new 4 $train -o p$here.h5
    must "$BIN/generate" -q --model a$here.h5 --data prompts$here.h5 --max-new 20 --temperature 5 --samples 4 --text g$here.jsonl -o g$here.h5
    must "$BIN/generate" -q --dpo d$here.h5 --reverse r$there.h5 --data prompts$here.h5 --max-new 4 -o gt$here.h5
    must "$BIN/aligndistil" eval kl --model a$here.h5 --base s$here.h5 --data sft$there.h5
    must "$BIN/aligndistil" eval pairs --dpo d$here.h5 --reverse r$there.h5 --ref s$there.h5 --data pairs$here.h5
done
must "$BIN/distill" -q --model s300.h5 --teacher t300.h5 t352.h5 $train -o both.h5

# no token of the padding was drawn or kept in a cache
used=$("$BIN/shard" stat m300.h5 | awk '$1 == "vocab_used" { print $2 }')
[ "$used" -gt 0 ] && [ "$used" -lt 300 ] || fail "no padding: '$used'"
for file in g300 g352 gt300 gt352 t300 t352 k352; do
    most=$("$BIN/shard" head --json --rows 1000 $file.h5 | grep -oE '"(ids|support)": *\[[^]]*\]' | grep -oE '[0-9]+' | sort -n | tail -1)
    [ -n "$most" ] && [ "$most" -lt "$used" ] || fail "$file: token '$most' of $used"
done
finish
