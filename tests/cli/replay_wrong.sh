#!/bin/bash
# Caches that do not go with the student, or not with each other: refused, or warned of.
. tests/lib.bash
tools=$(cd "$bin/../tests/cli" && pwd)
world 120
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --top-k 20"
distill="$bin/distill --progress never --unit-tokens 256 --batch-size 32 --lr 1e-3"
quiet $dump --data pairs.h5 -o t.h5

# another tokenizer, another vocabulary
head -n 60 corpus.txt | tr a-m n-z >other.txt
quiet "$bin/import" -q --train-tokenizer other.txt --vocab 300 -o other.json
quiet "$bin/import" -q --init config.json --tokenizer other.json --seed 1 -o other.h5
expect 3 "was tokenised by another tokenizer than the model's" $distill --model other.h5 --teacher t.h5 -o x.h5
sed 's/{/{"vocab_size": 400,/' config.json >wide.json
quiet "$bin/import" -q --init wide.json --tokenizer tok.json --seed 1 -o wide.h5
# a matrix with more rows of padding is no other vocabulary
expect 0 '' $distill --model wide.h5 --teacher t.h5 -o x.h5
rm x.h5

# shards of another dump, of other rows, one that is missing
head -n 1 pairs.csv >swapped.csv
sed 1d pairs.csv | tac >>swapped.csv
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input swapped.csv -o swapped.h5
quiet $dump --data pairs.h5 --rows-per-shard 60 -o a.h5
quiet $dump --data pairs.h5 --rows-per-shard 60 -o b.h5 --mass 0.9
quiet $dump --data swapped.h5 --rows-per-shard 60 -o c.h5
first=a-00000-of-00002.h5
expect 3 "'$first' and 'b-00001-of-00002.h5' are not of one set: option 'mass'" \
    $distill --model sft.h5 --teacher $first b-00001-of-00002.h5 -o x.h5
expect 3 "'$first' and 'c-00001-of-00002.h5' are not of one set: " \
    $distill --model sft.h5 --teacher $first c-00001-of-00002.h5 -o x.h5
expect 3 "'$first' is of a set of 2 parts, of which 1 came" $distill --model sft.h5 --teacher $first -o x.h5
# whole, they are several caches; made for different recipes or layouts, or other tokenizers, not
quiet $distill -q --model sft.h5 --teacher a-*.h5 b-*.h5 -o x.h5
quiet $dump --data pairs.h5 --recipe published --alpha tvd:2 -o d.h5
expect 3 "'t.h5' and 'd.h5' are caches of different recipes" \
    $distill --model sft.h5 --teacher t.h5 d.h5 -o x.h5
quiet $dump --data pairs.h5 --layout components -o e.h5
expect 3 "'t.h5' and 'e.h5' are caches of different layouts" \
    $distill --model sft.h5 --teacher t.h5 e.h5 -o x.h5

# a student that is not the reference of the dump: said, and done
expect 0 '' $distill --model sft.h5 --teacher t.h5 -o x.h5
grep -q 'not the model that the cache was made for' err && fail "the reference is not known: $(cat err)"
expect 0 'the student is not the model that the cache was made for' $distill --model dpo.h5 --teacher t.h5 -o x.h5

# Shifted by one, either way: a warning with numbers; by a stream as well. In these rows the words
# follow each other, but for some that break in, so that models know the one from the other.
awk 'function draw(k) { x = (x * 16807) % 2147483647; return x % k }
    function chain(n,  s) {
        k = draw(12); s = w[k + 1]
        while (--n > 0) { k = draw(4) ? (k + 1) % 12 : draw(12); s = s " " w[k + 1] }
        return s
    }
    BEGIN {
        x = 11; split("the cat sat on a mat dog ran to red hill home", w, " ")
        print "prompt,chosen,rejected" >"pairs.csv"; print "prompt,response" >"sft.csv"
        for (i = 0; i < 150; i++) {
            p = chain(3); c = chain(16)
            print p "," c "," chain(9) >"pairs.csv"; print p "," c >"sft.csv"
        }
    }'
quiet "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv -o chain-data.h5
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input pairs.csv -o chain.h5
train="--unit-tokens 256 --batch-size 16 --lr 1e-2"
quiet "$bin/sft" -q --model base.h5 --data chain-data.h5 -o sft.h5 $train --epochs 8
quiet "$bin/dpo-train" -q --model sft.h5 --data chain.h5 -o dpo.h5 $train --steps 3 --lr 1e-3
quiet "$bin/dpo-train" -q --model sft.h5 --data chain.h5 -o reverse.h5 $train --steps 3 --reverse --lr 1e-3
distill="$distill -q --steps 1"
for bits in 8 32; do
    quiet $dump --data chain.h5 --bits $bits -o s.h5
    quiet $distill --model sft.h5 --teacher s.h5 -o x.h5
    for by in before after; do
        "$tools/poison" shift s.h5 $([ $by = before ] && echo -1 || echo 1) shifted.h5 || fail 'poison'
        expect 0 "warning: the cache seems to be shifted by one: over [0-9]* positions .* $by it by 0\\.[0-9]*" \
            $distill --model sft.h5 --teacher shifted.h5 -o x.h5
        grep -o 'over [0-9]* pos.*' err
        [ $bits != 32 ] || grep -q 'does not hold the token that stands there' err || fail "no strangers: $(cat err)"
    done
done
echo shifted.h5 | $distill --model sft.h5 --teacher - -o y.h5 2>err >out
grep -q 'shifted by one' err || fail "a shifted stream: $(cat err)"
for model in dpo reverse base; do # whatever student, not if the cache is in its place
    quiet $distill --model $model.h5 --teacher s.h5 -o x.h5
done
finish
