#!/bin/bash
# The sweep, made small: one dump, several strengths, a table; another strength needs no new dump.
set -u
. tests/report.bash
bin=$(cd "$BIN" && pwd)
out=$TMP/out
small=(CORPUS_ROWS=600 TRAIN_ROWS=40 VALID_ROWS=12 TEST_ROWS=12 SNAPSHOTS=0 VOCAB=400
    "SAMPLE_OPTS=--max-new 30" "SWEEP_GENERATE_OPTS=--max-new 30"
    "SWEEP_DISTILL_OPTS=--batch-size 8 --epochs 1 --lr 1e-3")
sweep() {
    make --no-print-directory -C pipelines/sweep BIN="$bin" OUT="$out" FROM="$TMP/from" "${small[@]}" "$@" \
        >"$TMP/log" 2>&1 || fatal "make failed: $(tail -n 20 "$TMP/log")"
}

sweep 'ALPHAS=damped:0.5 tvd:3'
for model in sft dpo damped-0.5 tvd-3; do
    grep -qE "^$model +-?[0-9.]+ +[0-9.]+ +[0-9.]+ " "$out/table.txt" || fatal "no '$model' in: $(cat "$out/table.txt")"
done
grep -qE '^one cache for all: dumped in [0-9.]+ s, [0-9.]+ bytes per position$' "$out/table.txt" ||
    fatal "no word of the cache: $(cat "$out/table.txt")"
awk -F, '$1 == "sft" && $12 > 1e-4' "$out/table.csv" | grep . && fatal 'sft differs from itself'
cmp -s "$out/damped-0.5.h5" "$out/tvd-3.h5" && fatal 'both strengths gave one student'
[ -e "$TMP/from/adaptive-teacher.list" ] && fatal "the demo's own caches were made"

touch "$TMP/mark"
sleep 0.1
sweep 'ALPHAS=damped:0.5 tvd:3'
[ -z "$(find "$out" "$TMP/from" -type f -newer "$TMP/mark")" ] ||
    fatal "the second run made: $(find "$out" "$TMP/from" -type f -newer "$TMP/mark")"
sweep 'ALPHAS=damped:0.5 tvd:3 fixed:1.3'
find "$out" "$TMP/from" -type f -newer "$TMP/mark" >"$TMP/made"
grep -qE '/(components|dpo|reverse|sft|damped-0.5|tvd-3)\.h5$' "$TMP/made" && fatal "made again without need: $(cat "$TMP/made")"
grep -qE '^fixed-1.3 ' "$out/table.txt" || fatal "no new row: $(cat "$out/table.txt")"
make -C pipelines/sweep BIN="$bin" OUT="$out" FROM="$TMP/from" "${small[@]}" ALPHAS=damped:9 >"$TMP/log" 2>&1 &&
    fatal 'a strength outside the grid is fine'
grep -q 'outside the cache.s grid' "$TMP/log" || fatal "no word about the grid: $(cat "$TMP/log")"
exit 0
