#!/bin/bash
# --valid of sft, dpo-train and distill: the loss of held-out rows is what the objective gives on
# them, the best weights are kept, patience ends a run, and a run that is cut off ends in the same
# bytes.
. tests/lib.bash
data 60
config 128
quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o tok.json
quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o base.h5
for part in pairs:pref sft:sft; do
    quiet "$bin/tokenize" -q --model base.h5 --kind ${part#*:} --input ${part%:*}.csv --split valid=0.4 -o ${part%:*}.h5
done
train="-q --unit-tokens 256 --batch-size 8 --lr 3e-3"
rows() { "$bin/shard" stat "$1" | awk '$1 == "rows" { print $2 }'; }
column() { # LOG NAME ROW (or last)
    awk -F, -v name="$2" -v row="${3:-last}" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i }
        NR > 1 && c { v = $c; if (row != "last" && $1 == row) { print v; v = ""; exit } } END { if (row == "last") print v }' "$1"
}
# agree WHAT A B: two numbers, up to rounding
agree() {
    awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && b != "" && d <= 2e-6 * (1 + (b < 0 ? -b : b))) }' ||
        fail "$1: $2 and $3"
}
# first STAGE ARGUMENTS...: the loss of the first step over all rows of a file, which is the loss of
# the model that it starts from
whole="-q --steps 1 --batch-size 1000 --unit-tokens 4096"

quiet "$bin/sft" $train --model base.h5 --data sft.h5 --valid sft.valid.h5 --valid-every 3 --log sft-log.csv -o s.h5
quiet "$bin/sft" $whole --model s.h5 --data sft.valid.h5 --log first.csv -o x.h5
quiet "$bin/sft" $train --model base.h5 --data sft.h5 --valid sft.valid.h5 --micro-tokens 100000000 --dry-run -o x.h5
awk '$1 == "memory_bytes" && $2 < 2 ^ 30 { n++ } END { exit n != 1 }' out || fail "more memory than the rows need: $(cat out)"
agree 'sft' "$(column sft-log.csv valid_loss)" "$(column first.csv loss 1)"

for loss in dpo tdpo1 simpo; do
    quiet "$bin/dpo-train" $train --model s.h5 --data pairs.h5 --valid pairs.valid.h5 --valid-every 2 --loss $loss --log $loss.csv -o $loss.h5
    ref='--ref s.h5'
    [ $loss != simpo ] || ref=
    quiet "$bin/dpo-train" $whole --model $loss.h5 $ref --data pairs.valid.h5 --loss $loss --log first.csv -o x.h5
    agree "$loss" "$(column $loss.csv valid_loss)" "$(column first.csv loss 1)"
    agree "$loss accuracy" "$(column $loss.csv valid_reward_accuracy)" "$(column first.csv reward_accuracy 1)"
    agree "$loss margin" "$(column $loss.csv valid_reward_margin)" "$(column first.csv reward_margin 1)"
done
quiet "$bin/dpo-train" $train --model s.h5 --data pairs.h5 --loss reward --valid pairs.valid.h5 --valid-every 1 --log reward.csv -o reward.h5
[ -n "$(column reward.csv valid_reward_accuracy)" ] || fail "reward: no accuracy: $(tail -n 1 reward.csv)"
quiet "$bin/dpo-train" $train --model s.h5 --data pairs.h5 --reverse -o reverse.h5

dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref s.h5"
quiet $dump --data pairs.h5 -o t.h5
quiet $dump --data pairs.valid.h5 --rows-per-shard 8 -o tv.h5
quiet $dump --data pairs.valid.h5 --layout components -o kv.h5
quiet $dump --data pairs.valid.h5 --alpha fixed:3 -o other.h5
quiet $dump --data pairs.h5 --layout components -o k2.h5
valid=$(ls tv-*-of-*.h5)
quiet "$bin/distill" $train --model s.h5 --teacher t.h5 --valid $valid --valid-every 2 --log distill.csv -o a.h5
quiet "$bin/distill" $whole --model a.h5 --teacher $valid --log first.csv -o x.h5
agree distill "$(column distill.csv valid_loss)" "$(column first.csv loss 1)"
agree 'distill kl' "$(column distill.csv valid_kl)" "$(column first.csv kl 1)"
[ "$(awk -F, 'NR == 2 { print NF }' distill.csv)" = "$(awk -F, 'NR == 4 { print NF }' distill.csv)" ] || fail 'rows of the log differ'
quiet "$bin/distill" $train --model s.h5 --teacher t.h5 --valid kv.h5 -o ak.h5
expect 2 "was dumped by another --alpha than the" "$bin/distill" $train --model s.h5 --teacher t.h5 --valid other.h5 -o x2.h5
expect 2 'need --valid' "$bin/distill" $train --model s.h5 --teacher t.h5 --patience 2 -o x2.h5
expect 2 'need --valid' "$bin/dpo-train" $train --model s.h5 --data pairs.h5 --save-best -o x2.h5
quiet "$bin/tokenize" -q --model base.h5 --kind prompt --input prompts.csv -o prompts.h5
quiet "$bin/distill" -q --on-policy --model s.h5 --dpo dpo.h5 --reverse reverse.h5 --data prompts.h5 --max-new 4 --steps 3 --batch-size 8 --valid tv-*.h5 --valid-every 1 --log on.csv -o on.h5
[ -n "$(column on.csv valid_kl)" ] || fail "on-policy: no valid_kl: $(head -n 1 on.csv)"

