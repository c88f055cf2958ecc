#!/bin/bash
# limit: 900
# Training on several ranks: the same bytes, and the same log, for 1, 2 and 4 ranks of 1 or 2 threads, any
# --micro-tokens, with and without --shard-optimizer, and cut off again and again with another number of
# ranks each time. What is read and counted once is so for all.
. tests/lib.bash
needs_mpi
world 160
teachers
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 \
    --rows-per-shard 50 -o teacher.h5
cp out list
common="-q --unit-tokens 200 --batch-size 32 --steps 4 --lr 3e-3 --lanes 4"
policy="--on-policy --dpo dpo.h5 --reverse reverse.h5 --data prompts.h5 --max-new 12"
cases=(
    "sft --model base.h5 --data sft-data.h5 --valid sft-data.h5 --valid-every 2 --save-best"
    "sft --model base.h5 --data sft-data.h5 --lora-rank 4 --lora-dropout 0.1"
    "dpo-train --model sft.h5 --data pairs.h5 --valid pairs.h5"
    "dpo-train --model sft.h5 --data pairs.h5 --loss tdpo2"
    "distill --model sft.h5 --teacher $(tr '\n' ' ' <list) --divergence jsd:0.3"
    "distill --model sft.h5 $policy"
    "distill --model sft.h5 $policy --reward-level token"
    "distill --model sft.h5 --on-policy --dpo dpo.h5 --data prompts.h5 --max-new 12 --reward-level group --group 4 --inner-steps 2"
)
# The columns of a log but those of time, and of traffic, which one rank has not.
columns() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) skip[i] = $i ~ /second|sent/ }
        { s = ""; for (i = 1; i <= NF; i++) if (!skip[i]) s = s "," $i; print s }' "$1"
}
one() { # NAME RANKS OPTIONS...: case $case
    local name=$1 n=$2 stage=${case%% *}
    shift 2
    ranks "$n" "$mpi/$stage" ${case#* } $common "$@" -o "$name.h5" --log "$name.csv" >out 2>err
}
same_run() { # NAME WORDS
    same want.h5 "$1.h5" "$2"
    cmp -s <(columns want.csv) <(columns "$1.csv") || fail "$2: another log"
    [ "$(cat out)" = "$1.h5" ] || fail "$2: stdout: $(cat out)"
    ! grep -q 'warning' err || fail "$2: $(cat err)"
}
number=0
for case in "${cases[@]}"; do
    number=$((number + 1))
    mkdir $number && cd $number && ln -s ../*.h5 . || exit 1
    rm -f want.h5 # of the folder above
    "$mpi/${case%% *}" ${case#* } $common --threads 2 -o want.h5 --log want.csv >out 2>err ||
        fail "one rank: $case: $(cat err)"
    one two 2 --threads 2 --micro-tokens 300 || fail "two ranks: $case: $(cat err)"
    same_run two "two ranks of two threads: $case"
    one four 4 --threads 1 --shard-optimizer || fail "four ranks: $case: $(cat err)"
    same_run four "four ranks, sharded: $case"
    cut=0
    for try in $(seq 0 12); do # by ever longer runs of another number of ranks, sharded or not
        n=$((1 << try % 3))
        one cut $n --threads 1 --stop-after "$(awk -v t=$try 'BEGIN { print 0.002 * 2 ^ t }')" $([ $((try % 2)) = 1 ] || echo --shard-optimizer)
        code=$?
        [ $code = 75 ] || break
        cut=$((cut + 1))
    done
    [ $code = 0 ] || fail "cut off: exit $code: $case: $(cat err)"
    [ $cut -gt 0 ] || fail "never cut off: $case"
    echo "cut off $cut times: $case"
    same want.h5 cut.h5 "cut off: $case"
    ls -A | grep -e '\.ckpt$' -e '\.spool$' -e '\.tmp-' && fail "left behind: $case"
    cd ..
done
# an early stop comes at the same step
case="sft --model base.h5 --data sft-data.h5 --valid sft-data.h5 --valid-every 1 --patience 1"
common="-q --unit-tokens 200 --batch-size 32 --steps 40 --lr 3e-2 --lanes 2"
"$mpi/sft" ${case#* } $common -o want.h5 --log want.csv >out 2>err || fail "one rank, an early stop: $(cat err)"
[ "$(wc -l <want.csv)" -lt 30 ] || fail 'no early stop'
one early 2 --threads 1 || fail "an early stop: $(cat err)"
same_run early 'an early stop'
# a stream of shards, which rank 0 alone is given
stream="-q --unit-tokens 200 --batch-size 32 --steps 4 --lr 3e-3 --lanes 2 --model sft.h5 --teacher -"
"$mpi/distill" $stream -o want.h5 <list >out 2>err || fail "one rank, a stream: $(cat err)"
{ head -n 1 list; sleep 3; tail -n +2 list; } | ranks 2 "$mpi/distill" $stream -o stream.h5 >out 2>err || fail "a stream: $(cat err)"
same want.h5 stream.h5 'a stream of shards'
# the gradient of one lane is today's; more lanes are other bits
case=${cases[1]}
common="-q --unit-tokens 200 --batch-size 32 --steps 2 --lr 3e-3"
"$bin/sft" ${case#* } $common -o plain.h5 >out 2>err || fail "$(cat err)"
"$mpi/sft" ${case#* } $common --lanes 1 -o one-lane.h5 >out 2>err || fail "$(cat err)"
"$mpi/sft" ${case#* } $common --lanes 2 -o lanes.h5 >out 2>err || fail "$(cat err)"
ranks 2 "$mpi/sft" ${case#* } $common -o default.h5 >out 2>err || fail "$(cat err)"
same plain.h5 one-lane.h5 'one lane'
same lanes.h5 default.h5 'a lane for each rank'
cmp -s lanes.h5 plain.h5 && fail 'two lanes are one'
finish
