#!/bin/bash
# What --dry-run says of memory against the peak of the run itself, where the data set, which is in
# memory as a whole, or the cache is most of it.
. tests/lib.bash
peak=$(cd "$bin/../tests/cli" && pwd)/peak
"$peak" bytes /bin/true || skip 'the peak of a program cannot be measured here'

# rows of some 340 tokens; few of them are read by the runs below
awk 'BEGIN {
    x = 7; split("the cat sat on a mat dog ran to red hill home", w, " ")
    for (i = 0; i < 400; i++) {
        s[i] = w[1 + i % 12]
        for (k = 0; k < 150; k++) { x = (x * 16807) % 2147483647; s[i] = s[i] " " w[1 + x % 12] }
        print s[i] >"corpus.txt"
    }
    print "prompt,response" >"sft.csv"; print "prompt,chosen,rejected" >"pairs.csv"
    for (i = 0; i < 24000; i++) {
        print s[i % 400] "," s[i % 399] >"sft.csv"
        print s[i % 400] "," s[i % 399] "," s[(i + 1) % 397] >"pairs.csv"
    }
}'
config 512
quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o tok.json
quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o m.h5
quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 2 -o n.h5
quiet "$bin/tokenize" -q --model m.h5 --kind sft --input sft.csv -o sft.h5
quiet "$bin/tokenize" -q --model m.h5 --kind pref --input pairs.csv -o pairs.h5

compare() { # PLAN WORDS: with the file `bytes`
    awk -v plan="$1" -v peak="$(cat bytes)" 'BEGIN {
        printf "plan %.1f MiB, peak %.1f MiB, ratio %.2f\n", plan / 2^20, peak / 2^20, plan / peak
        exit !(plan > 0.8 * peak && plan < 1.2 * peak) }' || fail "$2: not within a fifth"
}
check() { # CODE command...: its plan and its peak, when it ends with CODE
    local code=$1 plan
    shift
    expect 0 '' "$@" -o x.h5 --dry-run
    plan=$(awk '$1 == "memory_bytes" { print $2 }' out)
    rm -rf x.h5* x-*
    "$peak" bytes "$@" -o x.h5 >out 2>err </dev/null
    [ $? = $code ] || fail "not exit $code: $*: $(cat err)"
    compare $plan "$*"
}
few="--batch-size 4 --micro-tokens 1 --unit-tokens 1"
check 0 "$bin/sft" -q --model m.h5 --data sft.h5 $few --steps 1
check 0 "$bin/dpo-train" -q --model m.h5 --loss simpo --data pairs.h5 $few --steps 1
models="--dpo m.h5 --reverse n.h5"
check 0 "$bin/teacher-dump" -q $models --data pairs.h5 --rows-per-shard 10 --shard 0/2400 --micro-tokens 1
check 75 "$bin/generate" -q --model m.h5 --data sft.h5 --slots 4 --max-new 16 --stop-after 0.2
check 0 "$bin/distill" -q --model m.h5 --on-policy $models --data sft.h5 --max-new 16 $few --steps 1

# a batch is no larger than the data; the steps of a group's samples are counted in both ways
quiet "$bin/tokenize" -q --model m.h5 --kind sft --input <(head -n 60 sft.csv) -o few-sft.h5
planned() { "$@" --dry-run -o x.h5 >plan 2>err || fail "$*: $(cat err)"; }
planned "$bin/sft" -q --model m.h5 --data few-sft.h5 --batch-size 59 --epochs 2
mv plan 59
planned "$bin/sft" -q --model m.h5 --data few-sft.h5 --batch-size 1000000 --epochs 2
paste 59 plan | awk '$1 == "memory_bytes" && $2 == $4 { n++ } END { exit n != 1 }' || fail "a batch of 1000000: $(cat plan)"
group="--on-policy --reward-level group --scorer true --data few-sft.h5 --batch-size 59 --inner-steps 5 --max-new 8"
for try in 1 2 3 4 5 6 7 8; do # each measures the machine, which may be busy at one of them
    planned "$bin/distill" -q --model m.h5 $group --epochs 8
    mv plan epochs
    planned "$bin/distill" -q --model m.h5 $group --steps 40
    near=$(paste epochs plan | awk '$1 == "estimated_seconds" { print $2 < 1.5 * $4 + 2 && $4 < 1.5 * $2 + 2 }')
    [ "$near" = 0 ] || break
