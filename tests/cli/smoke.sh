#!/bin/bash
# The smoke pipeline: make does it, a second make nothing, a changed setting what depends on it.
# align.sh gives the bytes of the same steps by hand, continues after a stop, and has nothing to do
# the second time.
. tests/lib.bash
smoke="make --no-print-directory -C $root/pipelines/smoke OUT=$PWD/out.d BIN=$bin"
unset MAKEFLAGS MFLAGS MAKELEVEL

run_make() { # the programs that ran, into the file ran
    $smoke "$@" >log 2>&1 || fatal "make $*: $(tail -n 20 log)"
    grep -o "^$bin/[a-z-]*" log | sed 's,.*/,,' >ran
}
run_make
for name in import tokenize sft dpo-train teacher-dump distill generate; do
    grep -qx $name ran || fail "make did not run $name: $(cat log)"
done
grep -q '^ *50 ' out.d/eval.txt && grep -q '^contrastive ' out.d/eval.txt || fail "no table: $(cat out.d/eval.txt)"
[ "$(wc -l <out.d/responses.jsonl)" = 20 ] || fail 'not 20 responses'
awk '/^forward/ { if ($3 < 0.9) exit 1 }' out.d/eval.txt || fail "nothing was learnt: $(cat out.d/eval.txt)"
mkdir first
cp out.d/*.h5 out.d/responses.jsonl out.d/eval.txt first
run_make
[ ! -s ran ] || fail "the second make ran: $(cat ran)"
changed='DISTILL_OPTS=--unit-tokens 256 --micro-tokens 512 --batch-size 10 --seed 1 --epochs 2 --lr 4e-4'
run_make "$changed"
[ "$(tr '\n' ' ' <ran)" = 'distill generate ' ] || fail "a changed DISTILL_OPTS ran: $(tr '\n' ' ' <ran)"
cmp -s out.d/aligned.h5 first/aligned.h5 && fail 'another learning rate gave the same model'
run_make
[ "$(tr '\n' ' ' <ran)" = 'distill generate ' ] || fail "the former DISTILL_OPTS ran: $(tr '\n' ' ' <ran)"
for file in first/*; do same "$file" "out.d/$(basename "$file")" 'back to the former settings'; done
rm out.d/eval.txt out.d/teacher.list
run_make # files that exist are found, not made again
for file in first/*; do same "$file" "out.d/$(basename "$file")" 'after a loss'; done

# ---- align.sh
data 60
export SFT_OPTS='-q --unit-tokens 256 --batch-size 10 --epochs 2 --seed 3' \
    DPO_OPTS='-q --unit-tokens 256 --batch-size 10 --lr 1e-3 --seed 3' DUMP_OPTS='-q --top-k 12' \
    DISTILL_OPTS='-q --unit-tokens 256 --batch-size 10 --epochs 2 --lr 1e-3 --seed 3' \
    GENERATE_OPTS='-q --max-new 12 --seed 3' ROWS_PER_SHARD=20
cp out.d/base.h5 base.h5
align() { BIN=$bin sh "$root/pipelines/align.sh" base.h5 pairs.csv "$1" prompts.csv; }
align stream >out 2>err || fatal "align.sh: exit $?: $(cat err)"
mkdir list
"$bin/tokenize" -q --model base.h5 --kind pref --input pairs.csv --on-bad skip --on-long truncate -o list/pairs.h5 &&
    "$bin/tokenize" -q --model base.h5 --kind sft --map response=chosen --input pairs.csv --on-bad skip --on-long truncate -o list/chosen.h5 &&
    "$bin/sft" --model base.h5 --data list/chosen.h5 -o list/sft.h5 $SFT_OPTS &&
    "$bin/dpo-train" --model list/sft.h5 --data list/pairs.h5 -o list/dpo.h5 $DPO_OPTS &&
    "$bin/dpo-train" --model list/sft.h5 --data list/pairs.h5 --reverse -o list/reverse.h5 $DPO_OPTS &&
    "$bin/teacher-dump" --dpo list/dpo.h5 --reverse list/reverse.h5 --ref list/sft.h5 \
        --data list/pairs.h5 -o list/teacher.h5 --rows-per-shard 20 $DUMP_OPTS &&
    "$bin/distill" --model list/sft.h5 --teacher list/teacher-*.h5 -o list/aligned.h5 $DISTILL_OPTS &&
    "$bin/generate" --model list/aligned.h5 --input prompts.csv -o list/responses.h5 \
        --text list/responses.jsonl $GENERATE_OPTS >/dev/null || fail 'the steps by hand'
for file in pairs chosen sft dpo reverse teacher-00002-of-00003 aligned responses; do
    same list/$file.h5 stream/$file.h5 'align.sh and its steps'
done
same list/responses.jsonl stream/responses.jsonl 'align.sh and its steps'

# again: only looked at, touched at most
find stream -name '*.h5' -exec md5sum {} + | sort >sums
find stream -name '*.h5' -exec touch -d 2001-01-01 {} +
ls -i stream/*.h5 >inodes
align stream >out 2>err || fail "align.sh again: exit $?: $(cat err)"
md5sum --quiet -c sums || fail 'other bytes the second time'
ls -i stream/*.h5 | cmp -s - inodes || fail "files were made again: $(ls -i stream/*.h5 | diff - inodes)"

# stopped again and again, as a job is: exit 75 until it is done, never another word
runs=0 code=75
while [ $code != 0 ]; do
    runs=$((runs + 1))
    [ $runs -lt 40 ] || { fail 'align.sh: no end'; break; }
    pick 0.05 "$(awk -v r=$runs 'BEGIN { print 0.2 + r * r / 200 }')"
    (BIN=$bin exec setsid sh "$root/pipelines/align.sh" base.h5 pairs.csv stopped prompts.csv) >out 2>err &
    pid=$!
    sleep "$picked"
    kill -TERM -- -$pid 2>/dev/null
    wait $pid
    code=$?
    while kill -0 -- -$pid 2>/dev/null; do sleep 0.02; done
    [ $code = 0 ] || [ $code = 75 ] || [ $code = 143 ] || { fail "align.sh stopped: exit $code: $(cat err)"; break; }
done
echo "align.sh: done after $runs runs"
for file in list/*.h5; do
    case $file in *reference*) ;; *) same $file "stopped/$(basename $file)" 'align.sh, stopped' ;; esac
done
ls -A stopped | grep -e '\.ckpt$' -e spool -e tmp- && fail 'left behind'
finish
