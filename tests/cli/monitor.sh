#!/bin/bash
# distill from a cache beside the cache's models (--dpo): the log's reward and KL on every N-th step,
# the same student with and without, warnings of a run that leaves its base, and what is refused.
. tests/lib.bash
world 60
teachers
models=(--dpo dpo.h5 --reverse reverse.h5 --ref sft.h5)
dump() { # NAME option...
    quiet "$bin/teacher-dump" -q "${models[@]}" --data pairs.h5 -o "$1" "${@:2}"
}
dump cache.h5
dump from-ref.h5 --base ref
dump parts.h5 --layout components --alpha-grid 0,0.5,1
run() { # NAME option...: five steps, of which the whole data is the first one's
    expect 0 '' "$bin/distill" -q --model sft.h5 --teacher "${cache:-cache.h5}" --batch-size 60 --steps 5 --lr 3e-3 \
        -o "$1.h5" --log "$1.csv" "${@:2}"
}
column() { # FILE NAME: its values
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' "$1"
}
number() { # FILE NAME STEP
    column "$1" "$2" | sed -n "$3p"
}
is() { # WORDS CONDITION of a, b...: values
    local words=$1 condition=$2
    shift 2
    awk -v a="$1" -v b="${2:-}" "BEGIN { exit !($condition) }" || fail "$words: $*"
}

run plain
grep -q kl_dpo plain.csv && fail "KL to models that are not there"
run watched "${models[@]}" --watch-every 2
same plain.h5 watched.h5 'watching changes the student'
for name in reward kl_base kl_dpo kl_ref outside_top64; do
    [ "$(column watched.csv $name | grep -c .)" = 3 ] || fail "$name: $(column watched.csv $name)"
    is "$name at step 2" 'a == "" && b != ""' "$(number watched.csv $name 2)" "$(number watched.csv $name 3)"
done
[ "$(column watched.csv loss)" = "$(column plain.csv loss)" ] || fail "other losses"
# the student begins as the reference; the base of p* is the DPO model, or the reference
is 'KL to the reference at the start' 'a < 1e-4 && a > -1e-4' "$(number watched.csv kl_ref 1)"
is 'KL to base and to dpo' 'a == b && a > 0.01' "$(number watched.csv kl_base 1)" "$(number watched.csv kl_dpo 1)"
is 'KL to the reference grows' 'a > 0.01' "$(number watched.csv kl_ref 5)"
is 'reward grows' 'b > a' "$(number watched.csv reward 1)" "$(number watched.csv reward 5)"
cache=from-ref.h5 run based "${models[@]}" --watch-every 1
is 'KL to the base is that to the reference' 'a == b && a > 0.01' \
    "$(number based.csv kl_base 4)" "$(number based.csv kl_ref 4)"
[ "$(column based.csv kl_dpo | grep -c .)" = 5 ] || fail "not every step: $(column based.csv kl_dpo)"
# the teacher is asked for with the alpha of the replay
cache=parts.h5 run parts-low --alpha fixed:0.1 "${models[@]}"
cache=parts.h5 run parts-high --alpha fixed:1 "${models[@]}"
is 'reward does not depend on alpha before the first step' 'a == b' \
    "$(number parts-low.csv reward 1)" "$(number parts-high.csv reward 1)"
is 'the mass moved does' 'b * b > 4 * a * a' \
    "$(number parts-low.csv outside_top64 1)" "$(number parts-high.csv outside_top64 1)"
# without the reference
run two --dpo dpo.h5 --reverse reverse.h5
is 'kl_ref of no reference' 'a == 0' "$(number two.csv kl_ref 1)"
# more threads, smaller micro-batches: the same numbers
run threads "${models[@]}" --watch-every 2 --threads 3 --micro-tokens 300
for name in reward kl_base kl_dpo kl_ref outside_top64; do
    [ "$(column threads.csv $name)" = "$(column watched.csv $name)" ] || fail "$name: other on three threads"
done

# a run that is far from its base is reported, once: here from a model that lr 3 has driven to one token
run lost --lr 3
run far --dpo dpo.h5 --reverse reverse.h5 --ref lost.h5 --watch-every 2
[ "$(grep -c 'the student is far from its base: KL [0-9.e+]* nats per response, more than 100 (step 1)' err)" = 1 ] ||
    fail "no warning: $(cat err)"
[ "$(wc -l <err)" = 1 ] || fail "more than a warning: $(cat err)"

no() { expect 2 "$1" "$bin/distill" --model sft.h5 -o no.h5 "${@:2}"; }
no '--ref watches a run from a cache together with --dpo' --teacher cache.h5 --ref sft.h5
no '--watch-every watches a run' --teacher cache.h5 --watch-every 3
no 'needs --reverse' --teacher cache.h5 --dpo dpo.h5
no '--watch-every is of a run from a cache' --on-policy "${models[@]}" --data prompts.h5 --watch-every 3
data 30
quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 290 -o other.json
quiet "$bin/import" -q --init config.json --tokenizer other.json -o other.h5
expect 3 'other.h5' "$bin/distill" --model sft.h5 --teacher cache.h5 --dpo other.h5 --reverse reverse.h5 -o no.h5
[ ! -e no.h5 ] || fail "an output of what was refused"
memory() { "$bin/distill" -q --model sft.h5 --teacher cache.h5 -o no.h5 --dry-run "$@" | awk '$1 ~ /memory/ { print $2 }'; }
is 'the plan knows of the models' 'b > a + 100000' "$(memory)" "$(memory "${models[@]}")"
finish
