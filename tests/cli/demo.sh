#!/bin/bash
# The demo, made small: one command to the table and the page, then nothing to do; a changed setting
# redoes only what depends on it.
set -u
. tests/report.bash
bin=$(cd "$BIN" && pwd)
out=$TMP/out
small=(CORPUS_ROWS=600 TRAIN_ROWS=40 VALID_ROWS=12 TEST_ROWS=12 SNAPSHOTS=2 VOCAB=400
    "SAMPLE_OPTS=--max-new 30" "GENERATE_OPTS=--max-new 30" "VALID_OPTS=--max-new 30")
demo() {
    make --no-print-directory -C pipelines/demo BIN="$bin" OUT="$out" "${small[@]}" "$@" >"$TMP/log" 2>&1 ||
        fatal "make failed: $(tail -n 20 "$TMP/log")"
}

demo
for model in base sft dpo-1 adaptive-1 tuned-1 dpo adaptive published tuned; do
    grep -q "^$model,-\{0,1\}[0-9]" "$out/table.csv" || fatal "no '$model' in: $(cat "$out/table.csv")"
    grep -q "^$model  *-\{0,1\}[0-9.]*±" "$out/table.txt" || fatal "no '$model' in: $(cat "$out/table.txt")"
done
[ "$(awk -F, '{ print NF }' "$out/table.csv" | sort -u)" = 19 ] || fatal 'rows of different lengths'
awk -F, '$1 == "sft" && ($12 > 1e-4 || $4 != 50)' "$out/table.csv" | grep . && fatal 'sft differs from itself'
for split in train valid test; do tail -n +2 "$out/$split-prompts.csv" | sort -u >"$TMP/$split"; done
[ -z "$(sort "$TMP/train" "$TMP/valid" "$TMP/test" | uniq -d)" ] || fatal 'splits share prompts'

# the whole cost stands beside each student's own: dpo, reverse dpo and its cache
for model in adaptive published tuned; do
    awk -F, -v m=$model -v all="$(cat "$out"/seconds/{dpo,reverse,$model,$model-dump} | awk '{ s += $1 } END { print s }')" '
        $1 == m && $19 - all < 0.01 && all - $19 < 0.01 { fine = 1 } END { exit !fine }' "$out/table.csv" ||
        fatal "not the whole cost of $model: $(cat "$out/table.csv")"
done

# the page: whole, with every figure, and nothing from elsewhere
page=$out/report.html
tail -c 20 "$page" | grep -q '</html>' || fatal 'the page is not whole'
[ "$(grep -c 'class="plot"' "$page")" = 8 ] || fatal "the page has $(grep -c 'class="plot"' "$page") figures, not 8"
[ "$(ls "$out/figures" | paste -sd' ')" = 'accuracy-training.svg accuracy.svg cache.svg frontier.svg loss-distill.svg loss-preference.svg loss-sft.svg steps.svg' ] ||
    fatal "not all figures are files: $(ls "$out/figures")"
grep -q 'gnuplot' "$page" && fatal 'the page speaks of gnuplot'
for text in '<meta name="viewport"' 'prefers-color-scheme:dark' '>epoch 2</text>' '40 in train-prompts' '12 in test-prompts' \
    '<dd>aligndistil ' "<dd>$(date -u -r "$out/table.csv" +%Y-)" '<dt>seed</dt><dd>1</dd>' 'alpha damped:0.5' 'validation prompts</text>' \
    '<title>forward: '; do
    grep -qF -e "$text" "$page" || fatal "the page has no '$text'"
done
grep -oE '(src|href)="[^#"]*"' "$page" | grep . && fatal 'the page loads something'
[ "$(grep -c 'class="heat"' "$page")" -ge 6 ] || fatal 'heat maps are missing'

# again: nothing; another distillation rate: no teacher is trained or dumped again
touch "$TMP/mark"
sleep 0.1
demo
[ -z "$(find "$out" -type f -newer "$TMP/mark")" ] ||
    fatal "the second run made: $(find "$out" -type f -newer "$TMP/mark")"
demo "DISTILL_OPTS=--batch-size 4 --epochs 2 --lr 5e-4"
find "$out" -newer "$TMP/mark" -type f >"$TMP/made"
grep -qE '/(sft|dpo|dpo-1|reverse|reverse-1|adaptive-1-teacher|adaptive-teacher|train-pairs)\.(h5|csv)$' "$TMP/made" &&
    fatal "made again without need: $(cat "$TMP/made")"
grep -q '/adaptive.h5$' "$TMP/made" || fatal 'a changed setting changed nothing'
awk -F, '{ print $1 }' "$out/valid/adaptive.csv" | paste -sd' ' | grep -qx 'step 0 2 4 6 8 10 12 14 16 18 20' ||
    fatal "the snapshots are not all there: $(cat "$out/valid/adaptive.csv")"
[ -z "$(cut -d, -f4- "$out/valid/adaptive.csv" | sort | uniq -d)" ] ||
    fatal "different snapshots gave the same numbers: $(cat "$out/valid/adaptive.csv")"
