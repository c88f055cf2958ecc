#!/bin/bash
# distill, from a list and from a stream, stopped and killed at random times; a stream that waits,
# that ends too early, and one that comes from teacher-dump itself: the same bytes.
. tests/lib.bash
echo "DISTURB_SEED=$seed"
world 300
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5"
dump="$dump --top-k 20 --rows-per-shard 60"
quiet $dump -o t.h5
mv out list
distill="$bin/distill -q --model sft.h5 --unit-tokens 256 --batch-size 16 --lr 3e-3 --shuffle-window 2 --divergence fkl"
distill="$distill --epochs 4 --checkpoint-every 1"
disturb_all a.h5 a.h5.ckpt $distill --teacher $(cat list)
cp list feed
disturb_all b.h5 b.h5.ckpt $distill --teacher -
same a.h5 b.h5 'a stream'

# straight from teacher-dump, and by any way of cutting the work
mkdir live
$dump -o live/t.h5 --threads 1 | $distill --teacher - -o c.h5 --threads 1 --micro-tokens 700 >out 2>err
[ "${PIPESTATUS[*]}" = '0 0' ] || fail "a pipeline: $(cat err)"
same a.h5 c.h5 'a pipeline'

# a stop while it waits for the next shard, before the first and before the last one
for n in 0 2 4; do
    rm -f w.h5*
    mkfifo fifo
    $distill --teacher - -o w.h5 <fifo >out 2>err &
    pid=$!
    exec 9>fifo
    head -n $n list >&9
    sleep 0.6
    kill -TERM $pid
    (sleep 20; kill -KILL $pid) 2>/dev/null &
    watch=$!
    wait $pid 2>/dev/null
    code=$?
    kill $watch 2>/dev/null
    wait $watch 2>/dev/null
    exec 9>&-
    rm fifo
    [ $code = 75 ] || fail "waiting after $n shards: exit $code: $(cat err)"
    $distill --teacher - -o w.h5 <list >out 2>err || fail "continuing: $(cat err)"
    same a.h5 w.h5 "stopped after $n shards of a stream"
done

# a stream that ends before the set is whole: exit 3, no output
head -n 4 list >feed
$distill --teacher - -o e.h5 <feed >out 2>err
[ $? = 3 ] && grep -q 'of a set of 5 parts, of which 4 came' err || fail "a short stream: $(cat err)"
[ ! -e e.h5 ] && [ ! -s out ] || fail 'an output from a short stream'
$distill --teacher - -o e.h5 <list >out 2>err || fail "the whole stream after a short one: $(cat err)"
same a.h5 e.h5 'after a short stream'

# the same command again has nothing to do, whichever way the shards come
touch -d '2001-01-01' a.h5
for way in "$(cat list)" -; do
    "$bin/distill" ${distill#* -q} --teacher $way -o a.h5 <list >out 2>err || fail "again: $(cat err)"
    grep -q 'up to date' err || fail "done again from '$way': $(cat err)"
done
[ "$(find a.h5 -newermt 2002-01-01)" = a.h5 ] || fail 'not touched'
finish
