#!/bin/bash
# curve.sh MODEL.h5 REFERENCE.h5 PROMPTS.h5 WORLD 'GENERATE OPTIONS' 'LAUNCHER': gold reward and KL to
# the reference of the snapshots of MODEL (MODEL.step-N.h5) and of the model itself, as CSV. The
# reference is step 0.
set -e -o pipefail
model=$1 reference=$2 prompts=$3 world=$4 options=$5 run=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

second() { sed -n 2p "$1"; } # the numbers below a summary's header

point() { # STEP MODEL
    # shellcheck disable=SC2086
    $run "$BIN/generate" --model "$2" --data "$prompts" -o "$work/r.h5" --text "$work/r.jsonl" \
        $options -q --force >"$work/out"
    "$BIN/eval" score --scorer "$BIN/gold score --world $world" --input "$work/r.jsonl" \
        --summary "$work/gold.csv" -q >"$work/out"
    $run "$BIN/eval" kl --model "$2" --base "$reference" --data "$work/r.h5" \
        --summary "$work/kl.csv" -q >"$work/out"
    "$BIN/textstat" "$work/r.jsonl" >"$work/text.csv"
    echo "$1,$(second "$work/gold.csv" | awk -F, '{ print $(NF - 2) "," $NF }'),$(
        second "$work/kl.csv" | awk -F, '{ print $(NF - 1) "," $NF }'),$(
        second "$work/text.csv" | awk -F, '{ print $2 }')"
}

echo step,gold,gold_error,kl,kl_error,tokens
point 0 "$reference"
last=$(($(wc -l <"${model%.h5}.csv") - 1)) # its log has a row a step
stem=${model%.h5}.step-
shopt -s nullglob
for snapshot in "$stem"*.h5; do
    step=${snapshot#"$stem"}
    echo "${step%.h5} $snapshot"
done | sort -n | while read -r step snapshot; do
    [ "$step" -ge "$last" ] || point "$step" "$snapshot" </dev/null
done
point "$last" "$model"
