#!/bin/bash
# --alpha kl:K: alpha_t gives each position K nats from its base. The cache holds it, on any threads and
# after a stop the same bytes; what reads caches reads it; p* by it in training from a cache, on-policy,
# in generate and eval is one; what cannot give it is refused.
. tests/lib.bash
tools=$root/$BUILD/tests/cli
world 60
teachers
models="--dpo dpo.h5 --reverse reverse.h5 --ref sft.h5"
dump="$bin/teacher-dump -q $models --data pairs.h5"
train="-q --model sft.h5 --unit-tokens 256 --batch-size 16 --steps 3 --lr 1e-3"

# alpha as the definition in double has it, and the gradients that follow from it: K within reach and beyond
for rule in '--alpha kl:0.002' '--alpha kl:0.02 --recipe published' '--alpha kl:0.1 --base ref --plausible 0.1' \
    '--alpha kl:3 --plausible 0 --negative ref'; do
    quiet $dump $rule --top-k 300 --least 0 --bits 32 --force -o full.h5
    "$tools/dense_teacher" full.h5 sft.h5 dpo.h5 reverse.h5 sft.h5 >table || fatal "dense_teacher: $rule"
    awk '/adaptive/ && ++n && !($3 > 0.99999 && $4 < 0.002 && $5 > 0.999 && $5 < 1.001) { bad = 1 } END { exit bad || n != 2 }' table ||
        fail "$rule: $(cat table)"
    quiet "$bin/shard" verify $models --tolerance 0.0002 full.h5
done
# eval has the same numbers: KL to the base, where that is the reference, is K but at the bound
quiet "$bin/eval" tokens -q $models --data sft-data.h5 --base ref --alpha kl:0.02 -o tokens.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    { n++; a = $at["alpha"]; k = $at["kl"]; bound += a == 30; if (!(a > 0 && a <= 30) || (a < 30 && (k < 0.0199 || k > 0.0201)) || k > 0.0201) bad = 1 }
    END { exit bad || n < 100 || bound > n / 2 }' tokens.csv || fail "eval tokens: $(head -3 tokens.csv)"

# caches: bytes, stops, readers
quiet $dump --alpha kl:0.02 -o a.h5
for threads in 1 3; do
    quiet $dump --alpha kl:0.02 -o b.h5 --threads $threads --micro-tokens 300 --force
    same a.h5 b.h5 "$threads threads"
done
disturb_all c.h5 'c.h5.spool .' $dump --alpha kl:0.02 --checkpoint-every 5
same a.h5 c.h5 'after stops'
quiet $dump --alpha kl:0.02 -o s.h5 --rows-per-shard 25
cp out list
quiet "$bin/shard" merge -o m.h5 $(cat list)
same a.h5 m.h5 'merged'
quiet "$bin/shard" recode --bits 8 --top-k 20 -o recoded.h5 a.h5
quiet "$bin/shard" filter --rows 11: -o filtered.h5 a.h5
quiet $dump --alpha kl:0.02 --bits 32 -o plain.h5
quiet "$bin/shard" recode --bits 12 -o again.h5 plain.h5
for file in a recoded filtered plain again; do
    quiet "$bin/shard" verify $models $file.h5
    "$bin/shard" head --json --rows 40 $file.h5 >$file.h5.json || fail "shard head $file"
    alphas=$(grep -o '"alpha": *[0-9.e-]*' $file.h5.json | sort -u | wc -l)
    [ "$alphas" -gt 20 ] || fail "$file: $alphas alphas"
    [ $file = filtered ] || cmp -s <(grep -o '"alpha": *[0-9.e-]*' $file.h5.json) <(grep -o '"alpha": *[0-9.e-]*' a.h5.json) ||
        fail "$file has other alphas"
done
python=${PYTHON:-/usr/bin/python3}
if $python -c 'import h5py, numpy' 2>/dev/null; then
    for file in a recoded filtered plain again; do
        HDF5_PLUGIN_PATH=$root/$BUILD/plugin $python "$root/tests/oracle/read_file.py" check $file.h5 || fail "h5py reads something else of $file"
    done
