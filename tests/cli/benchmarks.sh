#!/bin/bash
# The benchmarks' pipelines from questions to the table, 20 questions each, with the implicit reward
# of a DPO model as the judge: files in the benchmarks' own forms, both orders, the second turn sees
# the first answer, verdicts that replay, and lines among published ones.
set -u
for tool in jq curl; do
    command -v $tool >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done
pipelines=$PWD/pipelines/benchmarks
. tests/lib.bash
export BIN=$bin

data 40
config 1024
quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o plain.json
jq '(.model.vocab | length) as $n | .added_tokens += [["<|im_start|>", 0], ["<|im_end|>", 1] |
    {id: ($n + (.[1])), content: .[0], special: true, single_word: false, lstrip: false, rstrip: false,
     normalized: false}]' plain.json >tok.json
quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o base.h5
quiet "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv --template chatml -o sft-data.h5
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input pairs.csv --template chatml -o pairs.h5
train='--unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3'
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o sft.h5 $train
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o dpo.h5 $train

# 20 questions of each benchmark, reference answers and prompts of a judge, in our own words
seq 20 | jq -c '{question_id: ., category: ["writing", "math", "stem", "coding"][. % 4],
    turns: ["the cat \(.) sat on what", "and the dog"]}' >mt.jsonl
jq -c '{question_id, model_id: "reference", choices: [{index: 0, turns: ["on a mat", "on a hill"]}]}' \
    mt.jsonl >references.jsonl
jq -nc '["single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn"][] |
    {name: ., type: "single", system_prompt: "Be a judge.", output_format: "[[rating]]",
     prompt_template: (if test("multi") then "Q {question_1} A {answer_1} Q {question_2} A {answer_2}"
                       else "Q {question} A {answer}" end +
                       if test("math") then " R {ref_answer_1}" else "" end + " {{rate}}")}' >mt-prompts.jsonl
jq -c '{uid: "u\(.question_id)", category: (if .question_id % 2 == 0 then "hard_prompt" else "creative_writing" end),
    prompt: .turns[0]}' mt.jsonl >arena.jsonl
jq -n '{system_prompt: "Be a judge.", prompt_template: ["U {question_1} A {answer_1} B {answer_2}"]}' >arena-prompts.json
jq -s '[.[] | {instruction: .turns[0], output: "a red hill", generator: "base", dataset: "made"}]' mt.jsonl >alpaca.json
printf '%s\n' '<|im_start|>system' 'Say m or M.' '<|im_end|>' '<|im_start|>user' \
    '{"instruction": """{instruction}""", m: {output_1}, M: {output_2}}' '<|im_end|>' >alpaca-prompt.txt
jq -c '{uid, model: "base", messages: [{role: "assistant", content: {answer: "a mat **here**"}}],
    metadata: {token_len: 9, header_count: {h1: 0}, list_count: {ordered: 0}, bold_count: {"**": 1}}}' \
    arena.jsonl >arena-base.jsonl
printf 'model,score\nhigh,99.5\nlow,0.1\n' >board.csv

run() { # BENCHMARK VARIABLES...: make, from here
    local name=$1
    shift
    make -s -C "$pipelines/$name" BIN="$bin" OUT="$PWD/$name" MODEL="$PWD/dpo.h5" NAME=tiny MAX_NEW=12 \
        TOKENIZE_OPTS='--template chatml' JUDGE="$judge" "$@" >out 2>err || { fail "$name: $(tail -n 5 out err)"; return 1; }
}
judge="$pipelines/judges/reward.sh --judge-model $PWD/dpo.h5 --ref $PWD/sft.h5 -- --template chatml"
here=$PWD
run mtbench QUESTIONS="$here/mt.jsonl" PROMPTS="$here/mt-prompts.jsonl" REFERENCES="$here/references.jsonl"
[ "$(jq -s 'length' mtbench/model_answer.jsonl)" = 20 ] || fail 'mtbench: answers'
jq -es 'all(.[]; (.choices[0].turns | length) == 2 and .conv_metadata.token_len > 0)' mtbench/model_answer.jsonl >out ||
    fail "mtbench: the form of an answer"
jq -es 'length == 40 and all(.[]; .score >= 1 and .score <= 10)' mtbench/judgment.jsonl >out || fail 'mtbench: ratings'
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } $2 == "all" { n = $at["questions"]; m = $at["missing"] }
    END { exit !(n == 20 && m == 0) }' mtbench/table.csv || fail "mtbench: $(cat mtbench/table.csv)"
# the second turn sees the first answer
jq -es --slurpfile a mtbench/model_answer.jsonl '.[0].messages[1].content as $first |
    any($a[]; .choices[0].turns[0] == $first)' mtbench/prompts-2-0.jsonl >out || fail 'mtbench: the second turn'

run arenahard QUESTIONS="$here/arena.jsonl" PROMPTS="$here/arena-prompts.json" BASELINE="$here/arena-base.jsonl" \
    STYLE=both LEADERBOARD="$here/board.csv"
jq -es 'length == 20 and all(.[]; (.games | length) == 2)' arenahard/judgment.jsonl >out || fail 'arenahard: games'
[ "$(awk 'END { print NR }' arenahard/table.csv)" = 4 ] || fail "arenahard: categories: $(cat arenahard/table.csv)"
# the same judge in both orders: the verdict turns with the answers
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR == 2 { exit $at["order_flips"] != 0 }' arenahard/table.csv ||
    fail "arenahard: a judge without a position bias flips: $(cat arenahard/table.csv)"
