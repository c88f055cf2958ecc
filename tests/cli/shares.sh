#!/bin/bash
# generate and eval in shares: the files of all shares are those of one run, whatever their order and their
# threads; the text follows when all are there; the rows of eval's shares, one after the other, are all rows.
. tests/lib.bash
world 60
teachers
sample="-q --model dpo.h5 --data prompts.h5 --samples 2 --max-new 12"
mkdir one shares
quiet "$bin/generate" $sample -o plain.h5 --text plain.jsonl
quiet "$bin/generate" $sample --rows-per-shard 25 -o one/g.h5 --text one/g.jsonl
[ "$(head -n 5 out | sed 's,.*/,,' | tr '\n' ' ')" = "$(ls one/*.h5 | sed 's,.*/,,' | tr '\n' ' ')" ] || fail "paths: $(cat out)"
same plain.jsonl one/g.jsonl 'in one file and in five'
for share in 2 0 3 1; do
    quiet "$bin/generate" $sample --threads $((share % 2 + 1)) --slots $((share + 1)) --rows-per-shard 25 --shard $share/4 -o shares/g.h5
done
for file in one/*.h5; do same $file shares/${file#one/} 'the shares of a generation'; done
[ "$(ls shares | wc -l)" = "$(ls one/*.h5 | wc -l)" ] || fail "files: $(ls shares)"
"$bin/generate" ${sample#-q} --rows-per-shard 25 -o shares/g.h5 --text shares/g.jsonl >out 2>err || fail "$(cat err)"
grep -q 'is up to date' err || fail "sampled again: $(cat err)"
same plain.jsonl shares/g.jsonl 'the text of the shares'
quiet "$bin/shard" merge one/*.h5 -o merged.h5
[ "$("$bin/shard" head --rows 200 --json merged.h5)" = "$("$bin/shard" head --rows 200 --json plain.h5)" ] || fail 'merged'
quiet "$bin/generate" $sample --rows-per-shard 1000 --shard 1/3 -o empty.h5
expect 2 'needs --rows-per-shard' "$bin/generate" $sample -o x.h5 --shard 0/2
expect 2 'is not I/N' "$bin/generate" $sample -o x.h5 --rows-per-shard 25 --shard 2/2
expect 2 'needs all shares' "$bin/generate" $sample -o x.h5 --rows-per-shard 25 --shard 0/2 --text x.jsonl

rows() { # FILE COMMAND...: all rows, and those of three shares
    local file=$1 share
    shift
    quiet "$@" -o all-$file
    for share in 0 1 2; do quiet "$@" --threads 1 --micro-tokens 100 --shard $share/3 -o $share-$file; done
    { cat 0-$file; tail -q -n +2 1-$file 2-$file; } >joined
    same joined all-$file "the shares of $*"
    [ "$(wc -l <1-$file)" -gt 3 ] || fail "no rows in a share of $*"
}
rows nll.csv "$bin/eval" nll -q --model dpo.h5 --data sft-data.h5 --per-token
rows kl.csv "$bin/eval" kl -q --model dpo.h5 --base sft.h5 --data sft-data.h5
rows pairs.csv "$bin/eval" pairs -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5
rows tokens.csv "$bin/eval" tokens -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data sft-data.h5
expect 2 'is not I/N' "$bin/teacher-dump" -q --dpo dpo.h5 --ref sft.h5 --negative ref --data sft-data.h5 -o x.h5 --rows-per-shard 25 --shard ' 1/-3'
expect 2 'is not I/N' "$bin/eval" nll --model dpo.h5 --data sft-data.h5 --shard 3/3
expect 2 'at most the 60 rows' "$bin/eval" nll --model dpo.h5 --data sft-data.h5 --shard 3/61
finish
