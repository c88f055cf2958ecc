#!/bin/bash
# Real preference data: 20 rows of UltraFeedback through a tiny random model.
set -u
. tests/report.bash
data=../shared/data/preference/ultrafeedback/train.jsonl
[ -e $data ] || {
    echo 'SKIP: no ../shared/data/preference/ultrafeedback'
    exit 77
}
bin=$(cd "$BIN" && pwd)
head -n 20 $data >"$TMP/rows.jsonl"
sed "s/\"max_position_embeddings\": 128/\"max_position_embeddings\": 2048/" pipelines/smoke/config.json >"$TMP/config.json"
"$bin/import" --train-tokenizer "$TMP/rows.jsonl" --vocab 512 -o "$TMP/tokenizer.json" -q >"$TMP/log" &&
    "$bin/import" --init "$TMP/config.json" --tokenizer "$TMP/tokenizer.json" --seed 1 \
        -o "$TMP/model.h5" -q >"$TMP/log" &&
    "$bin/export" --model "$TMP/model.h5" --format hf -o "$TMP/model" -q >"$TMP/log" || fatal 'no model'
run() {
    make --no-print-directory -C pipelines/ultrafeedback MODEL="$TMP/model" DATA="$TMP/rows.jsonl" \
        BIN="$bin" OUT="$TMP/out" VALID=0.3 NEW=8 "$@" >"$TMP/log" 2>&1
}
run JUDGE="awk '{ print 0.5; fflush() }'" || fatal "make failed: $(tail -n 20 "$TMP/log")"
results=$TMP/out/results.md

# the authors' settings are what is there without a word
for text in '--batch-size 128 --lr 1e-6' '--beta 0.1' '--recipe published --alpha tvd:20'; do
    grep -qe "$text" "$results" || fatal "no '$text' in: $(cat "$results")"
done
grep -qE '^dpo +1 .* 0\.6931' "$results" || fatal "the first loss is not ln 2: $(cat "$results")"
grep -qE '^reverse +1 .* 0\.6931' "$results" || fatal "the first loss is not ln 2: $(cat "$results")"
grep -q '  *50.000  *0.000  ' "$results" || fatal "no win rate of 50: $(cat "$results")"

# every row is somewhere, every file is sound, and the cache has the chosen responses' positions
total=$(awk '/ (dropped|skipped):| rows out/ { n += $2 } END { print n }' "$TMP/out/tokenize.log")
[ "$total" = 20 ] || fatal "rows do not add up to 20: $(cat "$TMP/out/tokenize.log")"
"$bin/shard" check "$TMP"/out/*.h5 >"$TMP/log" 2>&1 || fatal "a file is damaged: $(cat "$TMP/log")"
positions=$("$bin/shard" stat "$TMP/out/teacher.h5" | awk '$1 == "entries" { print $2; exit }')
distilled=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "tokens") c = i } NR > 1 { n += $c }
    END { print n }' "$TMP/out/aligned.csv")
[ "$positions" = "$distilled" ] || fatal "the cache has $positions positions, $distilled were distilled"

# other settings; rows that are too long are dropped and counted
run MAX_LENGTH=300 ON_LONG=drop LR=1e-3 BATCH=4 STRENGTH=damped:0.5 ||
    fatal "make failed: $(tail -n 20 "$TMP/log")"
grep -q 'dropped: longer than 300 tokens' "$results" || fatal "no dropped rows in: $(cat "$results")"
grep -q 'alpha damped:0.5' "$results" || fatal 'a setting was not taken'
make -C pipelines/ultrafeedback BIN="$bin" >"$TMP/log" 2>&1 && fatal 'no model is fine'
grep -q 'give MODEL=FOLDER' "$TMP/log" || fatal "no word about the model: $(cat "$TMP/log")"
exit 0