done
[ "$near" = 1 ] || fail "40 steps: $(grep seconds epochs plan)"

# a large vocabulary, whose logits are most of the memory: the loss's own, and those of the distance to the
# start model, which is measured when the training is over
awk -v first=300 '{ at = index($0, "\"vocab\":") }
    at && !done { done = 1; open = at + index(substr($0, at), "{") - 1; printf "%s", substr($0, 1, open)
        for (i = 0; i < 60000; i++) printf "\"~%d\": %d, ", i, first + i
        $0 = substr($0, open + 1) } { print }' tok.json >wide.json
for seed in 1 2; do quiet "$bin/import" -q --init config.json --tokenizer wide.json --seed $seed -o w$seed.h5; done
quiet "$bin/tokenize" -q --model w1.h5 --kind sft --input <(head -n 9 sft.csv) -o wide-sft.h5
quiet "$bin/tokenize" -q --model w1.h5 --kind pref --input <(head -n 9 pairs.csv) -o wide-pairs.h5
few="--batch-size 4 --micro-tokens 1 --unit-tokens 1 --steps 1"
check 0 "$bin/sft" -q --model w1.h5 --data wide-sft.h5 $few
check 0 "$bin/dpo-train" -q --model w1.h5 --data wide-pairs.h5 --loss tdpo1 $few
check 0 "$bin/distill" -q --model w1.h5 --on-policy --dpo w1.h5 --reverse w2.h5 --data wide-sft.h5 --max-new 300 --exact $few
few="--batch-size 4 --micro-tokens 1 --unit-tokens 1"

# Caches of 24 shards, of which two windows are in memory at a time; counting positions takes no more.
cache() { # ROWS option...: its shards
    head -n $(($1 * 24 + 1)) pairs.csv >few.csv
    quiet "$bin/tokenize" -q --model m.h5 --kind pref --input few.csv -o few.h5
    quiet "$bin/teacher-dump" -q $models --data few.h5 --top-k 150 --mass 1 --least 0 --rows-per-shard $1 -o c.h5 "${@:2}"
    distill="$bin/distill -q --model m.h5 --lr 1e-4 --steps $((6 * $1)) $few --teacher $(tr '\n' ' ' <out)"
}
cache 10 --bits 8
check 0 $distill --shuffle-window 1 --max-positions 30000
check 0 $distill --shuffle-window 8
cache 5 --layout components --alpha-grid 0,0.5,1
check 0 $distill --shuffle-window 8
# Two adapters on one base, which is most of the memory: it is there once.
cat >config.json <<J
{"model_type": "llama", "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 10,
 "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512}
J
quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o big.h5
head -n 9 pairs.csv >few.csv
quiet "$bin/tokenize" -q --model big.h5 --kind pref --input few.csv -o few.h5
lora="--data few.h5 --lora-rank 8 --steps 1 --batch-size 1 --micro-tokens 1 --unit-tokens 1"
check 0 "$bin/dpo-train" -q --model big.h5 $lora --reference ref.h5
mv x.h5 a.h5
quiet "$bin/dpo-train" -q --model big.h5 $lora --reverse --reference ref.h5 -o b.h5
check 0 "$bin/teacher-dump" -q --dpo a.h5 --reverse b.h5 --ref big.h5 --data few.h5 --micro-tokens 1
one=$(stat -c %s big.h5)
[ "$(cat bytes)" -lt $((one * 2)) ] || fail "the base is there more than once: $(cat bytes) bytes, $one each"
finish
