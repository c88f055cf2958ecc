#!/bin/bash
# The study, made small: a line of the methods file of every stage, two seeds, one page; then nothing to
# do; a changed line redoes that method alone; bad lines are refused.
set -u
. tests/report.bash
bin=$(cd "$BIN" && pwd)
out=$TMP/out
cat >"$TMP/methods.txt" <<'E2'
# a comment
sft-chosen sft                                : --lr 1e-3
dpo        dpo-train --beta 0.1               : --lr 3e-4 | --lr 1e-3
mine       distill --recipe adaptive          : STRENGTHS
rkl        distill --divergence rkl --alpha damped:1
online     on-policy --reward-level response
scored     group-reward --batch-size 4 --group 2 --steps 2
rounds     rounds --recipe adaptive           : --alpha damped:1
p-fixed    teacher --alpha fixed:1
E2
export STRENGTHS="--alpha damped:0.5 | --alpha damped:1"
study() {
    make --no-print-directory -C pipelines/study BIN="$bin" OUT="$out" SEEDS="1 2" REPEAT=mine \
        METHODS="$TMP/methods.txt" TRAIN_ROWS=24 VALID_ROWS=8 TEST_ROWS=8 MAX_NEW=20 SNAPSHOTS=1 \
        START_OPTS="CORPUS_ROWS=300 VOCAB=400" TRAIN_OPTS="--batch-size 12" CURVES=mine \
        TEST_SAMPLES=1 "$@" >"$TMP/log" 2>&1
}

study || fatal "make failed: $(tail -n 20 "$TMP/log")"
rows=$(cut -d, -f1,3 "$out/summary.csv" | tr '\n' ' ')
[ "$rows" = 'model,seeds base,2 sft,2 sft-chosen,1 dpo,2 mine,2 rkl,1 online,1 scored,1 rounds,1 ' ] ||
    fatal "not the rows that were wanted: $rows"
for file in summary trials; do
    [ "$(awk -F, '{ print NF }' "$out/$file.csv" | sort -u | wc -l)" = 1 ] || fatal "'$file.csv' has a ragged row"
done
[ "$(wc -l <"$out/trials.csv")" = 12 ] || fatal "not 11 trials: $(cat "$out/trials.csv")"
# every trial has its numbers; p* has a KL too, and the reference none
awk -F, 'NR > 1 { if ($3 == "" || $5 == "" || $7 == "") bad = 1; if ($1 == "sft" && $5 != 0) bad = 1
    if ($1 ~ /^p-fixed/ && !($5 > 0)) bad = 1 } END { exit bad }' "$out/trials.csv" || fatal "$(cat "$out/trials.csv")"
# the choice: least KL within a standard error of the best gold
for method in dpo mine; do
    want=$(awk -F, -v m=$method. 'index($1, m) == 1 { n++; name[n] = $1; g[n] = $3; e[n] = $4; k[n] = $5 }
        END { b = g[2] > g[1] ? 2 : 1; w = 3 - b
              print (g[w] >= g[b] - e[b] && k[w] < k[b]) ? name[w] : name[b] }' "$out/trials.csv")
    [ "$(cat "$out/choices/$method")" = "$want" ] || fatal "$method: chose '$(cat "$out/choices/$method")', not '$want'"
    cmp -s "$out/seed-1/tune/$want.h5" "$out/seed-1/$method.h5" || fatal "$method is not its chosen trial"
done
# the other seed has pairs and a student of its own
cmp -s "$out/seed-1/train-pairs.csv" "$out/seed-2/train-pairs.csv" && fatal 'two seeds, the same pairs'
[ "$(wc -l <"$out/seed-1/rounds.csv")" = 5 ] || fatal "not a row a step of four rounds: $(cat "$out/seed-1/rounds.csv")"
grep -q '^| mine (.) | 2 | -\{0,1\}[0-9.]* ± ' "$out/results.md" || fatal "$(cat "$out/results.md")"
grep -q 'mine=seed-1/test/mine.jsonl' "$out/report.page" || fatal "no student among the responses: $(tail -n 1 "$out/report.page")"
tail -c 20 "$out/report.html" | grep -q '</html>' || fatal 'the page is not whole'

# again: nothing is made; another candidate: nothing of other methods is trained
touch "$TMP/mark"
sleep 0.1
study || fatal "make failed: $(tail -n 20 "$TMP/log")"
find "$out" -type f -newer "$TMP/mark" ! -name plan.mk | grep . && fatal 'the second run made these'
sed -i 's/rkl --alpha damped:1/rkl --alpha damped:0.5/' "$TMP/methods.txt"
study tuned || fatal "make failed: $(tail -n 20 "$TMP/log")"
made=$(find "$out/seed-1/tune" -newer "$TMP/mark" -name '*.h5' ! -name '*.step-*' -printf '%f ')
[ "$made" = 'rkl.1.h5 ' ] || fatal "a changed line made: $made"

# what a line may not say
refuse() { # LINE PATTERN
    echo "$1" >"$TMP/bad.txt"
    study METHODS="$TMP/bad.txt" && fatal "'$1' is fine"
    grep -q "line 1: $2" "$TMP/log" || fatal "no '$2': $(cat "$TMP/log")"
}
refuse 'x train --lr 1' "no stage 'train'"
refuse 'sft sft' "the name 'sft' is taken"
refuse 'A sft' "'A' is no name"
refuse 'x sft : a : b' "more than one ' : '"
refuse 'x sft : NONE' "no candidates 'NONE'"

# the parts of RESULTS.md: each is the study that its own command makes, whatever model the others have
unset STRENGTHS
mkdir "$TMP/stories"
part() { # NAME LR VARIABLES...: from `parts` and alone: the same candidates, teachers of this rate
    make -n -C pipelines/study "part-$1" BIN="$bin" STUDIES="$TMP/parts" MODEL="$TMP/stories" >"$TMP/log" 2>&1
    grep -q -F -e "'--beta 0.1 --lr $2'" "$TMP/log" || fatal "part $1 has other teachers than --lr $2"
    make -n -C pipelines/study BIN="$bin" OUT="$TMP/alone/$1" "${@:3}" >"$TMP/log" 2>&1
    cmp "$TMP/parts/$1/plan.mk" "$TMP/alone/$1/plan.mk" || fatal "part $1 has other candidates"
}
part world 3e-4
part world-second 3e-4 METHODS=second.txt
part stories 1e-3 MODEL="$TMP/stories"
part stories-long 1e-3 MODEL="$TMP/stories" METHODS=second.txt RATES='--lr 1e-3 | --lr 2e-3'

make --no-print-directory -C pipelines/rounds BIN="$bin" OUT="$TMP/rounds" >"$TMP/log" 2>&1 && fatal 'rounds without inputs'
grep -q 'give REFERENCE=FILE' "$TMP/log" || fatal "no word about the reference: $(cat "$TMP/log")"
