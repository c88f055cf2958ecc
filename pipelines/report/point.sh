#!/bin/bash
# point.sh REFERENCE.h5 PROMPTS.h5 WORLD 'GENERATE OPTIONS' 'LAUNCHER' SOURCE...: samples SOURCE, which
# is --model M or the teachers (--dpo D --reverse R --ref REFERENCE OPTIONS), and prints
#   gold,gold_error,kl,kl_error,tokens,ended,distinct_2
# as numbers without this header; KL in nats per response to the reference, on its own responses. Where
# POINTS is set, a folder, what was measured of the same models stands there and is not sampled again.
set -e -o pipefail
reference=$1 prompts=$2 world=$3 options=$4 run=$5
shift 5

kept=
if [ -n "$POINTS" ]; then
    mkdir -p "$POINTS"
    key=("$world" "$options") files=("$reference" "$prompts")
    for word in "$@"; do
        if [ -f "$word" ]; then files+=("$word"); else key+=("$word"); fi
    done
    kept=$POINTS/$({ echo "${key[@]}" && cat "${files[@]}"; } | sha256sum | cut -c1-40)
    [ ! -s "$kept" ] || exec cat "$kept"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

column() { # FILE NAME...: numbers below a summary's header, counted from the right: a path may hold commas
    awk -F, -v want="${*:2}" 'NR == 1 { n = split($0, name); next }
        { for (i = 1; i <= n; i++) value[name[i]] = $(NF - n + i)
          k = split(want, w, " ")
          for (i = 1; i <= k; i++) printf "%s%s", (i > 1 ? "," : ""), value[w[i]] }' "$1"
}

# shellcheck disable=SC2086
$run "$BIN/generate" "$@" --data "$prompts" -o "$work/r.h5" --text "$work/r.jsonl" $options -q >"$work/out"
"$BIN/eval" score --scorer "$BIN/gold score --world $world" --input "$work/r.jsonl" \
    --summary "$work/gold.csv" -q >"$work/out"
if [ "$1" = --model ]; then
    $run "$BIN/eval" kl "$@" --base "$reference" --data "$work/r.h5" --summary "$work/kl.csv" -q >"$work/out"
    error=response_error
else
    $run "$BIN/eval" tokens "$@" --data "$work/r.h5" -o "$work/tokens.csv" --summary "$work/kl.csv" -q >"$work/out"
    error=kl_error
fi
"$BIN/textstat" "$work/r.jsonl" >"$work/text.csv"
gold=$(column "$work/gold.csv" mean standard_error)
kl=$(column "$work/kl.csv" kl_per_response $error)
text=$(column "$work/text.csv" tokens ended distinct_2)
[ -z "$kept" ] || { echo "$gold,$kl,$text" >"$kept.part" && mv "$kept.part" "$kept"; }
echo "$gold,$kl,$text"
