#!/bin/bash
# The real checkpoint: float32 with lm_head.weight only, and its bf16 twin with another tokenizer name.
set -u
. tests/report.bash
models=../shared/data/models
[ -d $models ] || { echo "skipped: no ../shared"; exit 77; }
$BIN/import -q --hf $models/TinyStories-656K -o "$TMP/a.h5" >/dev/null || fatal "float32"
$BIN/import -q --hf $models/TinyStories-656K-bf16 \
    --tokenizer $models/TinyStories-656K-bf16/author_tokenizer.json -o "$TMP/b.h5" >/dev/null ||
    fatal "bf16"
head -c 2000000 $models/TinyStories-656K/model.safetensors >"$TMP/cut"
mkdir "$TMP/hf"
cp $models/TinyStories-656K/*.json "$TMP/hf"
mv "$TMP/cut" "$TMP/hf/model.safetensors"
$BIN/import --hf "$TMP/hf" -o "$TMP/c.h5" 2>"$TMP/err"
[ $? = 3 ] && grep -q 'lies outside' "$TMP/err" || fatal "a truncated file: $(cat "$TMP/err")"
[ ! -e "$TMP/c.h5" ] || fatal "an output after a failure"
for config in ../shared/data/configs/*.config.json; do
    $BIN/import --init "$config" --dry-run 2>"$TMP/err" || fatal "dry run of $config"
    grep -q 'ms forward' "$TMP/err" || fatal "no plan for $config"
done
