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
as a share of all; seconds: this training alone.

\`\`\`
$(cat "$out/table.txt")
\`\`\`

![gold reward on validation prompts on the way](steps.svg)

Settings$([ ! -e TRIALS.md ] || echo ' ([TRIALS.md](TRIALS.md) lists those that were tried)'):

HEAD
for name in SFT DPO DUMP ADAPTIVE PUBLISHED TUNED DISTILL SAMPLE; do
    [ -e "$out/settings/$name" ] && echo "- $name: \`$(cat "$out/settings/$name")\`"
done
cat <<'TAIL'

`published` is the authors' loss and strength, `tuned` their loss with a strength of our own.
TAIL