[ "$(awk -F, '$2 == "tiny"' arenahard/leaderboard.csv | wc -l)" = 1 ] || fail 'arenahard: no line in the leaderboard'

run alpacaeval QUESTIONS="$here/alpaca.json" PROMPTS="$here/alpaca-prompt.txt" BASELINE="$here/alpaca.json"
jq -e 'length == 20 and all(.[]; .preference >= 1 and .preference <= 2 and .generator_2 == "tiny")' \
    alpacaeval/annotations.json >out || fail 'alpacaeval: annotations'
grep -q '^tiny,computed,' alpacaeval/table.csv || fail "alpacaeval: $(cat alpacaeval/table.csv)"

# Replayed from the log of verdicts, without the judge: the same bytes.
"$bin/eval" judge --protocol arenahard --questions arena.jsonl --answers arenahard/model_answer.jsonl \
    --prompts arena-prompts.json --baseline arena-base.jsonl --judge "$judge" \
    --verdicts arenahard/verdicts.jsonl -q -o again.jsonl >out 2>err || fail "replay: $(cat err)"
same again.jsonl arenahard/judgment.jsonl 'replay'

# Judges of other kinds: the chat protocol's response, retries, no verdict at all, nonsense.
ask() { # JUDGE CODE PATTERN
    rm -f v.jsonl
    expect "$2" "$3" "$bin/eval" judge --protocol arenahard --questions arena.jsonl -q -o j.jsonl \
        --answers arenahard/model_answer.jsonl --prompts arena-prompts.json --baseline arena-base.jsonl \
        --verdicts v.jsonl --judge "$1"
}
ask "jq -c '{choices: [{message: {content: \"so [[a>b]], finally [[B>>A]]\"}}]}'" 0 ''
jq -es 'all(.[]; .games[0].score == "B>>A")' j.jsonl >out || fail 'the last label counts'
echo 0 >times
ask "n=\$((\$(cat times) + 1)); echo \$n >times; [ \$n = 1 ] && jq -c '\"no idea\"' || jq -c '\"[[A=B]]\"'" 0 ''
[ "$(cat times)" = 2 ] || fail "asked $(cat times) times"
ask "jq -c '\"no idea\"'" 0 'hold no verdict after 3 tries'
jq -es 'all(.[]; .games[0].score == null)' j.jsonl >out || fail 'a missing verdict'
ask "jq -c '7'" 3 'not a reply'
ask 'cat >/dev/null; echo not json' 3 'not a reply'
expect 2 'needs --baseline' "$bin/eval" judge --protocol arenahard --questions arena.jsonl \
    --answers arenahard/model_answer.jsonl --prompts arena-prompts.json --judge true
expect 2 'give --references' "$bin/eval" judge --protocol mtbench --questions mt.jsonl \
    --answers mtbench/model_answer.jsonl --prompts mt-prompts.jsonl --judge true
head -n 19 arena-base.jsonl >short.jsonl
expect 3 "no answer to question 'u20'" "$bin/eval" judge --protocol arenahard --questions arena.jsonl \
    --answers arenahard/model_answer.jsonl --prompts arena-prompts.json --baseline short.jsonl --judge true

# chat.sh against a server of our own, which fails once and says a key must not be in its log
if command -v node >/dev/null; then
    cat >server.js <<'J'
let n = 0;
require('http').createServer((q, r) => {
  let body = '';
  if (q.url === '/health') return r.end('ok');
  q.on('data', d => body += d).on('end', () => {
    if (++n === 1) { r.writeHead(500); return r.end('busy'); }
    const ok = q.headers.authorization === 'Bearer secret' && !('about' in JSON.parse(body));
    r.end(JSON.stringify({choices: [{message: {content: ok ? '[[A=B]]' : 'bad request'}}]}));
  });
}).listen(Number(process.argv[process.argv.indexOf('--port') + 1]) || 0, '127.0.0.1', function () { require('fs').writeFileSync('port', String(this.address().port)); });
J
    # (llama.sh starts it as llama.cpp's server: -m FILE --host ADDRESS --port N, with /health)
    node server.js & server=$!
    for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
    export JUDGE_URL=http://127.0.0.1:$(cat port)/v1 JUDGE_MODEL=m JUDGE_KEY=secret
    ask "$pipelines/judges/chat.sh" 0 ''
    kill $server
    jq -es 'all(.[]; .games[0].score == "A=B" and .games[1].score == "A=B")' j.jsonl >out || fail "chat.sh: $(head -n 2 j.jsonl)"
    printf '#!/bin/sh\nexec node %s "$@"\n' "$PWD/server.js" >llama-server
    chmod +x llama-server
    export LLAMA_SERVER=$PWD/llama-server JUDGE_PORT=$((20000 + RANDOM % 20000))
    ask "$pipelines/judges/llama.sh $PWD/server.js" 0 ''
    jq -es 'all(.[]; .games[0].score == "A=B")' j.jsonl >out || fail "llama.sh: $(head -n 2 j.jsonl)"
    pgrep -f "$PWD/server.js" >out && fail 'llama.sh leaves its server running'
    ! grep -q secret v.jsonl j.jsonl || fail 'the key is in a file'
    "$pipelines/judges/llama.sh" none.gguf </dev/null >out 2>err
    [ $? = 1 ] && grep -q "cannot read 'none.gguf'" err || fail "llama.sh without a model: $(cat err)"
fi
finish
