#!/bin/bash
# Every combination of base, negative, alpha, divergence, weight and normalisation distils, off- and
# (a choice of them) on-policy, with finite numbers; and teacher-dump takes all kinds of responses.
set -u
. tests/report.bash
for p in import tokenize sft dpo-train teacher-dump distill; do
    [ -x "$BIN/$p" ] || skip "$p is not built"
done
D=$TMP/smoke
make -s -C pipelines/smoke BIN="$(realpath "$BIN")" OUT="$D" "$D/reverse.h5" "$D/prompts.h5" \
    >"$TMP/make.log" 2>&1 || { cat "$TMP/make.log"; exit 1; }
teachers=(--dpo "$D/dpo.h5" --reverse "$D/reverse.h5" --ref "$D/sft.h5")

finite() { # NAME LOG ROWS: rows of numbers that are finite, of losses that are not all the same
    awk -F, -v rows="$3" 'NR == 1 { n = NF; next }
        { if (NF != n) bad = 1
          for (i = 1; i <= NF; i++) if ($i !~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/) bad = 1
          losses++ }
        END { exit bad || losses != rows }' "$2" || fail "$1: $(cat "$2")"
}

n=0
student() { # NAME ARGUMENTS...: two steps with every divergence, weight and normalisation
    local name=$1
    shift
    for divergence in fkl rkl jsd:0.5; do
        for weight in uniform inverse-alpha; do
            for normalise in sequence token sum; do
                "$BIN/distill" --model "$D/sft.h5" "$@" -o "$TMP/out.h5" --force --steps 2 \
                    --batch-size 6 --unit-tokens 256 --threads 1 --log "$TMP/log.csv" -q \
                    --divergence $divergence --token-weight $weight --normalise $normalise \
                    >"$TMP/out" 2>"$TMP/err" || fail "$name $divergence $weight $normalise: $(cat "$TMP/err")"
                finite "$name $divergence $weight $normalise" "$TMP/log.csv" 2
                md5sum <"$TMP/out.h5" >>"$TMP/sums"
                n=$((n + 1))
            done
        done
    done
}

for base in dpo ref; do
    for negative in reverse ref; do
        for alpha in fixed:0.5 damped:1 tvd:5; do
            what="$base $negative $alpha"
            "$BIN/teacher-dump" "${teachers[@]}" --data "$D/pairs.h5" -o "$TMP/cache.h5" --force -q \
                --base $base --negative $negative --alpha $alpha --threads 1 >"$TMP/out" 2>"$TMP/err" ||
                fail "$what: $(cat "$TMP/err")"
            student "$what" --teacher "$TMP/cache.h5"
        done
    done
done
for share in 0 1 1.5 -1; do
    "$BIN/distill" --model "$D/sft.h5" --teacher "$TMP/cache.h5" -o "$TMP/none.h5" --divergence jsd:$share \
        >"$TMP/out" 2>"$TMP/err" && fail "jsd:$share was taken"
    grep -q "between 0 and 1, not $share" "$TMP/err" || fail "jsd:$share: $(cat "$TMP/err")"
done
# a cache may have an alpha of 0, by which nothing can be divided
"$BUILD/tests/cli/make_files" teacher "$TMP/made.h5" 20 >/dev/null || fail 'make_files teacher'
"$BUILD/tests/cli/make_files" model "$TMP/made-model.h5" 1 >/dev/null || fail 'make_files model'
"$BIN/distill" --model "$TMP/made-model.h5" --teacher "$TMP/made.h5" -o "$TMP/none.h5" --token-weight inverse-alpha \
    --reward-beta 0.1 >"$TMP/out" 2>"$TMP/err"
[ $? = 3 ] && grep -q 'has an alpha of 0 at its response position' "$TMP/err" || fail "alpha 0: $(cat "$TMP/err")"
[ $n = 216 ] || fail "only $n combinations"
[ "$(sort -u "$TMP/sums" | wc -l)" = 216 ] || fail "some of the 216 models are the same"

student on-policy --on-policy "${teachers[@]}" --data "$D/prompts.h5" --max-new 8
for level in token response; do
    for normalise in sequence token sum; do
        "$BIN/distill" --model "$D/sft.h5" --on-policy "${teachers[@]}" --data "$D/prompts.h5" \
            -o "$TMP/out.h5" --force --steps 2 --batch-size 6 --max-new 8 --log "$TMP/log.csv" -q \
            --reward-level $level --normalise $normalise >"$TMP/out" 2>"$TMP/err" ||
            fail "$level: $(cat "$TMP/err")"
        finite "$level $normalise" "$TMP/log.csv" 2
    done
done

for responses in chosen rejected both; do
    "$BIN/teacher-dump" "${teachers[@]}" --data "$D/pairs.h5" -o "$TMP/$responses.h5" -q \
        --responses $responses >"$TMP/out" 2>"$TMP/err" || fail "$responses: $(cat "$TMP/err")"
    "$BIN/distill" --model "$D/sft.h5" --teacher "$TMP/$responses.h5" -o "$TMP/out.h5" --force \
        --batch-size 1000 --log "$TMP/$responses.csv" -q >"$TMP/out" 2>"$TMP/err" ||
        fail "$responses: $(cat "$TMP/err")"
    finite "$responses" "$TMP/$responses.csv" 1
done
column() { awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) k = i } NR == 2 { print $k }' "$2"; }
chosen=$(column tokens "$TMP/chosen.csv") rejected=$(column tokens "$TMP/rejected.csv")
[ "$(column tokens "$TMP/both.csv")" = $((chosen + rejected)) ] && [ "$chosen" != "$rejected" ] ||
    fail "both is not chosen and rejected: $chosen, $rejected, $(column tokens "$TMP/both.csv")"
finish
