#!/bin/bash
# limit: 600
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
simpo      dpo-train --loss simpo --beta 2 --simpo-gamma 0.5 : --lr 3e-4
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
[ "$rows" = 'model,seeds base,2 sft,2 sft-chosen,1 dpo,2 simpo,1 mine,2 rkl,1 online,1 scored,1 rounds,1 ' ] ||
    fatal "not the rows that were wanted: $rows"
for file in summary trials; do
    [ "$(awk -F, '{ print NF }' "$out/$file.csv" | sort -u | wc -l)" = 1 ] || fatal "'$file.csv' has a ragged row"
done
[ "$(wc -l <"$out/trials.csv")" = 13 ] || fatal "not 12 trials: $(cat "$out/trials.csv")"
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

# adapters, beside the full trainings that are there: teachers and student of one rank on another start
cat >"$TMP/ranks.txt" <<'E2'
dpo     dpo-train --beta 0.1                                         : --lr 3e-4 | --lr 1e-3
begun   sft-corpus --lora-rank 4 --steps 2                           : --lr 1e-2
low     dpo-train --beta 0.1 --from begun --lora-rank 2              : STUDENT * 10
student distill --alpha damped:1 --from begun --teachers low --lora-rank 2
E2
rm "$out"/seed-*/base.h5 # which a reference of adapters is trained from: it is there again
touch "$TMP/mark"
sleep 0.1
ranks() { study METHODS="$TMP/ranks.txt" REPEAT='begun low student' STUDENT='--lr 1e-4 | --lr 2e-4'; }
ranks || fatal "make failed: $(tail -n 20 "$TMP/log")"
find "$out" -newer "$TMP/mark" -name 'dpo.[12].h5' | grep . && fatal 'full training again'
grep -q '^| low.2 | dpo-train --beta 0.1 --from begun --lora-rank 2 --lr 0.002 |' "$out/results.md" ||
    grep -q '^| \*\*low.2\*\* | dpo-train --beta 0.1 --from begun --lora-rank 2 --lr 0.002 |' "$out/results.md" ||
    fatal "no trial at ten times the rate: $(cat "$out/results.md")"
hash() { "$bin/shard" ls "$out/seed-$seed/$1" | awk -F'\t' 'NR == 2 { print $8 }'; }
inputs() { "$bin/shard" stat "$out/seed-$seed/$1" | awk -F'\t' '/^input/ { print $3 }' | sort | tr '\n' ' '; }
sorted() { printf '%s\n' "$@" | sort | tr '\n' ' '; }
for seed in 1 2; do
    for name in low low-reverse student; do
        case $(inputs $name.adapter.h5) in
        *"$(hash begun.h5)"*) ;;
        *) fatal "$name of seed $seed is not trained from begun" ;;
        esac
        [ "$(inputs $name.h5)" = "$(sorted "$(hash begun.h5)" "$(hash $name.adapter.h5)")" ] ||
            fatal "$name of seed $seed is not merged of its adapter"
    done
    cache=$(echo "$out/seed-$seed"/caches/cachelow*.h5)
    [ -e "$cache" ] || fatal "no cache by low's teachers: $(ls "$out/seed-$seed/caches")"
    for name in low low-reverse; do
        case $(inputs "caches/${cache##*/}") in
        *"$(hash $name.adapter.h5)"*) ;;
        *) fatal "the cache of seed $seed is not by the adapter of $name" ;;
        esac
    done
