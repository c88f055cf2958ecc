#!/bin/bash
# generate and tokenize, stopped and killed at random times: the bytes of an undisturbed run.
. tests/lib.bash
echo "DISTURB_SEED=$seed"
world 120
quiet "$bin/generate" -q --model base.h5 --data prompts.h5 --samples 6 --max-new 30 --seed 5 \
    --threads 1 -o alone.h5 --text alone.jsonl
disturb_all g.h5 g.h5.spool "$bin/generate" -q --model base.h5 --data prompts.h5 --samples 6 \
    --max-new 30 --slots 8 --checkpoint-every 0.05 --seed 5
same g.h5 alone.h5 'other slots and threads'

# a stop keeps the responses that are complete, though all are in progress together
generate="$bin/generate -q --model base.h5 --data prompts.h5 --samples 6 --max-new 30 --slots 200 --seed 5"
expect 75 '' $generate -o k.h5 --stop-after 0.000001
none=$(stat -c %s k.h5.spool)
for after in $(afters); do
    rm -f k.h5*
    $generate -o k.h5 --stop-after $after >out 2>err </dev/null
    [ $? = 75 ] && [ "$(stat -c %s k.h5.spool)" -gt $none ] && break
done
[ -e k.h5.spool ] && [ "$(stat -c %s k.h5.spool)" -gt $none ] || fail 'a stop keeps nothing'
quiet $generate -o k.h5
same k.h5 alone.h5 'stopped on the way'
"$bin/generate" -q --model base.h5 --data prompts.h5 --samples 6 --max-new 30 --seed 5 -o g.h5 \
    --text g.jsonl >out 2>err || fail "the text afterwards: $(cat err)"
same g.jsonl alone.jsonl 'the text afterwards'
[ "$(wc -l <g.jsonl)" = 720 ] || fail "not 720 lines of text"

mkdir more && cd more && data 40000 && cd ..
tokenize="$bin/tokenize -q --tokenizer tok.json --checkpoint-every 0.05 --rows-per-shard 5000"
disturb_all p.h5 p.h5.spool $tokenize --kind pref --input more/pairs.csv
cp more/sft.csv feed
disturb_all s.h5 s.h5.spool $tokenize --kind sft --input -
finish
