#!/bin/bash
# import: random weights, a trained tokenizer, the "up to date" rule, and what it refuses.
set -u
. tests/report.bash

# run CODE PATTERN command...: the exit code, and one line on stderr that matches
run() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >"$TMP/out" 2>"$TMP/err"
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat "$TMP/err")"
    grep -q -- "$pattern" "$TMP/err" || fail "no '$pattern' from $*: $(cat "$TMP/err")"
    [ "$want" = 0 ] || [ "$(wc -l <"$TMP/err")" = 1 ] || fail "not one line: $(cat "$TMP/err")"
}

printf 'the cat sat on the mat\nthe dog sat on the log\n"quoted"\n' >"$TMP/corpus.txt"
run 0 'tokens' $BIN/import --train-tokenizer "$TMP/corpus.txt" --vocab 264 -o "$TMP/tok.json"
[ "$(cat "$TMP/out")" = "$TMP/tok.json" ] || fail "the path is not on stdout"
cp "$TMP/tok.json" "$TMP/tok2.json"
sed 's/"/\\"/g; s/.*/{"text": "&"}/' "$TMP/corpus.txt" >"$TMP/corpus.jsonl"
run 0 'tokens' $BIN/import --train-tokenizer - --vocab 264 -o "$TMP/tok.json" <"$TMP/corpus.jsonl"
cmp "$TMP/tok.json" "$TMP/tok2.json" || fail "another tokenizer from stdin"

cat >"$TMP/config.json" <<'J'
{"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
 "tie_word_embeddings": true}
J
init="$BIN/import --init $TMP/config.json --tokenizer $TMP/tok2.json"
run 0 'parameters' $init --seed 3 -o "$TMP/m.h5"
[ "$(cat "$TMP/out")" = "$TMP/m.h5" ] || fail "the path is not on stdout"
cp "$TMP/m.h5" "$TMP/first.h5"
run 0 'up to date' $init --seed 3 -o "$TMP/m.h5"
run 0 'parameters' $init --seed 3 --force --threads 1 -o "$TMP/m.h5"
cmp "$TMP/m.h5" "$TMP/first.h5" || fail "other bytes the second time"
run 0 'parameters' $init --seed 4 -o "$TMP/m.h5"
cmp -s "$TMP/m.h5" "$TMP/first.h5" && fail "another seed gave the same bytes"
run 0 'sft, distill' $init --dry-run
run 1 "exists" $init --seed 5 --no-clobber -o "$TMP/m.h5"

# a config that says bf16: a file of half the size, which h5py reads as float32
sed 's/"model_type"/"torch_dtype": "bfloat16", "model_type"/' "$TMP/config.json" >"$TMP/half.json"
run 0 'in bf16' $BIN/import --init "$TMP/half.json" --tokenizer "$TMP/tok2.json" --seed 3 -o "$TMP/half.h5"
[ "$(stat -c %s "$TMP/half.h5")" -lt "$(($(stat -c %s "$TMP/first.h5") * 2 / 3))" ] || fail 'bf16 is not smaller'
$BIN/shard check "$TMP/half.h5" >"$TMP/out" || fail "shard check: $(cat "$TMP/out")"
if /usr/bin/python3 -c 'import h5py' 2>"$TMP/err"; then
    /usr/bin/python3 tests/oracle/read_file.py check "$TMP/half.h5" >"$TMP/out" 2>&1 || fail "h5py: $(cat "$TMP/out")"
fi

# usage
run 2 'missing what to import' $BIN/import -o "$TMP/x.h5"
run 2 'needs --tokenizer' $BIN/import --init "$TMP/config.json" -o "$TMP/x.h5"
run 2 "'-o' is missing" $init
run 2 'vocab' $BIN/import --train-tokenizer "$TMP/corpus.txt" --vocab 3 -o "$TMP/x.json"

