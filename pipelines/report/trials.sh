#!/bin/bash
# trials.sh OUT REFERENCE WORLD LIST 'TRAIN OPTIONS' 'GENERATE OPTIONS': tries the settings of LIST on
# validation prompts and prints a table in Markdown. OUT is an experiment's folder, as far as its
# REFERENCE.h5, train-pairs.h5 and valid-prompts.h5. A line of LIST is a trial (# begins a comment):
#   ref                                                 the reference itself
#   NAME dpo OPTIONS                                    a DPO model
#   NAME reverse OPTIONS                                a reverse DPO model
#   NAME teacher DPO REVERSE OPTIONS                    samples from p* itself; nothing is trained
#   NAME distill DPO REVERSE DUMP OPTIONS : OPTIONS     a cache and a student
# where DPO and REVERSE are names of earlier trials. What was tried stays in OUT/trials.
set -e -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1 reference=$1/$2.h5 world=$3 list=$(realpath "$4") train=$5 generate=$6
mkdir -p "$out/trials"
cd "$out/trials"
say() { echo "$*" >&2; }

teachers() { echo --dpo "$1.h5" --reverse "$2.h5" --ref "$reference"; }

make_model() { # NAME KIND ARGUMENTS...
    local name=$1 kind=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    case $kind in
    dpo | reverse)
        "$BIN/dpo-train" --model "$reference" --data "$out/train-pairs.h5" -o "$name.h5" -q \
            --reference reference.h5 --log "$name.log.csv" $train "$@" \
            $([ "$kind" = dpo ] || echo --reverse)
        ;;
    distill)
        local dump=("${@:3}") student=() i
        for i in "${!dump[@]}"; do
            [ "${dump[i]}" = : ] || continue
            student=("${dump[@]:i+1}")
            dump=("${dump[@]:0:i}")
            break
        done
        "$BIN/teacher-dump" $(teachers "$1" "$2") --data "$out/train-pairs.h5" -o cache.h5 -q \
            "${dump[@]}"
        "$BIN/distill" --model "$reference" --teacher cache.h5 -o "$name.h5" -q \
            --log "$name.log.csv" $train "${student[@]}"
        rm -f cache.h5
        ;;
    esac
}

point() { # NAME KIND ARGUMENTS...: a row of numbers (see point.sh)
    local source=(--model "$1.h5")
    [ "$2" != ref ] || source=(--model "$reference")
    # shellcheck disable=SC2207
    [ "$2" != teacher ] || source=($(teachers "$3" "$4") "${@:5}")
    "$here/point.sh" "$reference" "$out/valid-prompts.h5" "$world" "$generate" "" "${source[@]}"
}

cat <<'HEAD'
# Trials

Every setting that was tried, on validation prompts alone (never on the test prompts of the table), in
the order in which they were tried; `make trials` writes this file from trials.txt. Means ± standard
errors of the gold reward; KL in nats per response to the reference. A teacher is p* itself, sampled
without training a student.

HEAD
echo '| trial | settings | gold | KL | tokens | ended | distinct-2 |'
echo '|---|---|---|---|---|---|---|'
while read -r name kind arguments; do
    case $name in '' | '#'*) continue ;; esac
    [ "$name" != ref ] || kind=ref
    read -ra words <<<"$arguments"
    key="$kind $arguments $train $generate"
    if [ "$key" != "$(cat "$name.key" 2>/dev/null)" ]; then
        say "trial $name: $kind $arguments"
        make_model "$name" "$kind" "${words[@]}" >o
        point "$name" "$kind" "${words[@]}" >"$name.csv"
        echo "$key" >"$name.key"
    fi
    awk -F, -v name="$name" -v what="$kind $arguments" '{
        printf "| %s | %s | %.2f ± %.2f | %.1f | %.1f | %.0f%% | %.3f |\n", name, what, $1, $2, $3, $5, $6, $7
    }' "$name.csv"
done <"$list"