done
# 4 layers of 128 and 384: a rank has 4 * 256 + 3 * 512 numbers in each
rows=$(grep -A20 '^### What rank costs' "$out/results.md" | cut -d'|' -f2,3,5,6 | grep -E '^ (dpo|begun|low|student) ')
model=$("$bin/export" --model "$out/start/sft.h5" --format hf -o "$TMP/hf" 2>&1 >"$TMP/log2" | sed -n 's/.* \([0-9]*\) parameters.*/\1/p')
[ "$rows" = " dpo | full | $model | 2 
 begun | 4 | 40960 | 2 
 low | 2 | 20480 | 2 
 student | 2 | 20480 | 2 " ] || fatal "not the ranks' rows: $rows"

# what a line may not say
refuse() { # LINES PATTERN
    echo "$1" >"$TMP/bad.txt"
    study METHODS="$TMP/bad.txt" && fatal "'$1' is fine"
    grep -q "line $(wc -l <"$TMP/bad.txt"): $2" "$TMP/log" || fatal "no '$2': $(cat "$TMP/log")"
}
refuse 'x train --lr 1' "no stage 'train'"
refuse 'sft sft' "the name 'sft' is taken"
refuse 'A sft' "'A' is no name"
refuse 'x sft : a : b' "more than one ' : '"
refuse 'x sft : NONE' "no candidates 'NONE'"
refuse 'x sft : NONE * 10' "no candidates 'NONE'"
refuse 'x sft --from y' "no method 'y' stands above"
refuse $'x sft\ny distill --teachers x' "'x' is no dpo-train"
refuse $'x sft\nd dpo-train --from x\ny distill --teachers d' "'d' is not trained from what 'y' is"

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
part world-adapters 3e-4 METHODS='adapters.txt adapters-students.txt adapters-world.txt'
part stories 1e-3 MODEL="$TMP/stories"
part stories-adapters 1e-3 MODEL="$TMP/stories" METHODS='adapters.txt adapters-students.txt adapters-stories.txt'
part stories-long 1e-3 MODEL="$TMP/stories" METHODS=second.txt RATES='--lr 1e-3 | --lr 2e-3'
part world-third 3e-4 METHODS=third.txt
make -n -C pipelines/study part-contrast-plain BIN="$bin" STUDIES="$TMP/parts" MODEL="$TMP/stories" >"$TMP/log" 2>&1
make -n -C pipelines/study BIN="$bin" OUT="$TMP/parts/budget" METHODS=budget.txt >"$TMP/log" 2>&1

# every line of the methods files has options that its stages take
cat >"$TMP/dry" <<'E2'
#!/bin/bash
case $1 in *teacher-dump) exec "$@" ;; esac # a cache, for the student's options
"$@" --dry-run >/dev/null 2>>"$TMP/dry.log" || echo "$*" >>"$TMP/refused"
E2
chmod +x "$TMP/dry"
dry() { # STAGE OPTIONS...: without the trainings that it follows, and what comes after its training
    SEED_OUT=$out/seed-1 REF=sft WORLD=world TRAIN='--batch-size 12' SNAPSHOTS=0 MAX_NEW=20 TOKENIZE= BIN=$bin \
        RUN="$TMP/dry" CORPUS=$TMP/sft/corpus.h5 pipelines/study/train.sh "$TMP/dry-run/x.h5" "$@" >"$TMP/log" 2>&1
}
lines=0
while read -r stage options; do
    case $stage in
    rounds) continue ;; # as distill
    teacher)
        # shellcheck disable=SC2086
        "$TMP/dry" "$bin/generate" --dpo "$out/seed-1/teacher.h5" --reverse "$out/seed-1/reverse.h5" \
            --ref "$out/seed-1/sft.h5" --data "$out/seed-1/train-prompts.h5" -o "$TMP/x.h5" $options
        ;;
    # shellcheck disable=SC2086
    *) dry $stage $options ;;
    esac
    lines=$((lines + 1))
