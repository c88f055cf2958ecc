#!/bin/sh
# results.sh OUT TITLE REFERENCE FIRST 'VARIABLES': what a study found, in Markdown; the variables are
# those that make was called with.
out=$1 name=$2 ref=$3 first=$4 variables=$5
setting() { cat "$out/seed-$first/settings/$1"; }
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
tests() { # nothing where the trials alone were made
    [ -e "$out/summary.csv" ] || return 0
    cat <<TESTS

On test prompts, which neither training nor the choices saw; the number behind a method is the chosen
trial below. With several seeds (pairs, noise of their labels, order of training, sampling): mean ± standard
deviation over the seeds; one seed's gold reward has a standard error of $(awk -F, 'NR > 1 && $1 != "base" { s += $3; n++ }
        END { printf "%.2f", s / n }' "$out/seed-$first/rows.csv") from the prompts alone. KL: to $ref, nats per response, on the
model's own responses. LC: length-controlled. Steps to DPO: the first snapshot whose gold reward on
validation prompts is that of the finished dpo (–: never, or its snapshots were not measured); CPU s: of this training, + of its teacher cache.
Before a distillation come the teachers: $(cat "$out/seed-$first/seconds/teacher") s dpo, $(cat "$out/seed-$first/seconds/reverse") s reverse dpo.

$(awk -v ref="$ref" -f table.awk "$out/summary.csv")
TESTS
}
accuracy() {
    [ -e "$out/seed-$first/valid/pairs.csv" ] || return 0
    cat <<PAIRS
### What the rewards know ($name)

Pairs of the reference's samples to validation prompts, put into the order of the gold reward (no noise):

| reward | pairs | accuracy, % |
|---|---|---|
$(awk -F, '$1 ~ /^(forward|reverse|contrastive|reward_model)$/ { printf "| %s | %d | %.1f ± %.1f |\n", $1, $2, 100 * $3, 100 * $4 }' \
        "$out/seed-$first/valid/pairs.csv")
PAIRS
}
cat -s <<HEAD
## $name

Made by \`$(echo make -C pipelines/study $variables)\` on $(date -u +%Y-%m-%d)${cpu:+, on $cpu}.
$(tests)

All trainings: \`$(setting TRAIN | sed 's/ [0-9]*$//')\`; teachers: \`dpo-train $(setting TEACHER)\`, and with \`--reverse\`.

$(accuracy)

### Every trial ($name)

On validation prompts, seed $first; \`teacher\` is p* itself, sampled without training. Chosen (bold): of the
trials within one standard error of the best gold reward the one with the least KL.

$(awk -f trials.awk "$out/trials.csv")

HEAD
