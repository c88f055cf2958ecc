#!/bin/bash
# tokenize with a split, stopped and killed at any time, gives the bytes of an undisturbed run: both
# parts. (Without a split: fault/generate.)
. tests/lib.bash
echo "DISTURB_SEED=$seed"
awk 'BEGIN { print "prompt,response"
    for (i = 0; i < 30000; i++) print "the cat sat " i % 977 ",on the mat number " i " and the dog" }' >rows.csv
head -50 rows.csv >corpus.csv
quiet "$bin/import" -q --train-tokenizer corpus.csv --vocab 300 -o tok.json
disturb_all x.h5 'x.h5.spool x.valid.h5.spool' "$bin/tokenize" -q --tokenizer tok.json --kind sft --input rows.csv \
    --split valid=0.1 --checkpoint-every 0.05
[ "$(wc -l <want/list)" = 2 ] || fail "not two parts: $(cat want/list)"
finish
