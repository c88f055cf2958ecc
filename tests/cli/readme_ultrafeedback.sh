#!/bin/bash
# README's walk on a real data set as it stands: 1000 pairs of UltraFeedback, through a tiny model.
. tests/lib.bash
prefs=$root/../shared/data/preference/ultrafeedback/train.jsonl
[ -e "$prefs" ] || { echo 'SKIP: no ../shared/data/preference/ultrafeedback'; exit 77; }
export PATH=$bin:$PATH
ln -s "$prefs" prefs.jsonl
awk 'length($0) < 1200' "$prefs" | head -n 4 >prompts.jsonl
head -n 60 "$prefs" >corpus.jsonl
sed 's/"max_position_embeddings": 128/"max_position_embeddings": 320/; s/"num_hidden_layers": 2/"num_hidden_layers": 1/
    s/"hidden_size": 32/"hidden_size": 16/; s/"intermediate_size": 96/"intermediate_size": 16/' "$root/pipelines/smoke/config.json" >config.json
quiet import -q --train-tokenizer corpus.jsonl --vocab 512 -o tok.json
quiet import -q --init config.json --tokenizer tok.json --seed 1 -o base.h5
quiet "$bin/export" -q --model base.h5 --format hf -o my-model
rm base.h5
# The stages that train or run on all rows take a few of them: the walk is the same.
awk '$0 == "## A walk through" { on = 1 } $0 == "## The stages" { on = 0 } on && /^    / { print substr($0, 5) }' "$root/README.md" |
    sed -n '/^import/,/^aligndistil export/p' | sed 's/prefs\.csv/prefs.jsonl/; s/prompts\.csv/prompts.jsonl/
        /^sft \|^dpo-train \|^distill /s/$/ --steps 2 --batch-size 2/; /^generate/s/$/ --max-new 4/' >walk.sh
grep -c . walk.sh >/dev/null && grep -q '^tokenize .*--kind pref --input prefs.jsonl' walk.sh || fatal "no walk: $(cat walk.sh)"
bash -e walk.sh >out 2>err || fail "$(cat walk.sh; tail -n 3 err)"
for file in chosen.h5 pairs.h5 teacher.h5 aligned.h5 responses.jsonl aligned-hf/model.safetensors; do
    [ -s $file ] || fail "no $file"
done

# what became of the rows
grep -q '1000 rows in' err || fail "not all rows: $(cat err)"
grep -q '1 skipped: empty chosen response' err || fail "no empty response: $(cat err)"
grep -q '[1-9] dropped: chosen and rejected are the same' err || fail "no equal pairs: $(cat err)"
grep -q 'columns not used: source_index' err || fail "no unused columns: $(cat err)"
lost=$(awk '/ (dropped|skipped): | rows out/ { n += $2 } / rows in/ { n = 0; m = $2 } / rows out/ && n != m { print n, m }' err)
[ -z "$lost" ] || fail "rows do not add up: $lost"
finish
