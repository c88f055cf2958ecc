#!/bin/bash
# --continue: more --epochs for a run that was stopped or is finished; what it equals; what is refused.
. tests/lib.bash
world 40
few="--batch-size 8 --unit-tokens 256 --seed 3" # 5 steps an epoch
column() { awk -F, -v name=$2 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' "$1"; }
content() { "$bin/shard" ls "$1" | awk 'END { print $NF }'; }
recorded() { "$bin/shard" stat "$1" | sed -n 's/.*"continued":"\([0-9,]*\)".*/\1/p'; }
sft="$bin/sft --model base.h5 --data sft-data.h5 $few"
stop() { # OUT STEPS command...: the run of that command, stopped after so many steps
    local out=$1 steps=$2 log=$1.log.csv
    shift 2
    rm -f "$out"*
    "$@" --checkpoint-every 1 --log "$log" -o "$out" >out 2>err </dev/null &
    local pid=$!
    while [ "$(cat "$log" 2>/dev/null | wc -l)" -le "$steps" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -e "$out.ckpt" ] || fatal "no checkpoint of $*: $(cat err)"
}

# stopped, with a schedule that does not know the end: the bytes of the longer run but for the lineage
level="--schedule constant --warmup 2"
quiet $sft -q $level --epochs 80 -o long.h5
stop a.h5 20 $sft -q $level --epochs 40
expect 0 "continuing 'a.h5.ckpt' after step [0-9]*: from here on the learning rate is that of a run of 400 steps, 0.001 at the next one" \
    $sft $level --epochs 80 --continue -o a.h5 --log a.h5.log.csv
step=$(sed -n "s/.*continuing 'a.h5.ckpt' after step \([0-9]*\):.*/\1/p" err)
[ "$(content a.h5)" = "$(content long.h5)" ] || fail 'stopped at a constant rate: other weights than those of the longer run'
[ "$(recorded a.h5)" = "$step" ] || fail "recorded $(recorded a.h5), continued at $step"
[ "$(column a.h5.log.csv loss | wc -l)" = 400 ] || fail "the log has $(column a.h5.log.csv loss | wc -l) rows"
expect 0 'up to date' $sft $level --epochs 80 --continue -o a.h5
expect 0 '' $sft -q $level --epochs 80 -o a.h5 # without it: the run of another lineage, from its start
[ -z "$(recorded a.h5)" ] || fail 'continued, though it was not asked for'

# a cosine: the rates of the old run, then those of the new one
quiet $sft -q --epochs 40 --log old.csv -o x.h5
quiet $sft -q --epochs 80 --log new.csv -o x.h5
stop b.h5 30 $sft -q --epochs 40
cp b.h5.ckpt kept
quiet $sft -q --epochs 80 --continue --log b.h5.log.csv -o b.h5
step=$(recorded b.h5)
cmp -s <(column b.h5.log.csv lr) <(column old.csv lr | head -n $step; column new.csv lr | tail -n +$((step + 1))) || fail "other rates after step $step"
cmp -s <(column b.h5.log.csv loss | head -n $step) <(column old.csv loss | head -n $step) || fail 'other losses before'
# again, on one thread, stopped and resumed on the way: the same bytes
mv b.h5 want.h5
cp kept b.h5.ckpt
disturb after 0.05 'b.h5.ckpt' $sft -q --epochs 80 --continue --threads 1 --checkpoint-every 1 -o b.h5
[ $stops != 0 ] || fail 'never stopped: nothing was tested'
same want.h5 b.h5 'continued, stopped and resumed'
cp kept b.h5.ckpt
expect 1 "option 'epochs' was 40 and is 80" $sft -q --epochs 80 -o b.h5 --seed 3
rm -f b.h5*

# finished: without a memory of gradients the bytes of the longer run; with one, moments from zero
free="$level --adam-beta1 0 --adam-beta2 0"
quiet $sft -q $free --epochs 8 -o long.h5
quiet $sft -q $free --epochs 3 -o c.h5
expect 0 "continuing 'c.h5' after step 15: from here on the learning rate is that of a run of 40 steps, 0.001 at the next one; the moments of Adam begin at zero" \
    $sft $free --epochs 8 --continue -o c.h5
[ "$(content c.h5)" = "$(content long.h5)" ] || fail 'finished: other weights than those of the longer run'
[ "$(recorded c.h5)" = 15 ] || fail "recorded '$(recorded c.h5)'"
[ "$("$bin/shard" stat c.h5 | sed -n 's/^record\t//p' | jq .steps)" = 40 ] || fail 'the record counts other steps'
quiet $sft -q $free --epochs 9 --continue -o c.h5
[ "$(recorded c.h5)" = 15,40 ] || fail "twice: recorded '$(recorded c.h5)'"
[ "$(content c.h5)" != "$(content long.h5)" ] || fail 'nothing happened'
quiet $sft -q --epochs 3 -o d.h5
cp d.h5 start.h5
quiet $sft -q --epochs 8 --continue -o d.h5
mv d.h5 want.h5
cp start.h5 d.h5
disturb after 0.03 'd.h5.ckpt' $sft -q --epochs 8 --continue --threads 1 --checkpoint-every 1 -o d.h5
same want.h5 d.h5 'finished, continued, stopped and resumed'
# an adapter, and preferences
quiet $sft -q $free --lora-rank 2 --epochs 8 -o long.h5
quiet $sft -q $free --lora-rank 2 --epochs 3 -o e.h5
quiet $sft -q $free --lora-rank 2 --epochs 8 --continue -o e.h5
[ "$(content e.h5)" = "$(content long.h5)" ] || fail 'an adapter: other numbers than those of the longer run'
dpo="$bin/dpo-train -q --model want.h5 --data pairs.h5 $few $free"
quiet $dpo --epochs 4 -o long.h5
quiet $dpo --epochs 2 -o f.h5
quiet $dpo --epochs 4 --continue -o f.h5
[ "$(content f.h5)" = "$(content long.h5)" ] || fail 'dpo-train: other weights than those of the longer run'

# what is refused
cp start.h5 d.h5
expect 1 "option 'lr' was 0.001 and is 0.002; --continue changes --epochs and --steps alone" $sft -q --epochs 8 --lr 0.002 --continue -o d.h5
expect 1 "there is neither 'none.h5' nor 'none.h5.ckpt' to continue; leave out --continue to begin" $sft -q --epochs 8 --continue -o none.h5
expect 2 'the run has 15 steps already, and this is one of 5; give more --epochs' $sft -q --epochs 1 --continue -o d.h5
expect 2 'give one of them' $sft -q --epochs 8 --continue --force -o d.h5
expect 1 'belongs to another run: input 1 is another file' $bin/sft -q --model want.h5 --data sft-data.h5 $few --epochs 8 --continue -o d.h5
quiet $sft -q --epochs 3 --valid sft-data.h5 --save-best -o g.h5
expect 2 'save-best keeps a state that a finished run has not' $sft -q --epochs 8 --valid sft-data.h5 --save-best --continue -o g.h5
same start.h5 d.h5 'refused'
finish