# bad input
run 3 "cannot open '$TMP/none/config.json'" $BIN/import --hf "$TMP/none" --tokenizer "$TMP/tok2.json" -o "$TMP/x.h5"
run 3 "cannot open '$TMP/none'" $BIN/import --init "$TMP/config.json" --tokenizer "$TMP/none" -o "$TMP/x.h5"
mkdir "$TMP/hf"
cp "$TMP/config.json" "$TMP/hf"
run 3 'no tokenizer.json' $BIN/import --hf "$TMP/hf" -o "$TMP/x.h5"
cp "$TMP/tok2.json" "$TMP/hf/tokenizer.json"
run 3 'no model.safetensors' $BIN/import --hf "$TMP/hf" -o "$TMP/x.h5"
head -c 100 /dev/zero >"$TMP/hf/model.safetensors"
run 3 'not a safetensors file' $BIN/import --hf "$TMP/hf" -o "$TMP/x.h5"
header='{"model.norm.weight":{"dtype":"F32","shape":[31],"data_offsets":[0,124]}}      '
{ printf '\x50\0\0\0\0\0\0\0%-80s' "$header"; head -c 124 /dev/zero; } >"$TMP/hf/model.safetensors"
run 3 "missing 'model.embed_tokens.weight' (264, 32)" $BIN/import --hf "$TMP/hf" -o "$TMP/x.h5"
sed 's/"hidden_size"/"logit_softcap": 3, "hidden_size"/' "$TMP/config.json" >"$TMP/bad.json"
run 3 "'logit_softcap'" $BIN/import --init "$TMP/bad.json" --tokenizer "$TMP/tok2.json" -o "$TMP/x.h5"
sed 's/"hidden_size"/"vocab_size": 100, "hidden_size"/' "$TMP/config.json" >"$TMP/bad.json"
run 3 'has 264 ids' $BIN/import --init "$TMP/bad.json" --tokenizer "$TMP/tok2.json" -o "$TMP/x.h5"
run 3 "no token '<nope>'" $init --eos '<nope>' -o "$TMP/x.h5"
printf 'a,b\n1,"x\n' >"$TMP/open.csv"
run 3 'unclosed quote' $BIN/import --train-tokenizer "$TMP/open.csv" -o "$TMP/x.json"
: >"$TMP/empty.txt"
run 3 'no text' $BIN/import --train-tokenizer "$TMP/empty.txt" -o "$TMP/x.json"

# nothing half-written, nothing lost; the output is looked at before any work
run 1 "cannot write '$TMP/nowhere/x.json" $BIN/import --train-tokenizer "$TMP/none.txt" -o "$TMP/nowhere/x.json"
(ulimit -f 1; $BIN/import -q --train-tokenizer "$TMP/corpus.txt" --vocab 264 -o "$TMP/tok2.json" >/dev/null 2>"$TMP/err"; [ $? = 1 ]) ||
    fail "a full disk: $(cat "$TMP/err")"
[ "$(wc -l <"$TMP/err")" = 1 ] && cmp -s "$TMP/tok.json" "$TMP/tok2.json" || fail "a tokenizer is lost: $(cat "$TMP/err")"
run 1 "" $init -o "$TMP/nowhere/x.h5"
if [ -w /dev/full ]; then
    $init --seed 4 -o "$TMP/m.h5" >/dev/full 2>"$TMP/err"
    [ $? = 1 ] || fail "a full stdout is not an error"
fi
cp "$TMP/m.h5" "$TMP/before.h5"
(ulimit -f 8; $init --seed 9 -o "$TMP/m.h5" >/dev/null 2>"$TMP/err"; [ $? = 1 ]) || fail "a full disk: $(cat "$TMP/err")"
cmp -s "$TMP/m.h5" "$TMP/before.h5" || fail "a failed run changed the output"
[ -e "$TMP/x.h5" ] || [ -e "$TMP/x.json" ] && fail "an output after a failure"
ls -A "$TMP" | grep -q '^\.' && fail "left behind: $(ls -A "$TMP")"
finish