done < <(sed -n 's/^spec_[^ ]*\.1 := //p' "$TMP"/parts/*/plan.mk | sed 's/ --\(from\|teachers\) [^ ]*//g' | sort -u)
[ $lines -gt 60 ] || fatal "only $lines lines"
[ ! -e "$TMP/refused" ] || fatal "refused: $(cat "$TMP/refused" "$TMP/dry.log")"

# contrast: a reverse model with cleaner pairs of its own; accuracies alone; at equal KL
cat >"$TMP/methods.txt" <<'E2'
dpo      dpo-train --beta 0.1 --lr 3e-4
a-weak   distill --alpha damped:0.3
a-strong distill --alpha damped:0.8
E2
out=$TMP/contrast
knowing=(REPEAT= REVERSE_ROWS=30 "REVERSE_LABELS=--noise none" "REVERSE_OPTS=--lr 1e-3 --epochs 2" NOISE="--scale 0.1")
study "${knowing[@]}" SEEDS=1 accuracy || fatal "make failed: $(tail -n 20 "$TMP/log")"
[ -e "$out/seed-1/a-weak.h5" ] && fatal 'accuracy alone trained a student'
grep -q '^| contrastive | [0-9]* | .* ± .* | -\{0,1\}[0-9.]* ± ' "$out/results.md" || fatal "no accuracy: $(cat "$out/results.md")"
study "${knowing[@]}" SEEDS=1 || fatal "make failed: $(tail -n 20 "$TMP/log")"
[ "$(wc -l <"$out/seed-1/reverse-pairs.csv")" -gt "$(wc -l <"$out/seed-1/train-pairs.csv")" ] ||
    fatal 'the reverse model has no more pairs'
cmp -s <("$bin/gold" label --noise none "$out/seed-1/reverse-samples.jsonl") "$out/seed-1/reverse-pairs.csv" ||
    fatal 'the labels of the reverse model are not clean'
cmp -s <("$bin/gold" label --scale 0.1 "$out/seed-1/train-samples.jsonl") "$out/seed-1/train-pairs.csv" ||
    fatal 'the labels are not noisier'
[ "$(tail -n 1 "$out/seed-1/reverse.csv" | cut -d, -f1)" -gt "$(tail -n 1 "$out/seed-1/teacher.csv" | cut -d, -f1)" ] ||
    fatal 'REVERSE_OPTS changed nothing'
grep -q '^| a | [0-9.]* to [0-9.]* | -\{0,1\}[0-9.]* ' "$out/results.md" || fatal "nothing at equal KL: $(cat "$out/results.md")"
printf 'model,gold,kl\nx-weak,1,2\nx-strong,3,8\ny-weak,2,4\ny-strong,2,16\n' >"$TMP/rows.csv"
[ "$(awk -f pipelines/study/equal.awk "$TMP/rows.csv" | tail -n 2 | paste -sd/)" = \
    '| x | 2.0 to 8.0 | 2.00 | 3.00 |/| y | 4.0 to 16.0 | 2.00 | 2.00 |' ] || fatal 'not on the lines'
printf 'model,gold,kl\nx-weak,2,2\nx-strong,3,8\n' >"$TMP/rows2.csv"
[ "$(awk -f pipelines/study/equal.awk "$TMP/rows.csv" "$TMP/rows2.csv" | tail -n 2 | paste -sd/)" = \
    '| x | 2.0 to 8.0 | 2.25 (2.00, 2.50) | 3.00 (3.00, 3.00) |/| y | 4.0 to 16.0 | 2.00 | 2.00 |' ] || fatal 'a seed without y is not left out'
printf 'row,forward_margin,reverse_margin,contrastive_margin\n0,1,-1,1\n1,-1,-1,1\n2,0,1,1\n3,2,2,-1\n' >"$TMP/rows.csv"
awk -f pipelines/study/accuracy.awk "$TMP/rows.csv" | grep -qx '| contrastive | 4 | 75.0 ± 21.7 | 25.0 ± 41.5 |' ||
    fatal "$(awk -f pipelines/study/accuracy.awk "$TMP/rows.csv")"

make --no-print-directory -C pipelines/rounds BIN="$bin" OUT="$TMP/rounds" >"$TMP/log" 2>&1 && fatal 'rounds without inputs'
grep -q 'give REFERENCE=FILE' "$TMP/log" || fatal "no word about the reference: $(cat "$TMP/log")"
