#!/bin/bash
# distill --reward-level group: it raises the score it is given (a command, a reward model, a DPO
# model's implicit reward); the same bytes on any threads and --micro-tokens and after a stop between
# two inner steps; what is refused.
set -u
. tests/lib.bash
export LC_ALL=C # lengths in bytes, for awk
world 40
quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 --loss reward --unit-tokens 256 --batch-size 16 --lr 3e-3 \
    --epochs 6 -o rm.h5
quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 --unit-tokens 256 --batch-size 16 --lr 3e-3 --epochs 2 -o dpo.h5
group="--model base.h5 --on-policy --reward-level group --data prompts.h5 --max-new 8 --batch-size 4 --group 8 \
    --unit-tokens 128 --lr 3e-3"

# the score is the length in characters: it grows
cat >length.awk <<'A'
{ match($0, /"response": ".*"/); print RLENGTH / 10; fflush() }
A
quiet "$bin/distill" -q $group --steps 30 --group-kl 0 --scorer 'awk -f length.awk' -o long.h5 --log long.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    NR <= 6 { before += $at["score"] / 5 } NR > 26 { after += $at["score"] / 5 } END { exit !(after > before + 0.3) }' long.csv ||
    fail "the score does not grow: $(cut -d, -f1-4 long.csv | sed -n '1,3p;29,31p')"

# inner steps: the first is at ratio 1, the others are clipped; a stop between them loses nothing
inner="$group --steps 12 --inner-steps 4 --reward-model rm.h5"
quiet "$bin/distill" -q $inner -o inner.h5 --log inner.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } (NR - 2) % 4 == 0 && $at["clipped"] != 0 { bad = 1 }
    { clipped += $at["clipped"]; score[int((NR - 2) / 4)] += $at["score"] / 4; last = $at["score"] }
    END { exit bad || !(clipped > 0) || (score[2] - last) ^ 2 > 1e-12 }' inner.csv || fail "inner steps: $(cat inner.csv)"
for how in '--threads 1 --micro-tokens 128' '--threads 3 --micro-tokens 4096 --slots 2' '--recompute'; do
    quiet "$bin/distill" -q $inner -o other.h5 $how
    same other.h5 inner.h5 "$how"
    rm other.h5
done
stopped=0
for after in 0.05 0.1 0.15 0.2 0.3; do
    "$bin/distill" -q $inner -o stopped.h5 --stop-after $after >out 2>err && continue
    [ -e stopped.h5.ckpt ] && stopped=$((stopped + 1))
    quiet "$bin/distill" -q $inner -o stopped.h5
    same stopped.h5 inner.h5 "stopped after $after s"
    rm stopped.h5
done
[ $stopped -gt 0 ] || echo 'no run was stopped'
quiet "$bin/distill" -q $inner -o every.h5 --checkpoint-every 1
same every.h5 inner.h5 'with a checkpoint at every step'

quiet "$bin/distill" -q $group --steps 3 --dpo dpo.h5 --ref base.h5 -o implicit.h5 --log implicit.csv
quiet "$bin/shard" check implicit.h5
quiet "$bin/distill" -q $group --steps 3 --dpo dpo.h5 --lora-rank 4 -o adapter.h5
# in bf16 the student starts at the reference, as in float32
quiet "$bin/distill" -q $group --steps 1 --dpo dpo.h5 --ref base.h5 --precision bf16 -o half.h5 --log half.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { exit !($at["kl_ref"] < 1e-9) }' half.csv || fail "kl_ref: $(cat half.csv)"
expect 2 'needs what scores' "$bin/distill" $group -o x.h5
expect 2 'needs what scores' "$bin/distill" $group --dpo dpo.h5 --reward-model rm.h5 -o x.h5
expect 2 'has no teacher' "$bin/distill" $group --reward-model rm.h5 --alpha tvd:1 -o x.h5
expect 2 'is for --reward-level group' "$bin/distill" --model base.h5 --on-policy --dpo dpo.h5 --reverse dpo.h5 --data prompts.h5 \
    --group 4 -o x.h5
expect 3 'is a language model' "$bin/distill" $group --reward-model base.h5 -o x.h5
expect 3 'not a number' "$bin/distill" -q $group --scorer 'sed s/.*/x/' -o x.h5
quiet "$bin/distill" -q $group --reward-model rm.h5 -o x.h5 --dry-run
[ ! -e x.h5 ] || fail 'a dry run left a file'
finish
