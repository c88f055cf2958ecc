#!/bin/bash
# What killed runs leave beside an output is gone after the next run, also where that has nothing to
# do: temporary files of processes that are no more, spools of the same run, of references too.
. tests/lib.bash
world 12
train='--steps 2 --batch-size 4 --unit-tokens 256'
dead() { # PATH: a temporary name of a process that is gone
    local pid
    sh -c 'exit' & pid=$!
    wait $pid
    echo "$1.tmp-$(uname -n)-$pid-0123abcd"
}
clean() {
    local left
    left=$(ls -A | grep -e '\.tmp-' -e '\.spool$' -e '\.partial$' -e '\.former$')
    [ -z "$left" ] || fail "$1: left behind: $left"
}
# a spool as a killed reference pass leaves it
quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 -o out.h5 $train
for try in $(seq 40); do
    rm -f twin.h5*
    timeout --foreground -s KILL 0.$((try % 9 + 1)) "$bin/dpo-train" -q --model base.h5 --data pairs.h5 -o twin.h5 $train >out 2>err
    [ -e twin.h5.reference.h5.spool ] && break
done
if [ -e twin.h5.reference.h5.spool ]; then
    mv twin.h5.reference.h5.spool out.h5.reference.h5.spool
    rm -f twin.h5*
fi
touch "$(dead out.h5)" "$(dead out.h5.ckpt)" "$(dead out.h5.reference.h5)" "$(dead out.h5.reference.h5.spool)"
quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 -o out.h5 $train
clean 'dpo-train, up to date'
for stage in sft tokenize generate; do
    case $stage in
    sft) command="$bin/sft -q --model base.h5 --data sft-data.h5 $train" ;;
    tokenize) command="$bin/tokenize -q --model base.h5 --kind sft --input sft.csv" ;;
    generate) command="$bin/generate -q --model base.h5 --data prompts.h5 --max-new 2" ;;
    esac
    quiet $command -o $stage.h5
    touch "$(dead $stage.h5)" "$(dead $stage.h5.ckpt)" "$(dead $stage.h5.spool)"
    [ $stage = sft ] || rm -f $stage.h5.ckpt.tmp-*
    quiet $command -o $stage.h5
    clean "$stage, up to date"
done
# the temporary files of others, and those of processes that live, stay
touch "mine.h5.tmp-elsewhere-1-0123abcd" "sft.h5.tmp-$(uname -n)-$$-0123abcd"
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 $train -o sft.h5
[ -e "mine.h5.tmp-elsewhere-1-0123abcd" ] && [ -e "sft.h5.tmp-$(uname -n)-$$-0123abcd" ] || fail "files of others are gone"
finish
