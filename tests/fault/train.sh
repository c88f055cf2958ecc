#!/bin/bash
# sft and dpo-train, stopped and killed at random times, end in the bytes of an undisturbed run.
. tests/lib.bash
echo "DISTURB_SEED=$seed"
world 300
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o sft.h5 --batch-size 16 --unit-tokens 256 --steps 6
options="--unit-tokens 256 --batch-size 16 --checkpoint-every 1 --lr 3e-3"
sft="$bin/sft $options --model base.h5 --data sft-data.h5 --epochs 6"
disturb_all a.h5 a.h5.ckpt $sft -q
disturb_all d.h5 'd.h5.ckpt d.h5.reference.h5.spool' "$bin/dpo-train" $options --model sft.h5 \
    --data pairs.h5 --epochs 2 -q

# With --checkpoint-every 1 a kill loses one step at most, and the log continues without a gap.
numbers() { cut -d, -f1-5 "$1"; } # without the speed and the time
head -n 1 log.csv 2>/dev/null
$sft -q -o b.h5 --log want.csv >out 2>err </dev/null || fail "with --log: $(cat err)"
same b.h5 a.h5 'with --log'
head -n 1 want.csv | grep -q '^step,loss,grad_norm,lr,epoch,tokens,tokens_per_second,seconds$' ||
    fail "the log's columns: $(head -n 1 want.csv)"
rm b.h5
reached=0
for i in 1 2 3 4 5 6; do
    pick 0.05 "$took"
    timeout --foreground -s KILL "$picked" $sft -o b.h5 --log log.csv >out 2>err </dev/null
    code=$?
    from=$(sed -n 's/.*continuing from .* at step \([0-9]*\)$/\1/p' err)
    if [ "$reached" -gt 1 ] && [ -s err ] && [ "${from:-0}" -lt $((reached - 1)) ]; then
        grep -q 'continuing' err && fail "step $reached was logged, but it continues at step $from"
    fi
    [ $code = 137 ] || break
    reached=$(tail -n 1 log.csv 2>/dev/null | cut -d, -f1)
    [[ $reached =~ ^[0-9]+$ ]] || reached=0
done
$sft -q -o b.h5 --log log.csv >out 2>err </dev/null || fail "after the kills: $(cat err)"
same b.h5 a.h5 'with --log and kills'
[ $code = 0 ] || diff <(numbers want.csv) <(numbers log.csv) >diff || fail "another log: $(head -n 5 diff)"
finish
