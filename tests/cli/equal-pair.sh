#!/bin/bash
# Pairs whose responses are the same teach nothing: kept by --on-equal keep, a training on them alone
# leaves every weight as it is, by every loss that compares log-probabilities.
set -u
. tests/lib.bash
world 20
awk -F, 'NR == 1 { print "prompt,chosen,rejected"; next } { print $1 "," $2 "," $2 }' sft.csv >equal.csv
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input equal.csv --on-equal keep -o equal.h5
for loss in dpo cdpo ipo hinge simpo tdpo2; do
    quiet "$bin/dpo-train" -q --model base.h5 --data equal.h5 --loss $loss -o $loss.h5 --steps 2 --batch-size 8 --lr 1e-2
    "$bin/shard" diff base.h5 $loss.h5 >out 2>err
    ! grep -q 'weights/\|model\.' out || fail "$loss moves weights: $(head -n 3 out)"
done
quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 -o other.h5 --steps 2 --batch-size 8 --lr 1e-2
"$bin/shard" diff base.h5 other.h5 >out 2>err
grep -q 'model\.' out || fail 'a difference goes unseen'
finish
