#!/bin/sh
# Every file of real preference data goes through tokenize, with the rows it is known to have.
data=../shared/data
[ -d $data ] || { echo "SKIP: no ../shared"; exit 77; }
failed=0

goes() { # rows out, kind, file, further options
    rows=$1 kind=$2 file=$3
    shift 3
    if ! "$BIN/tokenize" --tokenizer $data/tokenizers/qwen2/tokenizer.json --kind "$kind" \
        --input "$data/preference/$file" -o "$TMP/t.h5" --force "$@" >"$TMP/out" 2>"$TMP/err"; then
        echo "$file: $(tail -n 1 "$TMP/err")"
        failed=1
    elif ! grep -q " $rows rows out" "$TMP/err"; then
        echo "$file: not $rows rows out: $(grep 'rows out' "$TMP/err")"
        failed=1
    fi
}

goes 999 sft llamafactory/alpaca_en_demo.json
goes 300 text llamafactory/c4_demo.jsonl
goes 300 pref llamafactory/dpo_en_demo.json
goes 150 sft llamafactory/kto_en_demo.json --on-bad skip
goes 10 pref llamafactory/v1_dpo_demo.jsonl
goes 30 text llamafactory/wiki_demo.txt
goes 100 sft torchtune/alpaca_tiny.json
goes 25 pref torchtune/stack_exchange_paired_tiny.json
goes 991 pref ultrafeedback/train.jsonl --on-bad skip
goes 5 text tinystories_sample.txt
exit $failed
