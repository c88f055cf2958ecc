#!/bin/bash
# curve.sh MODEL.h5 REFERENCE.h5 PROMPTS.h5 WORLD 'GENERATE OPTIONS' 'LAUNCHER': gold reward, KL to the
# reference and what the text is like (see point.sh) of the snapshots of MODEL (MODEL.step-N.h5) and of
# the model itself, as CSV. The reference is step 0.
set -e -o pipefail
model=$1 reference=$2 prompts=$3 world=$4 options=$5 run=$6
here=$(dirname "$0")

point() { # STEP MODEL
    local numbers
    numbers=$("$here/point.sh" "$reference" "$prompts" "$world" "$options" "$run" --model "$2")
    echo "$1,$numbers"
}

echo step,gold,gold_error,kl,kl_error,tokens,ended,distinct_2
point 0 "$reference"
last=$(($(wc -l <"${model%.h5}.csv") - 1)) # its log has a row per step
stem=${model%.h5}.step-
shopt -s nullglob
for snapshot in "$stem"*.h5; do
    step=${snapshot#"$stem"}
    echo "${step%.h5} $snapshot"
done | sort -n | while read -r step snapshot; do
    [ "$step" -ge "$last" ] || point "$step" "$snapshot" </dev/null
done
point "$last" "$model"