fi
cp plain.h5 odd.h5
"$tools/poison" element odd.h5 alpha 1 7
expect 3 'alpha .* the teachers say' "$bin/shard" verify $models --rows 60 odd.h5
quiet "$bin/shard" report -q ${models% --ref*} --data pairs.h5 --student sft.h5 --alpha kl:0.02 --rows 30 --top-k 16 --bits 12 -o table.csv

# training: the cache, its shards, a validation cache; samples of the student; p* itself
quiet "$bin/distill" $train --teacher $(cat list) --threads 1 -o x.h5
quiet "$bin/distill" $train --teacher $(cat list) --threads 3 --micro-tokens 500 -o y.h5
same x.h5 y.h5 'distil on other threads'
quiet "$bin/distill" $train --teacher a.h5 --valid plain.h5 --valid-every 1 $models -o v.h5
quiet $dump --alpha kl:0.05 -o more.h5
quiet "$bin/distill" $train --teacher more.h5 --token-weight inverse-alpha -o z.h5
expect 2 'dumped by another --alpha than the kl:0.02' "$bin/distill" $train --teacher a.h5 --valid more.h5 -o no.h5
on="$train --on-policy $models --data prompts.h5 --max-new 12"
for level in distribution response; do
    quiet "$bin/distill" $on --reward-level $level --alpha kl:0.02 -o p-$level.h5 --threads 1
    quiet "$bin/distill" $on --reward-level $level --alpha kl:0.02 -o q-$level.h5 --threads 3
    same p-$level.h5 q-$level.h5 "on-policy, $level"
done
sample="$bin/generate -q $models --data prompts.h5 --max-new 16 --seed 3"
quiet $sample --alpha kl:0.02 -o g.h5 --text g.jsonl
quiet $sample --alpha kl:1 -o h.h5 --text h.jsonl
cmp -s g.jsonl h.jsonl && fail 'another K gives the same responses'
expect 0 '' $dump --alpha kl:0.02 --dry-run -o no.h5

# --target-kl finds K
expect 0 'strength .*: p\* is' "$bin/teacher-dump" --progress never $models --data pairs.h5 --base ref --alpha kl:0.02 \
    --target-kl 3 --target-rows 40 --max-new 16 -o t.h5
K=$(sed -n 's/.*strength [^:]*: p\* is \([0-9.]*\) .*/\1/p' err)
awk -v k="$K" 'BEGIN { exit !(k > 2.97 && k < 3.03) }' || fail "KL $K, not 3: $(cat err)"
"$bin/shard" stat t.h5 | grep -q 'alpha.*kl:' || strings -n 8 t.h5 | grep -q '"alpha":"kl:' || fail 'K is not recorded'

# what is refused
for K in 0 -1; do
    expect 2 "kl:K takes a K above 0 nats, not $K" $dump --alpha kl:$K -o no.h5
    expect 2 "kl:K takes a K above 0 nats, not $K" $sample --alpha kl:$K -o no.h5
    expect 2 "kl:K takes a K above 0 nats, not $K" "$bin/distill" $on --alpha kl:$K -o no.h5
    expect 2 "kl:K takes a K above 0 nats, not $K" "$bin/eval" tokens -q $models --data sft-data.h5 --alpha kl:$K -o no.csv
done
expect 2 "components does not keep.*--layout composed" $dump --alpha kl:0.02 --layout components -o no.h5
quiet $dump --alpha damped:1 --layout components -o parts.h5
expect 2 "kl:0.02 takes all logits.*components does not keep" "$bin/distill" $train --teacher parts.h5 --alpha kl:0.02 -o no.h5
expect 2 "kl:0.02 takes all logits.*components does not keep" "$bin/distill" $train --teacher a.h5 --valid parts.h5 -o no.h5
expect 2 "goes with --on-policy or a cache of layout components" "$bin/distill" $train --teacher a.h5 --alpha kl:0.1 -o no.h5
ls no.* 2>/dev/null && fail 'a refused run left a file'
finish
