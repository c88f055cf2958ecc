#!/bin/sh
# The whole method as a plain pipeline: from a model and preference pairs in a CSV (columns prompt,
# chosen, rejected) to an aligned model. The teacher's shards stream into distill as they are done.
#
#   align.sh MODEL.h5 PREFERENCES.csv OUT_DIR [PROMPTS.csv]
#
# Stopped (exit 75) or killed, run it again: every step continues where it was, finished steps are
# skipped. SFT_OPTS, DPO_OPTS, DUMP_OPTS, DISTILL_OPTS, GENERATE_OPTS: further options of a step.
# BIN: where the stages are (default: build/release/bin beside this folder).
set -eu
if [ $# -lt 3 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
model=$1 pairs=$2 out=$3 prompts=${4:-}
bin=${BIN:-$(dirname "$0")/../build/release/bin}
trap 'exit 75' INT TERM USR1 # after the current step, which gets the signal too, has saved
mkdir -p "$out"

"$bin/tokenize" --model "$model" --kind pref --input "$pairs" -o "$out/pairs.h5" --on-bad skip --on-long truncate
"$bin/tokenize" --model "$model" --kind sft --map response=chosen --input "$pairs" -o "$out/chosen.h5" --on-bad skip --on-long truncate
"$bin/sft" --model "$model" --data "$out/chosen.h5" -o "$out/sft.h5" ${SFT_OPTS:-}
"$bin/dpo-train" --model "$out/sft.h5" --data "$out/pairs.h5" -o "$out/dpo.h5" \
    --reference "$out/reference.h5" ${DPO_OPTS:-}
"$bin/dpo-train" --model "$out/sft.h5" --data "$out/pairs.h5" -o "$out/reverse.h5" --reverse \
    --reference "$out/reference.h5" ${DPO_OPTS:-}
"$bin/teacher-dump" --dpo "$out/dpo.h5" --reverse "$out/reverse.h5" --ref "$out/sft.h5" \
    --data "$out/pairs.h5" -o "$out/teacher.h5" --rows-per-shard "${ROWS_PER_SHARD:-4096}" ${DUMP_OPTS:-} |
    "$bin/distill" --model "$out/sft.h5" --teacher - -o "$out/aligned.h5" ${DISTILL_OPTS:-}
[ -n "$prompts" ] || exit 0
"$bin/generate" --model "$out/aligned.h5" --input "$prompts" -o "$out/responses.h5" \
    --text "$out/responses.jsonl" ${GENERATE_OPTS:-}
