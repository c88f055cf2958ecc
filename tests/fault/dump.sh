#!/bin/bash
# teacher-dump, stopped and killed at random times, with shards and without; shares of a set made at
# the same time; shards merged: always the bytes of an undisturbed run.
. tests/lib.bash
echo "DISTURB_SEED=$seed"
world 400
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5"
dump="$dump --responses both --top-k 20"
disturb_all t.h5 t.h5.spool $dump --micro-tokens 300 --checkpoint-every 20
disturb_all c.h5 c.h5.spool $dump --micro-tokens 300 --checkpoint-every 20 --layout components
disturb_all s.h5 s.h5.spool $dump --micro-tokens 300 --checkpoint-every 20 --rows-per-shard 90

# the paths of finished shards are printed again when the run continues, in order
[ "$(wc -l <want/list)" = 9 ] || fail "not 9 shards: $(cat want/list)"
expect 0 '' "$bin/shard" check $(cat want/list)

mkdir share
for i in 0 1 2 3; do
    $dump --rows-per-shard 90 --shard $i/4 --threads 1 -o share/s.h5 >share/list-$i 2>share/err-$i &
done
wait
cat share/err-*
cat share/list-* | cmp -s - <(sed 's,want,share,' want/list) || fail "shares: $(cat share/list-*)"
for path in $(cat want/list); do same "$path" "share/$(basename "$path")" 'a share'; done
expect 2 'shard' $dump --rows-per-shard 90 --shard 4/4 -o share/x.h5
expect 2 'rows-per-shard' $dump --shard 0/4 -o share/x.h5

expect 0 '' $dump --rows-per-shard 0 -o whole.h5
expect 0 '' "$bin/shard" merge -o merged.h5 $(cat want/list)
same whole.h5 merged.h5 'the merged shards and one file'
expect 0 '' "$bin/shard" merge -o again.h5 $(tac want/list)
same merged.h5 again.h5 'merged in another order'
finish