# validation does not change what is trained
quiet "$bin/distill" $train --model s.h5 --teacher t.h5 -o b.h5
"$bin/shard" diff a.h5 b.h5 >out 2>err
grep -q "attribute 'options'" out && ! grep -q weights out || fail "validation changed the weights: $(cat out err)"

# rows that are held out are other inputs than rows that are trained on
loud="--progress never --unit-tokens 256 --batch-size 8 --lr 3e-3 --steps 2"
for again in both.h5; do
    quiet "$bin/sft" -q $loud --model s.h5 --data sft.h5 sft.valid.h5 -o $again
    expect 0 '2 steps in' "$bin/sft" $loud --model s.h5 --data sft.h5 --valid sft.valid.h5 -o $again
    expect 0 'up to date' "$bin/sft" $loud --model s.h5 --data sft.h5 --valid sft.valid.h5 -o $again
    quiet "$bin/dpo-train" -q $loud --model s.h5 --data pairs.h5 pairs.valid.h5 -o $again
    expect 0 '2 steps in' "$bin/dpo-train" $loud --model s.h5 --data pairs.h5 --valid pairs.valid.h5 -o $again
    quiet "$bin/distill" -q $loud --model s.h5 --teacher kv.h5 k2.h5 -o $again
    expect 0 '2 steps in' "$bin/distill" $loud --model s.h5 --teacher kv.h5 --valid k2.h5 -o $again
done

# patience and the best weights; cut off and continued
stubborn="--lr 0.3 --epochs 6 --valid-every 1 --patience 3 --save-best"
for kind in dpo distill; do
    case $kind in
    dpo) set -- "$bin/dpo-train" -q --unit-tokens 256 --batch-size 8 --model s.h5 --data pairs.h5 --reference r.h5 --valid pairs.valid.h5 $stubborn ;;
    *) set -- "$bin/distill" -q --unit-tokens 256 --batch-size 8 --model s.h5 --teacher t.h5 --valid $valid $stubborn ;;
    esac
    quiet "$@" --log best.csv -o $kind-best.h5
    steps=$(awk -F, 'END { print $1 }' best.csv)
    [ "$steps" -lt 24 ] || fail "$kind: patience did not end it: $steps steps"
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "valid_loss") c = i; next }
        NR == 2 || $c < best { best = $c; at = NR } END { exit NR - at != 3 }' best.csv || fail "$kind: not three in vain: $(cut -d, -f1-3 best.csv)"
    best=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "valid_loss") c = i; next }
        NR == 2 || $c < best { best = $c; at = $1 } END { printf "%d %.6g %d\n", at, best, $1 }' best.csv)
    "$bin/shard" stat $kind-best.h5 | sed -n 's/^record.*"steps":\([0-9]*\),.*"valid_loss":\[[^,]*,\([^]]*\)\].*"steps_run":\([0-9]*\)}/\1 \2 \3/p' >kept
    [ "$(cat kept)" = "$best" ] || fail "$kind: the record is of other weights: $(cat kept), $best"
    quiet "$@" --valid-every 1 --stop-after 10m --threads 1 -o $kind-one.h5
    same $kind-best.h5 $kind-one.h5 "$kind by one thread"
    mv $kind-best.h5 want.h5
    disturb after 0.3 "*.ckpt *.spool" "$@" -o $kind-best.h5
    same $kind-best.h5 want.h5 "$kind, cut off $stops times"
done
finish
