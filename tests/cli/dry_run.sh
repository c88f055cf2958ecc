#!/bin/bash
# --dry-run speaks to people: GiB, hours, and what this machine has.
. tests/lib.bash
world 40
teachers
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 --steps 1 --lora-rank 2 -o lora.h5

n='[0-9]+\.[0-9][0-9]'
memory="memory ($n) GiB, this machine has ($n) GiB \\($n GiB free\\)"
disk="disk $n GiB, of $n GiB free"
hours="about $n hours \\([0-9hms]+\\)"
check() { # PATTERN command...: the line, whose GiB are those of stdout
    local pattern=$1 bytes
    shift
    expect 0 '' "$@" --dry-run
    grep -Eq ": $pattern\$" err || fail "no '$pattern' from $*: $(cat err)"
    bytes=$(awk '$1 == "memory_bytes" { print $2 }' out)
    grep -qF "memory $(awk -v b="$bytes" 'BEGIN { printf "%.2f", b / 2^30 }') GiB" err || fail "$*: $bytes bytes are not $(cat err)"
    grep -qF "this machine has $all GiB" err || fail "$*: this machine has $all GiB: $(cat err)"
    expect 0 '' "$@" --dry-run -q
    [ ! -s err ] || fail "-q says: $(cat err)"
}
limits() { # kB of memory: what the system has, control groups included
    awk '/^MemTotal/ { print $2 }' /proc/meminfo
    local group=$(sed -n 's/^0:://p' /proc/self/cgroup)
    while :; do
        awk '/^[0-9]/ { print $1 / 1024 }' "/sys/fs/cgroup$group/memory.max" 2>/dev/null
        [ -n "${group#/}" ] || break
        group=${group%/*}
    done
}
all=$(limits | sort -g | head -n 1 | awk '{ printf "%.2f", $1 / 2^20 }')
stages() {
    check "$memory; $disk; $hours" "$bin/sft" --model base.h5 --data sft-data.h5 -o x.h5
    check "$memory; $disk; $hours" "$bin/dpo-train" --model sft.h5 --data pairs.h5 -o x.h5
    check "$memory; $disk; $hours" "$bin/distill" --model sft.h5 --teacher t.h5 -o x.h5
    check "$memory; $disk; $hours" "$bin/teacher-dump" --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o x.h5
    check "$memory; $disk; $hours" "$bin/generate" --model sft.h5 --data prompts.h5 --max-new 8 -o x.h5
    check "$memory; $hours" "$bin/eval" kl --model sft.h5 --base base.h5 --data sft-data.h5
    check "$memory; $disk" "$bin/merge" --model base.h5 --adapter lora.h5 -o x.h5
    check "$memory; $disk" "$bin/export" --model sft.h5 -o x
    check "$memory; $disk" "$bin/export" --model lora.h5 --base-model base.h5 --format peft -o x
    expect 0 "this machine has $all GiB, of which [0-9.]* GiB are free" "$bin/import" --init config.json --tokenizer tok.json --dry-run
}

# a training says what the other way would take: what that says of itself
other() { # PATTERN command...: the GiB of its line
    local pattern=$1
    shift
    expect 0 '' "$@" --dry-run
    sed -En "s/.*$pattern: ($n) GiB\$/\1/p" err
}
itself() { expect 0 '' "$@" --dry-run && awk '$1 == "memory_bytes" { printf "%.2f\n", $2 / 2^30 }' out; }
both_ways() { # command...
    [ "$(other 'without --lora-rank, all trained' "$@" --lora-rank 16)" = "$(itself "$@")" ] || fail "all trained, from an adapter: $*"
    [ "$(other 'with --lora-rank 16' "$@")" = "$(itself "$@" --lora-rank 16)" ] || fail "an adapter, from all trained: $*"
}
sed 's/"hidden_size": 32, "intermediate_size": 80/"hidden_size": 512, "intermediate_size": 2048/' config.json >large.json
quiet "$bin/import" -q --init large.json --tokenizer tok.json --seed 1 -o large.h5
both_ways "$bin/sft" --model large.h5 --data sft-data.h5 -o x.h5
both_ways "$bin/dpo-train" --model large.h5 --data pairs.h5 -o x.h5
both_ways "$bin/distill" --model large.h5 --teacher t.h5 -o x.h5

# snapshots and kept weights take disk, held-out rows and a reference's pass time
number() { expect 0 '' "${@:2}" --dry-run -q && awk -v n="$1" '$1 == n { print $2 }' out; }
plain=$(number disk_bytes "$bin/sft" --model large.h5 --data sft-data.h5 -o x.h5 --steps 10)
snapped=$(number disk_bytes "$bin/sft" --model large.h5 --data sft-data.h5 -o x.h5 --steps 10 --snapshot-every 2 --valid sft-data.h5 --save-best)
model=$(awk '$1 == "parameters" { print 4 * $2 }' out)
awk -v a="$plain" -v b="$snapped" -v m="$model" 'BEGIN { x = (b - a) / m; exit !(x > 5.9 && x < 6.1) }' || fail "disk: $plain and $snapped, $model a model"

stages
ls x* 2>/dev/null && fail 'a dry run wrote'

{ head -n 1 sft.csv; for i in $(seq 200); do tail -n +2 sft.csv; done; } >many.csv
quiet "$bin/tokenize" -q --model large.h5 --kind sft --input many.csv -o many.h5
# what ulimit leaves is what there is; a plan beyond it says so
(
    ulimit -v $((6 << 20))
    all=6.00
    problems=0
    check "$memory; $disk; $hours" "$bin/sft" --model base.h5 --data sft-data.h5 -o x.h5
    expect 0 'too little; less is needed with a smaller --micro-tokens' "$bin/sft" --model large.h5 --data many.h5 --dry-run \
        --micro-tokens 100000000 --batch-size 1000000 -o x.h5
    exit $problems
) || fail 'with ulimit -v'
finish
