#!/bin/bash
# A real small model through every stage: the same bytes for 1, 2, 3 and 4 threads, any micro-batch,
# with and without --recompute, and at the AVX2 and AVX-512 levels.
set -u
. tests/report.bash
data=../shared/data
hf=$data/models/TinyStories-656K
stories=$data/preference/tinystories_sample.txt
[ -d $hf ] && [ -e $stories ] || skip "no ../shared"
for p in import tokenize sft dpo-train teacher-dump distill generate; do
    [ -x "$BIN/$p" ] || skip "$p is not built"
done

# Runs of the stories' words, from other places for every row.
tr -d '"\\\r' <$stories | tr -s ' \n' '\n\n' | awk '
    function words(from, n,   t, i) { for (i = 0; i < n; i++) t = t (i ? " " : "") w[(from + i) % NR]; return t }
    { w[NR - 1] = $0 }
    END { for (r = 0; r < 12; r++) printf "\"%s\",\"%s\",\"%s\"\n", words(53 * r, 12 + r),
        words(53 * r + 20, 90 + 9 * r), words(31 * r + 7, 60 + 5 * r) }' >"$TMP/rows"
{ echo prompt,chosen,rejected; cat "$TMP/rows"; } >"$TMP/pairs.csv"
{ echo prompt,response,other; cat "$TMP/rows"; } >"$TMP/sft.csv"
cd "$TMP" || exit 1
BIN=$(cd "$OLDPWD" && realpath "$BIN") hf=$OLDPWD/$hf
run() { "$@" >out 2>err || fatal "$* : $(cat err)"; }
run "$BIN/import" -q --hf "$hf" -o base.h5
for kind in pref sft; do
    input=pairs.csv
    [ $kind = pref ] || input=sft.csv
    run "$BIN/tokenize" -q --model base.h5 --kind $kind --max-length 260 --input $input -o $kind.h5
done
run "$BIN/tokenize" -q --model base.h5 --kind prompt --max-length 40 --input sft.csv -o prompt.h5

# Each step has three units at least, and a unit has a chunk or more of its own: more positions than
# two units can hold, of --unit-tokens each or of one row, if that has more.
unit=360 policy_unit=80
steps() { # LOG MOST-TOKENS-OF-A-UNIT
    awk -F, -v unit="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "tokens") c = i; next }
        { n += $c > 2 * unit } END { exit !(NR == 3 && n == 2) }' "$1" || fatal "steps of $1 are too small: $(cat "$1")"
}
common="--batch-size 6 --steps 2 --lr 1e-3 -q"
stages() { # NAME OPTIONS OPTIONS-OF-TRAINERS SLOTS: every stage on the first run's inputs
    local stage n=$1 few=$2 train="--unit-tokens $unit $2${3:+ $3}" policy="--unit-tokens $policy_unit $2${3:+ $3}"
    run "$BIN/sft" --model base.h5 --data sft.h5 -o "sft-$n.h5" $common $train --log "sft-$n.csv"
    run "$BIN/dpo-train" --model sft-1.h5 --data pref.h5 -o "dpo-$n.h5" --reference "ref-$n.h5" $common $train --log "dpo-$n.csv"
    run "$BIN/dpo-train" --model sft-1.h5 --data pref.h5 -o "rev-$n.h5" --reverse --reference "ref-$n.h5" $common $train
    run "$BIN/teacher-dump" --dpo dpo-1.h5 --reverse rev-1.h5 --data pref.h5 -o "teacher-$n.h5" -q $few
    run "$BIN/distill" --model sft-1.h5 --teacher teacher-1.h5 -o "distill-$n.h5" $common $train --log "distill-$n.csv"
    run "$BIN/distill" --model sft-1.h5 --on-policy --dpo dpo-1.h5 --reverse rev-1.h5 --data prompt.h5 \
        --max-new 40 -o "policy-$n.h5" $common $policy --log "policy-$n.csv"
    run "$BIN/generate" --model dpo-1.h5 --data prompt.h5 --max-new 40 -o "gen-$n.h5" -q $few --slots "$4"
    if [ "$n" = 1 ]; then
        steps sft-1.csv $unit
        steps dpo-1.csv $((2 * 260))
        steps distill-1.csv $unit
        steps policy-1.csv $policy_unit
        return
    fi
    for stage in sft dpo rev teacher distill policy gen; do
        cmp -s "$stage-1.h5" "$stage-$n.h5" || fatal "$stage with '$train' differs from one thread's"
    done
}
stages 1 "--threads 1" "--micro-tokens 100000" 1
stages 2 "--threads 2" "--micro-tokens 1" 5
stages 3 "--threads 3" "--micro-tokens 1300 --recompute" 7
stages 4 "--threads 4" "--micro-tokens 700" 12
if grep -q avx512dq /proc/cpuinfo && [ "$(uname -m)" = x86_64 ]; then
    export ALIGNDISTIL_KERNELS=avx2
    stages avx2 "--threads 2" "--micro-tokens 2000" 4
fi
cmp -s sft-1.h5 base.h5 && fatal "nothing was trained"
exit 0
