#!/bin/bash
# results.sh OUT MODEL DATA: what a run on preference data came to, in Markdown.
out=$1
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
block() {
    echo '```'
    cat
    printf '```\n\n'
}
training() { # first and last row of a training log, by the names of its columns
    awk -F, -v name="$1" -v seconds="$(cat "$out/seconds/$1")" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        { tokens += $at["tokens"]; last = $at["loss"]; step = $1
          accuracy = at["reward_accuracy"] ? sprintf("%.3f", $at["reward_accuracy"]) : "-" }
        NR == 2 { first = $at["loss"] }
        END { printf "%-8s %6d %9d %11.5f %11.5f %9s %8s\n", name, step, tokens, first, last,
                  accuracy, seconds }' "$out/$1.csv"
}

cat <<HEAD
# Results: preference data $3, model $2

Written by \`make\` on $(date -u +%Y-%m-%d)${cpu:+, on $cpu ($(nproc) CPUs)}. Settings:

- rows: \`$(cat "$out/settings/TOKENIZE")\`
- preference training: \`$(cat "$out/settings/DPO")\`
- teacher: \`$(cat "$out/settings/DUMP")\`
- distillation: \`$(cat "$out/settings/DISTILL")\`

The data:

HEAD
sed "s/^tokenize: *//; s|'[^']*/|'|" "$out/tokenize.log" | block
echo 'Training (loss of the first and the last step):'
echo
{
    echo 'model     steps    tokens  first loss   last loss  accuracy  seconds'
    for name in dpo reverse aligned; do training $name; done
    echo "teacher cache: $(cat "$out/seconds/dump") s"
} | block
echo 'Implicit rewards on held-out pairs (the share of pairs with chosen above rejected):'
echo
block <"$out/pairs.txt"
echo 'KL to the start model on held-out prompts (nats):'
echo
for name in dpo aligned; do
    echo "$name"
    cat "$out/test/$name-kl.txt"
done | block
if [ -e "$out/test/aligned-judge.txt" ] && [ -s "$out/settings/JUDGE" ]; then
    echo 'Win rates against the start model by the judge:'
    echo
    for name in dpo aligned; do
        echo "$name"
        cat "$out/test/$name-judge.txt"
    done | block
fi
echo 'The teacher cache:'
echo
# shellcheck disable=SC2046
"$BIN/shard" stat $(cat "$out/teacher.list") |
    grep -E $'^(number|entries|tail|alpha|tvd|entropy|bytes per position)\t' | column -t -s $'\t' | block
