#!/bin/sh
# results.sh OUT TITLE REFERENCE FIRST 'VARIABLES': what a study found, in Markdown; the variables are
# those that make was called with.
set -e # a table that cannot be made is an error: each is a variable before it is text
out=$1 name=$2 ref=$3 first=$4 variables=$5
setting() { cat "$out/seed-$first/settings/$1"; }
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
tests() { # nothing where the trials alone were made
    [ -e "$out/summary.csv" ] || return 0
    table=$(awk -v ref="$ref" -f table.awk "$out/summary.csv")
    error=$(awk -F, 'NR > 1 && $1 != "base" { s += $3; n++ } END { printf "%.2f", s / n }' "$out/seed-$first/rows.csv")
    cat <<TESTS

On test prompts, which neither training nor the choices saw; the number behind a method is the chosen
trial below. With several seeds (pairs, noise of their labels, order of training, sampling): mean ± standard
deviation over the seeds; one seed's gold reward has a standard error of $error from the prompts alone. KL: to $ref, nats per response, on the
model's own responses. LC: length-controlled. Steps to DPO: the first snapshot whose gold reward on
validation prompts is that of the finished dpo (–: never, or its snapshots were not measured); CPU s: of this training, + of its teacher cache;
in all: with the trainings of its teachers.
Before a distillation come the teachers: $(cat "$out/seed-$first/seconds/teacher") s dpo, $(cat "$out/seed-$first/seconds/reverse") s reverse dpo.

$table
TESTS
}
accuracy() {
    set -- "$out"/seed-*/valid/pairs-rows.csv
    [ -e "$1" ] || return 0
    table=$(awk -f accuracy.awk "$@")
    cat <<PAIRS
### What the rewards know ($name)

Pairs of the reference's samples to validation prompts, put into the order of the gold reward (no noise), of $# seed$([ $# = 1 ] || echo s):

$table
PAIRS
}
ranks() { # where methods have one
    grep -q -e '--lora-rank' "$out/plan.mk" && [ -e "$out/summary.csv" ] || return 0
    table=$(awk -v ref="$ref" -f adapters.awk "$out/plan.mk" "$out/seed-$first"/*.parameters "$out"/choices/* \
        "$out/summary.csv" "$out"/seed-*/rows.csv)
    cat <<RANKS
### What rank costs ($name)

At each one's tuned rate, on test prompts; ± standard deviation over the seeds, or of one seed the standard error from the
prompts. Against full: the gold reward less that of full training in the same place, mean over the seeds that both have, ± its
standard error from the prompts; CPU s: of this training alone.

$table
RANKS
}
equal() {
    grep -q '^[^,]*-weak,' "$out/summary.csv" 2>/dev/null || return 0
    table=$(awk -f equal.awk "$out"/seed-*/rows.csv)
    cat <<EQUAL
### At equal KL ($name)

Read off the line between a method's two strengths, in log KL, on test prompts: means over the seeds (each in brackets).

$table
EQUAL
}
trials() {
    [ -e "$out/trials.csv" ] || return 0
    table=$(awk -f trials.awk "$out/trials.csv")
    cat <<TRIALS
### Every trial ($name)

On validation prompts, seed $first; \`teacher\` is p* itself, sampled without training. Chosen (bold): of the
trials within one standard error of the best gold reward the one with the least KL.

$table
TRIALS
}
tests=$(tests)
accuracy=$(accuracy)
equal=$(equal)
ranks=$(ranks)
trials=$(trials)
settings=$(setting TRAIN | sed 's/ [0-9]*$//')
teacher=$(setting TEACHER)
cat -s <<HEAD
## $name

Made by \`$(echo make -C pipelines/study $variables)\` on $(date -u +%Y-%m-%d)${cpu:+, on $cpu}.
$tests

All trainings: \`$settings\`; teachers: \`dpo-train $teacher\`, and with \`--reverse\`.

$ranks

$accuracy

$equal

$trials

HEAD
