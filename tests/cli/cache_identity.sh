#!/bin/bash
# A cache of any coding is the same bytes however it is made: in shares that are merged, on 1 to 4
# threads, stopped within a shard and resumed; and distil the same model by list and stream.
# --dry-run says how many bytes. (fault/dump.sh and fault/distill.sh kill at random times; same_bytes.sh has every stage.)
. tests/lib.bash
world 150
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --top-k 24"
distill="$bin/distill -q --model sft.h5 --unit-tokens 256 --batch-size 32 --lr 3e-3 --shuffle-window 2"

stopped() { # FILE command...: stopped again and again before it is done, -o FILE
    local out=$1 stops=0 code=75
    shift
    while [ $code = 75 ] && [ $stops -lt 40 ]; do
        "$@" -o "$out" --stop-after "$(printf 0.%03d $((20 + 12 * stops)))s" >list 2>err
        code=$?
        [ $code = 75 ] && stops=$((stops + 1))
    done
    [ $code = 0 ] || fail "stopped: exit $code: $(cat err)"
    [ $stops -gt 0 ] || echo "never stopped: $*"
}
number=0
for coding in '--bits 32' '--bits 16' '--bits 12' '--bits 8' '--bits 6' '--layout components' \
    '--layout components --bits 32'; do
    number=$((number + 1))
    mkdir $number && cd $number || fatal mkdir
    ln -s ../*.h5 .
    make="$dump $coding"
    quiet $make -o one.h5 --dry-run
    ls -A | grep -e '^one' -e spool -e tmp && fail "$coding: --dry-run left something"
    cp out plan
    quiet $make -o one.h5
    awk -v size="$(stat -c %s one.h5)" '$1 == "disk_bytes" { print; exit !($2 > 0.5 * size && $2 < 1.2 * size) }' plan ||
        fail "$coding: --dry-run says $(grep disk_bytes plan), there are $(stat -c %s one.h5)"
    for i in 0 1 2; do
        quiet $make --rows-per-shard 40 --shard $i/3 --threads $((2 + i)) -o s.h5
        cat out
    done >shares
    [ "$(wc -l <shares)" = 4 ] || fail "$coding: shares $(cat shares)"
    expect 0 '' "$bin/shard" merge -o merged.h5 $(cat shares)
    same one.h5 merged.h5 "$coding: merged shares"
    quiet $make --rows-per-shard 40 --threads 1 --micro-tokens 200 -o t.h5
    for path in $(cat shares); do same $path t${path#s} "$coding: a share"; done
    expect 0 '' "$bin/shard" check one.h5 $(cat shares)
    quiet $distill --teacher $(cat shares) -o list.h5
    $distill --teacher - -o stream.h5 --threads 3 <shares >out 2>err || fail "$coding: $(cat err)"
    same list.h5 stream.h5 "$coding: by list and stream"
    cd .. || fatal cd
done
stopped many.h5 $dump --rows-per-shard 40 --micro-tokens 60 --threads 1
# where the rest is is said by name
for after in $(afters); do # until some rows are done, and not all
    rm -f share*
    ${dump/ -q/} --progress never --rows-per-shard 40 --shard 1/4 --micro-tokens 60 --threads 1 -o share.h5 --stop-after $after >out 2>err
    [ $? = 75 ] && grep -q 'the rows so far are in' err && break
done
spool=$(sed -n "s/.*stopped; the rows so far are in '\(.*\)': run the same.*/\1/p" err)
[ -e "${spool:-none}" ] || fail "no spool '$spool': $(cat err)"
quiet $dump --rows-per-shard 40 -o want.h5
for path in $(cat out); do same $path many${path#want} 'stopped within shards'; done
# a budget's tokens are chosen by a rule that has a number: by another one they are not the same cache
budget="${dump% --top-k 24}"
quiet $budget -o budget.h5
cp budget.h5 before.h5
expect 0 'is up to date' ${budget/ -q/} -o budget.h5
"$root/$BUILD/tests/cli/poison" text budget.h5 options '"support-rule":3' '"support-rule":1' || fatal 'no rule in options'
${budget/ -q/} -o budget.h5 >out 2>err || fail "exit $?: $(cat err)"
grep -q 'up to date' err && fail 'a cache of another rule is up to date'
same budget.h5 before.h5 'made by the rule of today'
finish
