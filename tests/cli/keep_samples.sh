#!/bin/bash
# distill --keep-samples: what was sampled with its step, against the log; the same bytes stopped, resumed, on any threads.
. tests/lib.bash
world 30
teachers
live="$bin/distill -q --model sft.h5 --on-policy --dpo dpo.h5 --reverse reverse.h5 --data prompts.h5 --max-new 10 --batch-size 8 --unit-tokens 256 --steps 9 --seed 5"

quiet $live -o plain.h5
quiet $live --log log.csv --keep-samples want-s.h5 -o want.h5
[ "$(tr '\n' ' ' <out)" = 'want-s.h5 want.h5 ' ] || fail "paths: $(cat out)"
same plain.h5 want.h5 'with and without samples'
"$bin/shard" head --json --rows 100 want-s.h5 >rows
# 30 prompts are steps of 8, 8, 8 and 6 rows
[ "$(jq .step rows | uniq -c | awk '{ printf "%d:%d ", $2, $1 }')" = '1:8 2:8 3:8 4:6 5:8 6:8 7:8 8:6 9:8 ' ] || fail "steps: $(jq .step rows | uniq -c)"
jq -rs 'group_by(.step)[] | map(((.ids | length) - .prompt_length)) | add / length' rows >lengths
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "response_length") c = i; next } { print $c }' log.csv | paste - lengths |
    awk '{ d = $1 - $2; if (d > 1e-9 || d < -1e-9) bad = 1 } END { exit bad || NR != 9 }' || fail "lengths are not the log's: $(paste lengths)"
"$bin/shard" head --json --rows 100 prompts.h5 | jq -c .ids | sort >prompts
jq -c 'select(.step <= 4) | .ids[:.prompt_length]' rows | sort | cmp -s - prompts || fail 'an epoch of samples has other prompts'

# the same bytes however it ran
quiet $live --threads 3 --micro-tokens 1 --slots 3 --keep-samples s.h5 -o b.h5
same want-s.h5 s.h5 'other threads, slots and micro-batches'
for how in TERM KILL; do
    rm -f s.h5* b.h5*
    disturb $how 0.3 'b.h5.ckpt b.h5' $live --checkpoint-every 1 --keep-samples s.h5 -o b.h5
    echo "$how: cut off $stops times"
    same want-s.h5 s.h5 "$how"
    same want.h5 b.h5 "$how"
done
expect 0 'up to date' ${live/ -q/} --keep-samples s.h5 -o b.h5
[ "$(tr '\n' ' ' <out)" = 's.h5 b.h5 ' ] || fail "up to date: $(cat out)"
rm s.h5
quiet $live --keep-samples s.h5 -o b.h5
same want-s.h5 s.h5 'made again where they were gone'
# resumed without what it counts on
rm -f s.h5* b.h5*
"$bin/distill" ${live#* } --steps 1000 --checkpoint-every 1 --stop-after 0.5 --keep-samples s.h5 -o b.h5 >out 2>err
[ $? = 75 ] || fail "not stopped: $(cat err)"
ls s.h5 2>/dev/null && fail 'samples under their name before the end'
rm s.h5.spool
expect 1 "the samples before this step are not in 's.h5.spool'; remove 'b.h5.ckpt'" $live --steps 1000 --keep-samples s.h5 -o b.h5
rm -f s.h5* b.h5*

# they are tokens like any other
quiet "$bin/shard" check want-s.h5
quiet "$bin/shard" filter --rows 3:40 -o some.h5 want-s.h5
"$bin/shard" head --json --rows 100 some.h5 | jq -c '[.step, .ids]' >some
sed -n 4,40p rows | jq -c '[.step, .ids]' | cmp -s - some || fail 'filter mixed the steps up'
quiet "$bin/sft" -q --model sft.h5 --data want-s.h5 --steps 2 --batch-size 8 -o again.h5

# a run that goes on has samples of its own
continued="$live --keep-samples more.h5 -o more-model.h5"
quiet $continued --steps 0 --epochs 1
cp more.h5 first.h5
expect 2 "'more.h5' has the samples of the steps before; name another --keep-samples" $continued --steps 0 --epochs 2 --continue
same first.h5 more.h5 'of the first run'
quiet ${continued/more.h5/rest.h5} --steps 0 --epochs 2 --continue

# groups: once for the steps that share them
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 --loss reward --steps 2 --batch-size 8 -o rm.h5
group="$bin/distill -q --model sft.h5 --on-policy --reward-level group --reward-model rm.h5 --data prompts.h5 --max-new 6 --batch-size 4 --group 3 --inner-steps 2 --unit-tokens 256 --steps 6"
quiet $group --keep-samples want-g.h5 -o want.h5
[ "$("$bin/shard" head --json --rows 100 want-g.h5 | jq .step | uniq -c | awk '{ printf "%d:%d ", $2, $1 }')" = '1:12 3:12 5:12 ' ] || fail 'groups: other steps'
disturb KILL 0.3 'g.h5.ckpt' $group --checkpoint-every 1 --keep-samples gs.h5 -o g.h5
same want-g.h5 gs.h5 'groups, killed'
expect 2 'keep-samples' "$bin/distill" -q --model sft.h5 --teacher none.h5 --keep-samples s.h5 -o x.h5
finish
