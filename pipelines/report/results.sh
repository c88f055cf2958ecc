#!/bin/sh
# results.sh OUT NAME: RESULTS.md of an experiment, from its table.
out=$1
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
cat <<HEAD
# Results: $2

Made by \`make\` and \`make results\` in this folder on $(date -u +%Y-%m-%d)${cpu:+, on $cpu ($(nproc) CPUs)}. On test prompts,
which neither training nor the choice of settings saw; ± standard errors. Win rates (LC: length-controlled)
are judged by the gold reward itself; KL in nats per response, on the model's own responses; tokens: mean
length; ended: responses whose last sentence is complete; distinct-2: different pairs of neighbouring words
as a share of all; seconds: this training alone; in all: with what a student needs besides (dpo, reverse dpo, the
teacher cache).

\`\`\`
$(cat "$out/table.txt")
\`\`\`

![gold reward on validation prompts on the way](steps.svg)

Settings$([ ! -e TRIALS.md ] || echo ' ([TRIALS.md](TRIALS.md): what was tried, on an earlier build)'):

HEAD
for name in SFT DPO_1 DPO DUMP ADAPTIVE_1 TUNED_1 DISTILL_1 ADAPTIVE PUBLISHED TUNED DISTILL SAMPLE; do
    [ -e "$out/settings/$name" ] && echo "- $name: \`$(cat "$out/settings/$name")\`"
done
cat <<'TAIL'

`published` is the authors' loss and strength, `tuned` their loss with a strength of our own.
TAIL
[ ! -e "$out/settings/DPO_1" ] || cat <<'ONE'
Names in -1: the paper's setting, one epoch of everything: `dpo-1` and, from it and its reverse, students of one epoch.
ONE
[ ! -e "$out/seeds.csv" ] || cat <<SEEDS

## When DPO's reward is reached

By \`make seeds\`, on validation prompts; every seed is another world, with models of its own. A model has a reward at the first measured step
with it, every 10 steps of the models of one epoch and every 20 of the others; the gold reward at a KL is read off the line between two
measured steps, as training goes (–: never, or the KL is never that).
$(awk -f ../report/reached.awk "$out/seeds.csv")
SEEDS
