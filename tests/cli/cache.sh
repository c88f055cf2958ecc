#!/bin/bash
# The measurement of the teacher cache, made short: the demo's teacher, and a wide one with the demo's
# tokenizer.
set -u
. tests/report.bash
bin=$(cd "$BIN" && pwd)
out=$TMP/out
cache() {
    make --no-print-directory -C pipelines/cache BIN="$bin" OUT="$out" CORPUS_ROWS=600 TRAIN_ROWS=40 \
        VALID_ROWS=12 VOCAB=400 "SAMPLE_OPTS=--max-new 30" MID_demo=2 SNAPSHOTS=2 ROWS_demo=20 ROWS_wide=2 \
        "GRID=--top-k 300 --least 0.01 0.001 --bits 8 12 --student-k 0 16 --peer-k 8 50 128" "$@" \
        >"$TMP/log" 2>&1 || fatal "make failed: $(tail -n 20 "$TMP/log")"
}
cache WHICH=demo
grep -q '^| rkl | mid | 0.9999 |' "$TMP/log" || fatal "no table: $(cat "$TMP/log")"
[ "$(wc -l <"$out/demo.csv")" = $((1 + 2 * (8 + 2 + 9))) ] || fatal "other rows: $(cat "$out/demo.csv")"
grep -q '</svg>' "$out/demo.svg" || fatal 'no figure'
cache WHICH=demo
grep -q 'shard report' "$TMP/log" && fatal 'made again'

# a wide teacher has the entropy that is asked for, and its models differ a little
awk -F, 'NR > 1 { gsub(/"/, ""); printf "{\"prompt\": \"%s\", \"chosen\": \"%s\", \"rejected\": \"no\"}\n", $1, $1 }' \
    "$out/demo/corpus.csv" >"$TMP/texts.jsonl"
sed 's/151936/400/' pipelines/cache/wide.json >"$TMP/wide.json"
"$bin/import" -q --init "$TMP/wide.json" --tokenizer "$out/demo/tokenizer.json" -o "$TMP/random.h5" >"$TMP/list"
"$bin/tokenize" -q --model "$TMP/random.h5" --kind pref --input "$TMP/texts.jsonl" -o "$TMP/pairs.h5" >"$TMP/list"
"$bin/tokenize" -q --model "$TMP/random.h5" --kind sft --map prompt=prompt,response=chosen \
    --input "$TMP/texts.jsonl" -o "$TMP/counts.h5" >"$TMP/list"
"$bin/wide" --model "$TMP/random.h5" --data "$TMP/counts.h5" --entropy 1.5 -o "$TMP/ref.h5" >"$TMP/list" || fatal wide
for seed in 1 2; do
    "$bin/wide" --model "$TMP/ref.h5" --noise 0.1 --seed $seed -o "$TMP/n$seed.h5" >"$TMP/list" || fatal noise
done
"$bin/wide" --model "$TMP/n1.h5" --from "$TMP/n1.h5" --to "$TMP/n2.h5" -o "$TMP/same.h5" >"$TMP/list" || fatal share
"$bin/teacher-dump" -q --dpo "$TMP/ref.h5" --reverse "$TMP/n1.h5" --alpha fixed:0 --bits 32 --top-k 400 --least 0 \
    --data "$TMP/pairs.h5" -o "$TMP/t.h5" 2>"$TMP/err" >"$TMP/list" || fatal "$(cat "$TMP/err")"
mean=$("$bin/shard" stat "$TMP/t.h5" | awk -F'\t' '$1 == "entropy" && NF == 8 { print $3 }')
awk -v x="$mean" 'BEGIN { exit !(x > 1.2 && x < 1.8) }' || fatal "the mean entropy is $mean"
"$bin/shard" diff "$TMP/n2.h5" "$TMP/same.h5" >"$TMP/list" && fatal 'weights moved by sums are equal to the bit'
kl() { "$bin/eval" kl -q --model "$1" --base "$2" --data "$TMP/counts.h5" | awk 'NR == 2 { print $3 }'; }
awk -v far="$(kl "$TMP/n1.h5" "$TMP/ref.h5")" -v near="$(kl "$TMP/n2.h5" "$TMP/same.h5")" \
    'BEGIN { exit !(far > 0.001 && far < 1 && near < 1e-6) }' ||
    fatal "KLs: $(kl "$TMP/n1.h5" "$TMP/ref.h5") $(kl "$TMP/n2.h5" "$TMP/same.h5")"
exit 0
