#!/bin/bash
# The experiment from a pretrained model, made short: TinyStories-656K's own beginnings.
set -u
. tests/report.bash
model=../shared/data/models/TinyStories-656K
[ -d $model ] || {
    echo 'SKIP: no ../shared/data/models/TinyStories-656K'
    exit 77
}
bin=$(cd "$BIN" && pwd)
out=$TMP/out
make --no-print-directory -C pipelines/stories MODEL=$model BIN="$bin" OUT="$out" STORIES=120 \
    TRAIN_ROWS=64 VALID_ROWS=8 TEST_ROWS=12 NEW=40 SNAPSHOTS=0 \
    MODELS='base dpo adaptive published tuned' >"$TMP/log" 2>&1 || fatal "make failed: $(tail -n 20 "$TMP/log")"
grep 'rows are lost' "$TMP/log" && fatal 'pairs are lost'
for name in base dpo adaptive published tuned; do
    grep -q "^$name,-\{0,1\}[0-9]" "$out/table.csv" || fatal "no '$name' in: $(cat "$out/table.csv")"
done
for split in train valid test; do tail -n +2 "$out/$split-prompts.csv" | sort -u >"$TMP/$split"; done
[ "$(wc -l <"$TMP/train") $(wc -l <"$TMP/valid") $(wc -l <"$TMP/test")" = '64 8 12' ] ||
    fatal 'prompts are repeated'
[ -z "$(sort "$TMP/train" "$TMP/valid" "$TMP/test" | uniq -d)" ] || fatal 'splits share prompts'
awk 'NF != 12' "$TMP/test" | grep . && fatal 'a beginning has not 12 words'
head -n 1 "$out/opening.jsonl" | grep -q start_story || fatal 'the opening is lost'
tail -c 20 "$out/report.html" | grep -q '</html>' || fatal 'the page is not whole'

# a stage says what is missing
make -C pipelines/stories MODEL=nowhere OUT="$out" BIN="$bin" >"$TMP/log" 2>&1 && fatal 'no model is fine'
grep -q "no folder 'nowhere'" "$TMP/log" || fatal "no word about the model: $(cat "$TMP/log")"
"$bin/beginnings" "$out/stories.jsonl" --rows 100000 -o "$TMP/x.csv" 2>"$TMP/log"
[ $? = 3 ] && grep -q 'different beginnings' "$TMP/log" || fatal "too many rows: $(cat "$TMP/log")"
[ ! -e "$TMP/x.csv" ] || fatal 'an output after a failure'
