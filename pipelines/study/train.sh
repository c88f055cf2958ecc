#!/bin/bash
# train.sh MODEL.h5 STAGE OPTIONS...: one training of the study, a line of methods.txt. Where MODEL.h5
# stands its log (MODEL.csv), its snapshots and seconds/MODEL appear: CPU seconds of the training, and
# seconds/MODEL.cache of its teacher cache. Caches are shared by all that ask for the same one. From the
# environment: SEED_OUT (the seed's folder: pairs, teachers, prompts), REF (name of the reference), WORLD,
# TRAIN (options of every training), SNAPSHOTS, MAX_NEW, TOKENIZE (options), BIN, RUN.
set -e -o pipefail
model=$1 stage=$2
shift 2
folder=$(dirname "$model") name=$(basename "$model" .h5)
reference=$SEED_OUT/$REF.h5
here=$(dirname "$0")
mkdir -p "$folder/seconds" "$SEED_OUT/caches"
TIMEFORMAT='%U %S'

timed() { # SECONDS OUTPUT COMMAND...: keeps the seconds of an output that was there already
    local seconds=$1 before
    before=$(stat -c %i "$2" 2>/dev/null || true)
    { time "${@:3}" 2>&3; } 3>&2 2>"$seconds.now"
    if [ -e "$seconds" ] && [ "$(stat -c %i "$2")" = "$before" ]; then
        rm "$seconds.now"
    else
        awk '{ printf "%.1f\n", $1 + $2 }' "$seconds.now" >"$seconds.part"
        rm "$seconds.now"
        mv "$seconds.part" "$seconds"
    fi
}

train() { # STAGE OPTIONS...
    # shellcheck disable=SC2086
    timed "$folder/seconds/$name" "$model" $RUN "$BIN/$1" --model "$reference" -o "$model" \
        --log "$folder/$name.csv" --snapshot-every "$SNAPSHOTS" $TRAIN "${@:2}" -q >"$folder/$name.out"
    rm "$folder/$name.out"
}

teachers=(--dpo "$SEED_OUT/teacher.h5" --reverse "$SEED_OUT/reverse.h5" --ref "$reference")

# What teacher-dump takes of a distillation's options, and what distill does; --recipe is of both.
divide() { # OPTIONS...
    dump=() student=()
    while [ $# != 0 ]; do
        case $1 in
        --recipe) dump+=("$1" "$2") student+=("$1" "$2") ;;
        --base | --negative | --alpha | --plausible | --responses | --mass | --top-k | --least | --bits)
            dump+=("$1" "$2")
            ;;
        *) student+=("$1" "$2") ;;
        esac
        shift 2
    done
}

make_cache() { # sets cache; one at a time, since several may ask for the same one
    cache=$SEED_OUT/caches/$(tr -c 'a-z0-9.\n-' _ <<<"cache${dump[*]}").h5
    exec 9>"$cache.lock"
    flock 9
    # shellcheck disable=SC2086
    timed "$cache.seconds" "$cache" $RUN "$BIN/teacher-dump" "${teachers[@]}" \
        --data "$SEED_OUT/train-pairs.h5" -o "$cache" "${dump[@]}" -q >"$folder/$name.out"
    exec 9>&-
    cp "$cache.seconds" "$folder/seconds/$name.cache"
}

case $stage in
sft) train sft --data "$SEED_OUT/chosen.h5" "$@" ;;
dpo-train) train dpo-train --data "$SEED_OUT/train-pairs.h5" --reference "$SEED_OUT/reference.h5" "$@" ;;
distill)
    divide "$@"
    make_cache
    train distill --teacher "$cache" "${student[@]}"
    ;;
on-policy)
    train distill --on-policy "${teachers[@]}" --data "$SEED_OUT/train-prompts.h5" --max-new "$MAX_NEW" "$@"
    ;;
reward) train dpo-train --data "$SEED_OUT/train-pairs.h5" --loss reward "$@" ;;
group-*)
    case $stage in # what scores the samples
    group-reward) scores=(--reward-model "$SEED_OUT/reward-model.h5") ;;
    group-dpo) scores=(--dpo "$SEED_OUT/teacher.h5") ;;
    group-gold) scores=(--scorer "$BIN/gold score --world $WORLD") ;;
    esac
    train distill --on-policy --reward-level group "${scores[@]}" --data "$SEED_OUT/train-prompts.h5" \
        --max-new "$MAX_NEW" "$@"
    ;;
rounds)
    divide "$@"
    timed "$folder/seconds/$name" "$model" env MAKEFLAGS= MFLAGS= make --no-print-directory -s -C "$here/../rounds" \
        OUT="$folder/$name.rounds" REFERENCE="$reference" DPO="$SEED_OUT/teacher.h5" \
        REVERSE="$SEED_OUT/reverse.h5" PROMPTS="$SEED_OUT/train-prompts.csv" MODEL="$model" \
        DUMP_OPTS="${dump[*]}" DISTILL_OPTS="$TRAIN ${student[*]}" MAX_NEW="$MAX_NEW" TOKENIZE="$TOKENIZE" \
        >"$folder/$name.out"
    rm "$folder/$name.out"
    ;;
*)
    echo "train.sh: no stage '$stage'" >&2
    exit 2
    ;;
esac
