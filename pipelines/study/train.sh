#!/bin/bash
# train.sh MODEL.h5 STAGE OPTIONS...: one training of the study, a line of methods.txt. Where MODEL.h5
# stands its log (MODEL.csv), its snapshots and seconds/MODEL appear: CPU seconds of the training, and
# seconds/MODEL.cache of its teacher cache. Caches are shared by all that ask for the same one. With
# --lora-rank the adapter is MODEL.adapter.h5, MODEL.h5 what `merge` makes of it, and MODEL.parameters
# says how many both have. From the environment: SEED_OUT (the seed's folder: pairs, teachers, prompts),
# CORPUS (the world's), REF (name of the reference), WORLD, TRAIN (options of every training),
# SNAPSHOTS, MAX_NEW, TOKENIZE (options), BIN, RUN, PAIRS (whose pairs a preference training has:
# train if not set).
set -e -o pipefail
model=$1 stage=$2
shift 2
folder=$(dirname "$model") name=$(basename "$model" .h5)
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
    local adapter=$folder/$name.adapter.h5 made=$model
    case " $* " in *' --lora-rank '*) made=$adapter ;; *) rm -f "$adapter" ;; esac
    # shellcheck disable=SC2086
    timed "$folder/seconds/$name" "$made" $RUN "$BIN/$1" --model "$reference" -o "$made" \
        --log "$folder/$name.csv" --snapshot-every "$SNAPSHOTS" $TRAIN "${@:2}" -q >"$folder/$name.out"
    if [ "$made" != "$model" ]; then
        "$BIN/merge" --force --model "$reference" --adapter "$made" -o "$model" 2>&1 >"$folder/$name.out" |
            sed -n 's/^merge: \([0-9]*\) parameters, and \([0-9]*\) of .*/\1 \2/p' >"$folder/$name.parameters"
    fi
    rm "$folder/$name.out"
}

# --from METHOD: trained from that method's model in place of the reference. --teachers METHOD: the
# teachers are that method's model and its reverse, as adapters where they are.
from=$REF log_probabilities=$SEED_OUT/${PAIRS:+$PAIRS-}reference.h5 dpo=teacher reverse=reverse options=() dump_of=()
while [ $# != 0 ]; do
    case $1 in
    # with log-probabilities of its own, since trials go side by side
    --from) from=$2 log_probabilities=$folder/$name-reference.h5 ;;
    --teachers) dpo=$2 reverse=$2-reverse dump_of=("$2") ;;
    *) options+=("$1") && shift && continue ;;
    esac
    shift 2
done
set -- "${options[@]}"
reference=$SEED_OUT/$from.h5
adapter_or_model() { # NAME
    if [ -e "$SEED_OUT/$1.adapter.h5" ]; then echo "$SEED_OUT/$1.adapter.h5"; else echo "$SEED_OUT/$1.h5"; fi
}
teachers=(--dpo "$(adapter_or_model $dpo)" --reverse "$(adapter_or_model $reverse)" --ref "$reference")

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
    cache=$SEED_OUT/caches/$(tr -c 'a-z0-9.\n-' _ <<<"cache${dump_of[*]}${dump[*]}").h5
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
sft-corpus) # what makes the world's reference of random weights
    reference=$SEED_OUT/base.h5
    train sft --data "$CORPUS" "$@"
    ;;
dpo-train)
    case " $* " in *' --loss simpo '*) kept=() ;; *) kept=(--reference "$log_probabilities") ;; esac
    train dpo-train --data "$SEED_OUT/${PAIRS:-train}-pairs.h5" "${kept[@]}" "$@"
    ;;
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
