#!/bin/bash
# sft: prompt-masked and full loss, validation, early stop, the best model; and that a run which is
# killed and taken up again ends in the same bytes.
set -u
. tests/report.bash
for p in import tokenize sft eval; do
    [ -x "$BIN/$p" ] || skip "$p is not built"
done
D=$TMP/smoke
make -s -C pipelines/smoke BIN="$(realpath "$BIN")" OUT="$D" "$D/sft-data.h5" >"$TMP/make.log" 2>&1 ||
    { cat "$TMP/make.log"; exit 1; }
# other words than the training data's: their loss falls at first, and rises later
{ echo prompt,response; for w in tea rice ink; do echo "\"What of $w?\",\"Begin to rest $w, gladly find how\""; done; } >"$D/valid.csv"
"$BIN/tokenize" --model "$D/base.h5" --kind sft --input "$D/valid.csv" -o "$D/valid.h5" -q >/dev/null ||
    { echo "tokenize failed"; exit 1; }

exec=
run() { # OUT ARGUMENTS...
    local out=$1
    shift
    $exec "$BIN/sft" --model "$D/base.h5" --data "$D/sft-data.h5" -o "$out" --batch-size 10 --lr 5e-3 \
        --epochs 8 --unit-tokens 256 --micro-tokens 512 -q "$@" >"$TMP/out" 2>"$TMP/err"
}
column() { # NAME FILE: the column's values
    awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) k = i } NR > 1 { print $k }' "$2"
}
nll() { # MODEL DATA
    "$BIN/eval" nll --model "$1" --data "$2" -o "$TMP/nll.csv" >/dev/null 2>&1
    column nll "$TMP/nll.csv"
}
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && (a - b)^2 < 1e-9) }'; }

# response is the default; a full loss is another one, and starts from its own number
run "$TMP/response.h5" --loss-on response --log "$TMP/response.csv" || fail "$(cat "$TMP/err")"
run "$TMP/default.h5" || fail "$(cat "$TMP/err")"
cmp -s "$TMP/response.h5" "$TMP/default.h5" || fail "the default is not --loss-on response"
run "$TMP/all.h5" --loss-on all --log "$TMP/all.csv" || fail "$(cat "$TMP/err")"
[ "$(column tokens "$TMP/all.csv" | awk '{ n += $1 } END { print n }')" -gt \
    "$(column tokens "$TMP/response.csv" | awk '{ n += $1 } END { print n }')" ] ||
    fail "--loss-on all trains no more tokens"

# what is validated is what eval measures
run "$TMP/valid.h5" --valid "$D/valid.h5" --valid-every 4 --log "$TMP/valid.csv" || fail "$(cat "$TMP/err")"
near "$(column valid_loss "$TMP/valid.csv" | tail -n 1)" "$(nll "$TMP/valid.h5" "$D/valid.h5")" ||
    fail "validation loss is not eval nll: $(tail -n 1 "$TMP/valid.csv"), $(cat "$TMP/nll.csv")"
run "$TMP/plain.h5" --valid "$D/valid.h5" --valid-every 4 --save-best --log "$TMP/best.csv" ||
    fail "$(cat "$TMP/err")"
least=$(column valid_loss "$TMP/best.csv" | grep . | sort -g | head -n 1)
last=$(column valid_loss "$TMP/best.csv" | tail -n 1)
near "$least" "$last" && fail "the last model is the best one: nothing is tested"
near "$least" "$(nll "$TMP/plain.h5" "$D/valid.h5")" || fail "--save-best did not save the best: $least"

# early stop: as long as the loss falls, and patience after it
run "$TMP/early.h5" --valid "$D/valid.h5" --valid-every 2 --patience 2 --save-best --log "$TMP/early.csv" ||
    fail "$(cat "$TMP/err")"
steps=$(column loss "$TMP/early.csv" | wc -l)
[ "$steps" -lt 40 ] || fail "no early stop: $steps steps"
column valid_loss "$TMP/early.csv" | awk -v steps="$steps" 'NR % 2 == 0 {
        if (best == "" || $1 < best) { best = $1; vain = 0 } else vain++
        if (vain == 2) { exit NR == steps ? 0 : 1 } }
    END { if (vain != 2) exit 1 }' || fail "stopped at the wrong step ($steps)"

resumed=0
for threads in 1 2 3; do
    rm -f "$TMP/cut.h5"
    n=0
    while [ ! -e "$TMP/cut.h5" ] && [ $n -lt 200 ]; do
        [ ! -e "$TMP/cut.h5.ckpt" ] || resumed=$((resumed + 1))
        exec=exec run "$TMP/cut.h5" --valid "$D/valid.h5" --valid-every 2 --patience 2 --save-best \
            --threads $threads --checkpoint-every 1 --micro-tokens $((256 * threads)) \
            --log "$TMP/cut.csv" &
        pid=$!
        sleep 0.0$((n * 3 % 9 + 1))
        [ $n -gt 8 ] || kill -"$([ $((n % 2)) = 0 ] && echo KILL || echo TERM)" $pid
        wait $pid
        n=$((n + 1))
    done 2>/dev/null
    cmp -s "$TMP/early.h5" "$TMP/cut.h5" || fail "other bytes on $threads threads, resumed"
    cmp -s <(column valid_loss "$TMP/early.csv") <(column valid_loss "$TMP/cut.csv") ||
        fail "another log on $threads threads"
done
[ $resumed -gt 2 ] || fail "only $resumed runs were taken up again: nothing was tested"

run "$TMP/no.h5" --patience 3 && fail "--patience without --valid was taken"
grep -q "need --valid" "$TMP/err" || fail "no word of --valid: $(cat "$TMP/err")"
finish
