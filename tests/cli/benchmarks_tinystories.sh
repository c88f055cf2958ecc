#!/bin/bash
# MT-Bench and Arena-Hard by their own files of ../shared on a real model, TinyStories-656K, with a DPO
# model of a few steps as the judge: numbers without meaning as quality, right as arithmetic.
set -u
shared=$PWD/../shared/data pipelines=$PWD/pipelines/benchmarks
[ -d "$shared/bench/mt_bench" ] || { echo 'SKIP: ../shared is not there'; exit 77; }
command -v jq >/dev/null || { echo 'SKIP: jq is not installed'; exit 77; }
. tests/lib.bash
export BIN=$bin
cat >plain.jinja <<'J'
{% for m in messages %}{{ m.content }}{{ '<|end_story|>' if m.role == 'assistant' else ' ' }}{% endfor %}
J
template="--template $PWD/plain.jinja --on-long truncate"
quiet "$bin/import" -q --hf "$shared/models/TinyStories-656K" -o base.h5
head -n 60 "$shared/preference/ultrafeedback/train.jsonl" >pairs.jsonl
"$bin/tokenize" -q --model base.h5 --kind pref --input pairs.jsonl --template none --on-bad skip --on-long truncate \
    -o pairs.h5 >out 2>err || fatal "tokenize: $(cat err)"
quiet "$bin/dpo-train" -q --model base.h5 --data pairs.h5 --steps 3 --batch-size 8 -o dpo.h5
judge="$pipelines/judges/reward.sh --judge-model $PWD/dpo.h5 --ref $PWD/base.h5 -- $template"
run() { # BENCHMARK VARIABLES...
    make -s -C "$pipelines/$1" BIN="$bin" OUT="$PWD/$1" MODEL="$PWD/base.h5" NAME=stories MAX_NEW=16 \
        TOKENIZE_OPTS="$template --max-length 400" JUDGE="$judge" "${@:2}" >out 2>err || fail "$1: $(tail -n 5 out err)"
}
awk 'NR % 4 == 1' "$shared/bench/mt_bench/question.jsonl" >mt.jsonl # 20, of all categories
run mtbench QUESTIONS="$PWD/mt.jsonl" PROMPTS="$shared/bench/mt_bench/judge_prompts.jsonl" \
    REFERENCES="$shared/bench/mt_bench/reference_answer_gpt-4.jsonl"
awk -F, '$2 == "all" { exit !($3 == 20 && $6 >= 1 && $6 <= 10) }' mtbench/table.csv || fail "$(cat mtbench/table.csv)"
[ "$(wc -l <mtbench/table.csv)" = 10 ] || fail "not eight categories: $(cat mtbench/table.csv)"

head -n 20 "$shared/bench/arena_hard/v0.1_question.jsonl" >arena.jsonl
jq -n '{system_prompt: "Judge.", prompt_template: "{QUESTION} {ANSWER_A} {ANSWER_B}"}' >judge.json
jq -c '{uid, model: "gpt-4-0314", messages: [{role: "assistant", content: {answer: "A tale."}}]}' arena.jsonl >baseline.jsonl
run arenahard QUESTIONS="$PWD/arena.jsonl" PROMPTS="$PWD/judge.json" BASELINE="$PWD/baseline.jsonl" RULES=v0.1 \
    LEADERBOARD="$shared/bench/arena_hard/arena_hard_leaderboard_20240731.csv"
[ "$(grep -c ',stories,.*,computed' arenahard/leaderboard.csv)" = 1 ] || fail "leaderboard: $(cat arenahard/leaderboard.csv)"
finish
