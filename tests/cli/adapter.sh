#!/bin/bash
# Adapters through every stage: trained, dumped, distilled, merged; one base for many; refusals.
. tests/lib.bash
for p in import tokenize sft dpo-train teacher-dump distill generate eval merge shard; do
    [ -x "$bin/$p" ] || skip "$p is not built"
done
world 40
train="--unit-tokens 256 --batch-size 16 --steps 6 --lr 3e-3"
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o sft.h5 $train
lora="--lora-rank 4 --lora-alpha 8"
kind() { "$bin/shard" ls "$1" | awk 'NR == 2 { print $2 }'; }
hash_of() { "$bin/shard" ls "$1" | awk 'NR == 2 { print $NF }'; }

# the same bytes for any threads and micro-batches, with dropout, stopped and resumed
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o one.h5 $train $lora --lora-dropout 0.2 --threads 1
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o two.h5 $train $lora --lora-dropout 0.2 \
    --threads 2 --micro-tokens 512 --recompute
same one.h5 two.h5 'threads and micro-batches'
[ "$(kind one.h5)" = adapter ] || fail "kind $(kind one.h5)"
quiet "$bin/shard" check one.h5
python=${PYTHON:-/usr/bin/python3}
if $python -c 'import h5py, numpy' 2>/dev/null; then
    $python "$root/tests/oracle/read_file.py" check one.h5 >out || fail "h5py reads something else: $(cat out)"
fi
[ "$(stat -c %s one.h5)" -lt "$(($(stat -c %s base.h5) / 2))" ] || fail 'an adapter as large as its model'
rm two.h5
"$bin/sft" -q --model base.h5 --data sft-data.h5 -o two.h5 $train $lora --lora-dropout 0.2 \
    --stop-after 0.0001 >out 2>err
[ $? = 75 ] || fail 'not stopped'
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o two.h5 $train $lora --lora-dropout 0.2
same one.h5 two.h5 'stopped and resumed'
# validation, the best adapter, snapshots
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o best.h5 $train $lora --valid sft-data.h5 \
    --valid-every 2 --save-best --snapshot-every 3
[ "$(kind best.step-3.h5)" = adapter ] || fail 'no snapshot of the adapter'
quiet "$bin/shard" check best.h5 best.step-3.h5
printf 'x' | dd of=two.h5 bs=1 seek=$(($(stat -c %s two.h5) - 200)) conv=notrunc status=none
expect 3 'damaged' "$bin/shard" check two.h5

# the method by adapters on one base
for way in '' --reverse; do
    quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o dpo$way.h5 $train $lora $way \
        --reference reference.h5
done
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o tdpo.h5 $train $lora --loss tdpo1 --reference reference.h5
quiet "$bin/eval" pairs --dpo dpo.h5 --reverse dpo--reverse.h5 --ref sft.h5 --data pairs.h5 -o apart.csv
for way in '' --reverse; do
    quiet "$bin/merge" -q --model sft.h5 --adapter dpo$way.h5 -o merged$way.h5
done
[ "$(kind merged.h5)" = model ] || fail 'merged is no model'
quiet "$bin/eval" pairs --dpo merged.h5 --reverse merged--reverse.h5 --ref sft.h5 --data pairs.h5 -o merged.csv
paste -d, apart.csv merged.csv | awk -F, 'NR > 1 { for (i = 2; i <= NF / 2; i++) {
        d = $i - $(i + NF / 2); if (d < 0) d = -d; if (!(d <= 2e-4)) bad = 1 } }
    END { exit bad || NR < 30 }' || fail 'merged and unmerged models differ'
dump="--data pairs.h5 --top-k 16 --bits 32"
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse dpo--reverse.h5 --ref sft.h5 $dump -o teacher.h5
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse dpo--reverse.h5 --base-model sft.h5 $dump -o other.h5
quiet "$bin/distill" -q --model sft.h5 --teacher teacher.h5 -o aligned.h5 $train $lora
quiet "$bin/distill" -q --model sft.h5 --teacher teacher.h5 -o watched.h5 $train $lora \
    --dpo dpo.h5 --reverse dpo--reverse.h5 --ref sft.h5
[ "$(hash_of aligned.h5)" = "$(hash_of watched.h5)" ] || fail 'watching changes the student'
quiet "$bin/distill" -q --model sft.h5 --on-policy --dpo dpo.h5 --reverse dpo--reverse.h5 --ref sft.h5 \
    --data prompts.h5 --max-new 8 --unit-tokens 256 --batch-size 8 --steps 2 $lora -o policy.h5
quiet "$bin/generate" -q --model aligned.h5 --base-model sft.h5 --data prompts.h5 --max-new 8 -o responses.h5
quiet "$bin/eval" kl --model aligned.h5 --base sft.h5 --data responses.h5 -o kl.csv
awk -F, 'NR > 1 && $NF != 0 { n++ } END { exit !n }' kl.csv || fail 'the aligned model is its base'

# in bf16 the base is another model, and the reference follows it
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o half.h5 $train $lora --frozen-dtype bf16 \
    --reference half-reference.h5
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o half2.h5 $train $lora --frozen-dtype bf16 \
    --reference half-reference.h5 --threads 1
same half.h5 half2.h5 'bf16'

# refused
expect 3 'name its file with --base-model' "$bin/generate" -q --model aligned.h5 --data prompts.h5 -o x.h5
expect 3 'give its own base' "$bin/generate" -q --model aligned.h5 --base-model base.h5 --data prompts.h5 -o x.h5
expect 3 'aligndistil merge' "$bin/sft" -q --model aligned.h5 --data sft-data.h5 -o x.h5
expect 3 'of the model' "$bin/merge" -q --model base.h5 --adapter aligned.h5 -o x.h5
expect 2 'give --lora-rank' "$bin/sft" -q --model base.h5 --data sft-data.h5 -o x.h5 --lora-alpha 3
expect 2 'lora-targets' "$bin/sft" -q --model base.h5 --data sft-data.h5 -o x.h5 --lora-rank 3 --lora-targets q,w
[ ! -e x.h5 ] || fail 'an output of a refused run'
finish
