#!/bin/bash
# export: a folder that import takes back with the same numbers; the "up to date" rule; refusals.
set -u
. tests/report.bash
run() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >"$TMP/out" 2>"$TMP/err"
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat "$TMP/err")"
    [ -z "$pattern" ] || grep -q -- "$pattern" "$TMP/err" || fail "no '$pattern' from $*: $(cat "$TMP/err")"
}
printf 'the cat sat on the mat\nthe dog sat on the log\n' >"$TMP/corpus.txt"
cat >"$TMP/config.json" <<'J'
{"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
J
$BIN/import -q --train-tokenizer "$TMP/corpus.txt" --vocab 264 -o "$TMP/tok.json" >/dev/null
$BIN/import -q --init "$TMP/config.json" --tokenizer "$TMP/tok.json" -o "$TMP/m.h5" >/dev/null || fail "no model"

run 0 'parameters' $BIN/export --model "$TMP/m.h5" -o "$TMP/hf/"
[ "$(cat "$TMP/out")" = "$TMP/hf" ] || fail "the path is not on stdout"
run 0 'up to date' $BIN/export --model "$TMP/m.h5" -o "$TMP/hf"
run 0 '' $BIN/export -q --model "$TMP/m.h5" --shard-size 0.00001 -o "$TMP/parts"
[ "$(ls "$TMP"/parts/model-*.safetensors | wc -l)" -gt 3 ] || fail "not in parts"
for folder in hf parts; do
    run 0 '' $BIN/import -q --hf "$TMP/$folder" -o "$TMP/$folder.h5"
    run 0 '' $BIN/export -q --model "$TMP/$folder.h5" -o "$TMP/$folder.again"
    cmp "$TMP/hf/model.safetensors" "$TMP/$folder.again/model.safetensors" || fail "$folder: other numbers"
    cmp "$TMP/hf/tokenizer.json" "$TMP/$folder.again/tokenizer.json" || fail "$folder: another tokenizer"
done
run 0 'parameters' $BIN/export --model "$TMP/m.h5" --type bf16 -o "$TMP/hf"
[ "$(stat -c %s "$TMP/hf/model.safetensors")" -lt 100000 ] || fail "bf16 did not replace f32"
run 0 '' $BIN/export --model "$TMP/m.h5" --dry-run -o "$TMP/dry"
[ -e "$TMP/dry" ] && fail "a dry run wrote"

mkdir "$TMP/mine"
echo dear >"$TMP/mine/diary"
run 1 'no export of ours' $BIN/export --model "$TMP/m.h5" -o "$TMP/mine"
run 1 'exists' $BIN/export --model "$TMP/m.h5" --no-clobber -o "$TMP/hf"
run 3 "none.h5" $BIN/export --model "$TMP/none.h5" -o "$TMP/x"
run 3 "corpus.txt" $BIN/export --model "$TMP/corpus.txt" -o "$TMP/x"
run 2 'format' $BIN/export --model "$TMP/m.h5" --format onnx -o "$TMP/x"
run 1 '' $BIN/export --model "$TMP/m.h5" -o "$TMP/nowhere/x"
(ulimit -f 8; $BIN/export --model "$TMP/m.h5" -o "$TMP/x" >/dev/null 2>"$TMP/err"; [ $? = 1 ]) || fail "a full disk: $(cat "$TMP/err")"
[ -e "$TMP/x" ] && fail "an output after a failure"
ls "$TMP" | grep -q partial && fail "left behind"
[ -e "$TMP/mine/diary" ] || fail "a file of the user is gone"
finish
