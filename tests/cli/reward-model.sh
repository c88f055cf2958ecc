#!/bin/bash
# Reward models: trained by dpo-train --loss reward to the same bytes on any threads and
# --micro-tokens and after a stop, their accuracy by eval pairs, best-of-n by them and by a command,
# what is refused, and their Hugging Face form.
set -u
. tests/lib.bash
world 60
options='--unit-tokens 256 --batch-size 16 --lr 3e-3 --epochs 10'
train() { quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 --loss reward $options "$@"; }

train -o rm.h5 --log rm.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    NR == 2 { first = $at["loss"] } { last = $at["loss"]; accuracy = $at["reward_accuracy"] }
    END { exit !((first - log(2)) ^ 2 < 1e-12 && last < 0.2 && accuracy == 1) }' rm.csv ||
    fail "it does not learn: $(tail -n 1 rm.csv)"
train -o other.h5 --threads 1 --micro-tokens 256
same other.h5 rm.h5 'other threads and micro-batches'
"$bin/dpo-train" -q --model base.h5 --data pairs.h5 --loss reward $options -o stopped.h5 --stop-after 0.05 >out 2>err
train -o stopped.h5
same stopped.h5 rm.h5 'stopped and resumed'
train -o reversed.h5 --reverse
quiet "$bin/eval" pairs --reward-model rm.h5 --data pairs.h5 --summary rm-pairs.csv
grep -q '^reward_model,60,1,0,' rm-pairs.csv || fail "accuracy: $(cat rm-pairs.csv)"
quiet "$bin/eval" pairs --reward-model reversed.h5 --data pairs.h5 --summary reversed.csv
grep -q '^reward_model,60,0,0,-' reversed.csv || fail "reversed: $(cat reversed.csv)"
quiet "$bin/eval" pairs --reward-model rm.h5 --dpo base.h5 --ref base.h5 --data pairs.h5
[ "$(grep -c -e '^reward_model' -e '^forward' out)" = 2 ] || fail "beside a DPO model: $(cat out)"
quiet "$bin/shard" check rm.h5
# in bf16 too, and in the plan
quiet "$bin/eval" pairs --reward-model rm.h5 --data pairs.h5 --precision bf16 --summary half.csv
cmp -s half.csv rm-pairs.csv && fail '--precision bf16 makes no difference'
plan() { "$bin/eval" pairs --data pairs.h5 --dry-run "$@" 2>err | awk '$1 == "memory_bytes" { print $2 }'; }
alone=$(plan --reward-model rm.h5) dpo=$(plan --dpo base.h5) both=$(plan --dpo base.h5 --reward-model rm.h5)
[ "$alone" -gt 0 ] && [ "$both" -gt "$dpo" ] || fail "plans of $alone, $dpo and $both bytes"

# best of eight: never below the first of them, and just what the scores say
sampling='--max-new 12 --seed 3'
quiet "$bin/generate" -q --model base.h5 --data prompts.h5 -o best.h5 --best-of 8 --reward-model rm.h5 $sampling
quiet "$bin/generate" -q --model base.h5 --data prompts.h5 -o all.h5 --samples 8 $sampling --text all.jsonl
cmp -s <("$bin/shard" head --json --rows 480 all.h5) <("$bin/shard" head --json --rows 480 best.h5.candidates.h5) ||
    fail 'the candidates are not those of --samples'
quiet "$bin/generate" -q --model base.h5 --data prompts.h5 -o again.h5 --best-of 8 --reward-model rm.h5 $sampling \
    --threads 1 --micro-tokens 64 --slots 3
same again.h5 best.h5 'best of eight on other threads'
# by a command: the longest response
cat >longest.awk <<'A'
{ match($0, /"response": ".*"/); print RLENGTH; fflush() }
A
quiet "$bin/generate" -q --model base.h5 --data prompts.h5 -o long.h5 --best-of 8 --scorer 'awk -f longest.awk' \
    $sampling --text long.jsonl
awk '{ match($0, /"response": ".*", "tokens"/); print RLENGTH }' all.jsonl |
    awk '{ if ($1 > most) most = $1 } NR % 8 == 0 { print most; most = 0 }' >want
awk '{ match($0, /"response": ".*", "tokens"/); print RLENGTH }' long.jsonl | cmp -s - want || fail 'not the longest'

expect 3 'reward model' "$bin/generate" --model rm.h5 --data prompts.h5 -o x.h5
expect 3 'reward model' "$bin/sft" --model rm.h5 --data sft-data.h5 -o x.h5
expect 3 'is a language model' "$bin/eval" pairs --reward-model base.h5 --data pairs.h5
expect 2 'goes with --scorer' "$bin/generate" --model base.h5 --data prompts.h5 -o x.h5 --best-of 4
expect 2 'scorer-timeout is for --scorer' "$bin/generate" --model base.h5 --data prompts.h5 -o x.h5 --best-of 4 \
    --reward-model rm.h5 --scorer-timeout 1m
expect 2 'choose one' "$bin/generate" --model base.h5 --data prompts.h5 -o x.h5 --best-of 4 --scorer cat --reward-model rm.h5
expect 3 'not a number' "$bin/generate" -q --model base.h5 --data prompts.h5 -o x.h5 --best-of 2 --scorer 'sed s/.*/no/' $sampling
expect 2 'have no reference' "$bin/dpo-train" --model base.h5 --data pairs.h5 -o x.h5 --loss reward --ref base.h5
expect 2 'beta' "$bin/dpo-train" --model base.h5 --data pairs.h5 -o x.h5 --loss reward --beta 0.5
[ ! -e x.h5 ] || fail 'x.h5 is there after all'

quiet "$bin/export" --model rm.h5 --format hf -o hf -q
grep -q '"LlamaForSequenceClassification"' hf/config.json || fail "architecture: $(cat hf/config.json)"
grep -q '"id2label": {"0": "LABEL_0"}' hf/config.json || fail 'one label'
grep -aq '"score.weight"' hf/model.safetensors && ! grep -aq '"lm_head.weight"' hf/model.safetensors || fail 'tensors'
finish
