#!/bin/bash
# What a run shows while it works: the line of progress, the log's seconds, the end of a job's log, and a result on the same
# terminal as the line.
. tests/lib.bash
world 60
teachers
few="--batch-size 8 --unit-tokens 256 --seed 3"

# the redrawn lines of a run, one a line
lines() { tr '\r' '\n' <err | sed 's/\x1b\[K//'; }
shows() { # PATTERN...: some line matches each
    local p
    for p; do lines | grep -Eq "$p" || fail "no line '$p' in: $(lines | head -n 5)"; done
}
time='[0-9hms]+'
# long enough for some lines on the fastest machine
expect 0 '' "$bin/sft" --progress always --model base.h5 --data sft-data.h5 $few --epochs 400 -o a.h5
shows "^sft: (\[=*>? *\] )?step [0-9]+/3200 \([0-9]+%\), epoch [0-9]+/400, loss [0-9.]+, [0-9.e+]+ tokens/s, $time, $time left$"
expect 0 '' "$bin/dpo-train" --progress always --model sft.h5 --data pairs.h5 $few --epochs 200 -o d.h5
shows "step [0-9]+/1600 .*, epoch [0-9]+/200, loss [0-9.]+, accuracy [0-9]+%, [0-9.e+]+ tokens/s, $time, $time left$"
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
expect 0 '' "$bin/distill" --progress always --model sft.h5 --teacher t.h5 $few --steps 4000 -o s.h5
shows "step [0-9]+/4000 .*, epoch [0-9]+, loss [0-9.]+, KL [0-9.e-]+, [0-9.e+]+ tokens/s, $time, $time left$"
lines | sed -n 's/.*step \([0-9]*\).* epoch \([0-9]*\),.*/\1 \2/p' | awk '$2 != int(($1 - 1) / 8) + 1 { bad = 1 } END { exit bad || !NR }' ||
    fail "8 steps are an epoch of 60 rows: $(lines | tail -n 2)"

# the log's seconds rise, also over a stop; nothing else of it depends on the stop
column() { awk -F, -v name=$2 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' "$1"; }
known() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /seconds|per_second/) drop[i] = 1 }
    { for (i = 1; i <= NF; i++) if (!drop[i]) printf "%s,", $i; print "" }' "$1"; }
train="$bin/sft -q --model base.h5 --data sft-data.h5 $few --epochs 40"
for log in log.csv log.jsonl; do
    quiet $train --log want-$log -o want.h5 --force
    for after in $(afters | tail -n +10); do # until some steps are done, and not all
        rm -f b.h5* $log
        $train --log $log --stop-after $after -o b.h5 >out 2>err
        [ $? = 75 ] && [ "$(grep -c '[0-9]' $log)" -gt 9 ] && break
    done
    [ -e b.h5.ckpt ] || fail "not stopped: $(cat err)"
    steps=$(grep -c '[0-9]' $log)
    quiet $train --log $log -o b.h5
    same want.h5 b.h5 'stopped'
    rm b.h5
done
[ "$steps" -lt 300 ] || echo "note: stopped after $steps steps"
cmp -s <(known log.csv) <(known want-log.csv) || fail "another log, resumed"
column log.csv seconds | awk '{ if ($1 < last) bad = 1; last = $1 } END { exit bad || NR != 320 || last <= 0.02 || last > 600 }' ||
    fail "seconds do not rise over the stop: $(column log.csv seconds | tr '\n' ' ')"
jq -es '[.[].seconds] | (. == sort) and length == 320' log.jsonl >/dev/null || fail 'seconds of log.jsonl'

# valid_loss is there where it was measured
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 --valid sft-data.h5 --valid-every 3 $few --steps 7 --log v.csv -o v.h5
[ "$(column v.csv valid_loss | awk '{ printf $1 == "" ? "-" : "x" }')" = --x--xx ] || fail "valid_loss: $(cat v.csv)"
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 --valid pairs.h5 --valid-every 3 $few --steps 4 --log v.jsonl -o v.h5
[ "$(jq -c '[has("valid_loss"), has("valid_reward_accuracy")]' v.jsonl | tr '\n' ' ')" = '[false,false] [false,false] [true,true] [true,true] ' ] ||
    fail "valid_loss: $(cat v.jsonl)"

# a job's log: no bars, and one closing line
expect 0 '' "$bin/sft" --model base.h5 --data sft-data.h5 $few --epochs 2 -o a.h5
grep -q $'\r' err && fail "a bar in a job's log: $(cat -A err)"
[ "$(grep -c 'step\|loss' err)" -le 1 ] || fail "a job's log ends more than once: $(cat err)"

# a terminal: the paths of shards stand on lines of their own
if command -v script >/dev/null; then
    script -qec "'$bin/teacher-dump' --progress always --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --rows-per-shard 2 -o p.h5 --micro-tokens 1" typed >/dev/null 2>&1 </dev/null
    # what is left of a line after what took it away
    tr -d '\r' <typed | sed 's/.*\x1b\[K//' >seen
    for file in p-*.h5; do grep -qx "$file" seen || fail "$file does not stand alone: $(grep -a "$file" typed | cat -A | tail -n 2)"; done
    [ -n "$file" ] && [ "$(ls p-*.h5 | wc -l)" = 30 ] || fail 'no shards'
    grep -aq '\] row [0-9]*/60' typed || echo 'note: the dump was too quick for a bar'
    # a narrow one: no line is longer
    script -qec "stty cols 40; '$bin/sft' --model base.h5 --data sft-data.h5 $few --epochs 400 -o n.h5" typed >/dev/null 2>&1 </dev/null
    tr '\r' '\n' <typed | sed 's/\x1b\[[0-9]*[Km]//g' | grep -a ' step ' | awk 'length($0) > 39 { bad = 1 } END { exit bad || !NR }' ||
        fail "lines longer than the terminal: $(cat -A typed | head -n 5)"
fi
finish
