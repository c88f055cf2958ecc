#!/bin/bash
# distill --on-policy: the same bytes on any threads, slots and micro-batches, and where the run is
# stopped and taken up again; levels, exact; what is refused.
set -u
. tests/report.bash
for p in import tokenize sft dpo-train distill; do
    [ -x "$BIN/$p" ] || skip "$p is not built"
done
D=$TMP/smoke
make -s -C pipelines/smoke BIN="$(realpath "$BIN")" OUT="$D" "$D/reverse.h5" "$D/prompts.h5" \
    >"$TMP/make.log" 2>&1 || { cat "$TMP/make.log"; exit 1; }
live=(--dpo "$D/dpo.h5" --reverse "$D/reverse.h5" --ref "$D/sft.h5" --data "$D/prompts.h5")
run() { # OUT ARGUMENTS...
    local out=$1
    shift
    $exec "$BIN/distill" --model "$D/sft.h5" --on-policy "${live[@]}" -o "$out" --max-new 16 --steps 6 \
        --batch-size 8 --unit-tokens 128 --micro-tokens 256 --seed 3 -q "$@" >"$TMP/out" 2>"$TMP/err"
}

exec=
resumed=0
for level in "" "--exact" "--reward-level token" "--reward-level response --recipe published"; do
    # shellcheck disable=SC2086
    run "$TMP/whole.h5" $level --threads 1 --log "$TMP/whole.csv" || fail "'$level': $(cat "$TMP/err")"
    grep -qiE 'nan|inf' "$TMP/whole.csv" && fail "'$level': not finite: $(cat "$TMP/whole.csv")"
    for threads in 1 2 3; do
        # the checkpoint too: a kill between the rename of cut.h5 and its removal leaves it
        rm -f "$TMP/cut.h5" "$TMP/cut.h5.ckpt"
        n=0 # a run that saves at every step and is killed until it is done
        while [ ! -e "$TMP/cut.h5" ] && [ $n -lt 200 ]; do
            [ ! -e "$TMP/cut.h5.ckpt" ] || resumed=$((resumed + 1))
            # shellcheck disable=SC2086
            exec=exec run "$TMP/cut.h5" $level --threads $threads --checkpoint-every 1 --slots $((n % 5 + 2)) \
                --micro-tokens $((64 + 64 * threads)) --log "$TMP/cut.csv" &
            pid=$!
            sleep 0.0$((n * 3 % 9 + 1))
            [ $n -gt 5 ] || kill -"$([ $((n % 2)) = 0 ] && echo KILL || echo TERM)" $pid
            wait $pid || [ $n -le 5 ] || break
            n=$((n + 1))
        done 2>/dev/null
        cmp -s "$TMP/whole.h5" "$TMP/cut.h5" ||
            fail "'$level': other bytes on $threads threads, resumed: $(cat "$TMP/err")"
        cmp -s <(cut -d, -f1-22 "$TMP/whole.csv") <(cut -d, -f1-22 "$TMP/cut.csv") ||
            fail "'$level': another log on $threads threads"
    done
    mv "$TMP/whole.h5" "$TMP/made$problems-${level//[ -]/}.h5"
done
[ $resumed -gt 4 ] || fail "only $resumed runs were taken up again: nothing was tested"
[ "$(md5sum "$TMP"/made*.h5 | cut -c1-32 | sort -u | wc -l)" = 4 ] || fail "two levels gave the same model"

run "$TMP/other.h5" --seed 4 || fail "seed 4: $(cat "$TMP/err")"
cmp -s "$TMP/other.h5" "$TMP"/made?-.h5 && fail "the seed does not count"
run "$TMP/other.h5" --seed 4 || fail "again: $(cat "$TMP/err")"
grep -q '"alpha":"tvd:30"' <(strings -n 8 "$TMP"/made*published.h5) || fail "published is not tvd:30 on-policy"
"$BIN/distill" --model "$D/sft.h5" --on-policy "${live[@]}" -o "$TMP/dry.h5" --dry-run >"$TMP/out" ||
    fail "--dry-run: exit $?"
grep -q '^memory_bytes' "$TMP/out" || fail "no plan: $(cat "$TMP/out")"

# it learns: the student comes closer to p*, and its value, reward - KL to the base, rises
column() { awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) k = i } NR > 1 { print $k }' "$TMP/learn.csv"; }
for level in "" "--exact" "--reward-level token" "--reward-level response"; do
    # shellcheck disable=SC2086
    run "$TMP/learn.h5" $level --steps 50 --batch-size 20 --alpha fixed:2 --normalise sum --lr 1e-3 \
        --force --log "$TMP/learn.csv" || fail "'$level': $(cat "$TMP/err")"
    column kl | awk -v level="$level" 'NR == 1 { first = $1 } { last = $1 }
        END { exit !(last < (level ~ /response/ ? 0.8 : 0.5) * first) }' ||
        fail "'$level' does not come closer to p*: $(column kl | tr '\n' ' ')"
    paste <(column reward) <(column kl_base) | awk '{ value = 2 / 0.1 * $1 - $2 } NR == 1 { first = value }
        END { exit !(value > first + 1) }' || fail "'$level' does not raise its value"
done

refuse() { # TEXT ARGUMENTS...
    local text=$1
    shift
    "$BIN/distill" --model "$D/sft.h5" -o "$TMP/no.h5" -q "$@" >"$TMP/out" 2>"$TMP/err"
    local got=$?
    [ $got = 2 ] && grep -qF -- "$text" "$TMP/err" || fail "exit $got, not 2 with '$text': $(cat "$TMP/err")"
}
refuse "exclude each other" --teacher x.h5 --on-policy "${live[@]}"
refuse "--reward-level goes with --on-policy" --teacher x.h5 --reward-level token
refuse "--exact goes with --on-policy" --teacher x.h5 --exact
refuse "needs prompts" --on-policy --dpo "$D/dpo.h5" --reverse "$D/reverse.h5"
refuse "needs --reverse" --on-policy --dpo "$D/dpo.h5" --data "$D/prompts.h5"
refuse "--ref MODEL" --on-policy --dpo "$D/dpo.h5" --base ref --reverse "$D/reverse.h5" --data "$D/prompts.h5"
refuse "belongs to --reward-level distribution" --on-policy "${live[@]}" --exact --reward-level token
refuse "leave out --divergence fkl" --on-policy "${live[@]}" --exact --divergence fkl
refuse "divides by alpha" --on-policy "${live[@]}" --alpha fixed:0 --token-weight inverse-alpha
refuse "strength of 0 or more" --on-policy "${live[@]}" --alpha fixed:-1
refuse "give --teacher" --data "$D/prompts.h5"
finish
