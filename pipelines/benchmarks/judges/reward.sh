#!/bin/bash
# A judge without a network: the implicit reward of a DPO model, beta log p_dpo(y|x) / p_ref(y|x).
#   reward.sh --judge-model dpo.h5 --ref sft.h5 [-- options of tokenize]
# All requests are read before the first reply. The better of two answers by the reward's difference
# d: beyond 1 nat clearly (A>>B), beyond 0.1 slightly; MT-Bench: 1 + 9 sigmoid(reward), rounded;
# AlpacaEval: log sigmoid(d) as the token's log-probability. Needs jq; BIN is the stages' folder.
set -eu
stages=${BIN:-$(cd "$(dirname "$0")/../../.." && pwd)/build/release/bin}
model= ref=
while [ $# != 0 ]; do
    case $1 in
    --judge-model) model=$2 && shift 2 ;;
    --ref) ref=$2 && shift 2 ;;
    --) shift && break ;;
    *) echo "reward.sh: unknown option '$1'; give --judge-model FILE --ref FILE" >&2 && exit 2 ;;
    esac
done
[ -n "$model" ] && [ -n "$ref" ] || { echo "reward.sh: give --judge-model FILE --ref FILE" >&2; exit 2; }
command -v jq >/dev/null || { echo "reward.sh: needs jq" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Both answers as a pair; a rating's answer stands on both sides. A second turn is a conversation.
cat >"$folder/requests"
jq -c '.about | (if .question_2 then [{role: "user", content: .question},
                                      {role: "assistant", content: .response},
                                      {role: "user", content: .question_2}]
                 else [{role: "user", content: .question}] end) as $prompt |
       def ended: sub("(<\\|[^|<>]*\\|>\\s*)+$"; ""); # an end of turn that was left in the text
       ((.response_2 // .response_a // .response) | ended) as $a | ((.response_b // $a) | ended) as $b |
       {chosen: ($prompt + [{role: "assistant", content: $a}]),
        rejected: ($prompt + [{role: "assistant", content: $b}])}' \
    "$folder/requests" >"$folder/pairs.jsonl"
"$stages/tokenize" -q --model "$ref" --kind pref --on-equal keep --input "$folder/pairs.jsonl" \
    -o "$folder/pairs.h5" "$@" >/dev/null
"$stages/eval" pairs --dpo "$model" --ref "$ref" --data "$folder/pairs.h5" \
    -o "$folder/rewards.csv" >/dev/null
jq -rc '.about.protocol' "$folder/requests" |
    paste -d, - <(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
                           { print $at["forward_chosen"] "," $at["forward_rejected"] }' \
        "$folder/rewards.csv") |
    awk -F, '
        function sigmoid(x) { return 1 / (1 + exp(-x)) }
        {
            d = $2 - $3
            if ($1 == "mtbench") printf "\"[[%d]]\"\n", 1 + 9 * sigmoid($2) + 0.5
            else if ($1 == "arenahard") {
                label = "A=B"
                if (d > 0.1) label = d > 1 ? "A>>B" : "A>B"
                if (d < -0.1) label = d < -1 ? "B>>A" : "B>A"
                printf "\"[[%s]]\"\n", label
            }
            else printf "{\"content\": \"%s\", \"logprobs\": {\"m\": %.17g, \"M\": %.17g}}\n",
                    (d > 0 ? "m" : "M"), -log(1 + exp(-d)), -log(1 + exp(d))
        }'
