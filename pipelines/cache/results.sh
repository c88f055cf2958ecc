#!/bin/bash
# results.sh OUT TEACHER...: RESULTS.md from the tables of shard report.
set -e -o pipefail
out=$1
shift
tried=$(for teacher in "$@"; do awk -F, '$1 == "cache" && $10 == 1' "$out/$teacher.csv" | wc -l; done | sort -nu | paste -sd '/')
cat <<HEAD
# Results: what a teacher cache costs, and what is lost

Made by \`make results\` in this folder on $(date -u +%Y-%m-%d). Bytes a position are those of the columns that hold the
teacher (support, log p*, tail mass, TVD, entropy), in files that were written and read back; the tokens
themselves take the same in any of them, and the tables that a file has once (numbers of tokens, levels) are not
counted. Cosine: of the gradient of the student's logits with the full
teacher's, all positions as one vector (sum of dot products over the product of norms). Students: the start
model, and one in the middle of its training. Each cell: the fewest bytes among the settings tried.

- this cache: \`teacher-dump --error-budget E --bits N --student M\`, or \`--least P --bits N [--student M
  --student-k K]\`, zstd level 3;
- fixed k: ids as int32 and log-probabilities as float16, bytes shuffled, zstd level 3;
- curve: what open toolkits for distillation from stored logits do: k ids in packed bits (18 where V is
  152k), the first log-probabilities as bfloat16, the others on a least-squares curve over the rank: 1, r and
  sqrt(r) (1 exact; 127 bytes with k = 50), or powers up to r^4 and sqrt(r) (16 exact; 344 bytes with k = 128).

The others are given the exact tail mass at no cost, are scaled to it, and are trained by the same loss with a
bucket for the tail, in which no token has more than their least likely one; with their own (a renormalised top k) they would do worse. They keep neither the tail nor
TVD and entropy: "without" is this cache, in the same setting, but for these three. What it keeps of the realised
token and of the end of sequence is counted in both.

stories: TinyStories-656K (V 2048), pairs and DPO models as in pipelines/stories. demo: pipelines/demo (V 1024).
wide: V 151936, logits that follow token counts with a random part, sharpened to 1.5 nats, models that differ by
small random changes of all weights (wide.c). In -published the same by the published recipe at the authors'
strength, tvd:20; gradients are those of positions that weigh alike.

Read with care: the tables of levels and the defaults were chosen on these same three teachers, and each cell is the
best of $tried settings of this cache, but of 23 lengths of each other coding. A dash: no setting tried gets there.
HEAD
for teacher in "$@"; do
    awk -F, -v name="$teacher" -f results.awk "$out/$teacher.csv"
    sed -n 's/^shard: \([0-9]* positions of .*\)$/\n\1./p' "$out/$teacher.log"
done
[ ! -e "$out/quality.md" ] || {
    cat <<'QUALITY'

## Students of truncated teachers

The stories teacher (`--alpha damped:0.5`) kept with ever fewer tokens, and what the students distilled from it
are worth by the gold reward (± standard error), on 4 responses to each of the 150 validation prompts.

QUALITY
    sed -n '/^|/p' "$out/quality.md"
}
