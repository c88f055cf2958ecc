#!/bin/bash
# The plan of a dpo-train with a reference of its own against the run's peak: the reference is gone
# when the training begins, but for the losses that need it throughout.
. tests/lib.bash
peak=$(cd "$bin/../tests/cli" && pwd)/peak
"$peak" bytes /bin/true || skip 'the peak of a program cannot be measured here'
data 60
cat >config.json <<J
{"model_type": "llama", "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6,
 "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512}
J
quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o tok.json
for seed in 1 2; do quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed $seed -o m$seed.h5; done
quiet "$bin/tokenize" -q --model m1.h5 --kind pref --input <(head -n 9 pairs.csv) -o pairs.h5
quiet "$bin/tokenize" -q --model m1.h5 --kind pref --input <(sed '2,40d' pairs.csv) -o valid.h5

train="--model m1.h5 --data pairs.h5 --steps 1 --batch-size 4 --micro-tokens 256 --unit-tokens 64"
check() { # OPTION...
    local plan
    expect 0 '' "$bin/dpo-train" -q $train "$@" -o x.h5 --dry-run
    plan=$(awk '$1 == "memory_bytes" { print $2 }' out)
    rm -f x.h5*
    "$peak" bytes "$bin/dpo-train" -q $train "$@" -o x.h5 >out 2>err </dev/null || fail "exit $?: $*: $(cat err)"
    awk -v plan="$plan" -v peak="$(cat bytes)" -v what="$*" 'BEGIN {
        printf "plan %.1f MiB, peak %.1f MiB, ratio %.3f: %s\n", plan / 2^20, peak / 2^20, plan / peak, what
        exit !(plan > 0.9 * peak && plan < 1.1 * peak) }' || fail "$*: not within a tenth"
}
check
check --ref m2.h5
check --ref m2.h5 --lora-rank 4 --precision bf16 --valid valid.h5
check --ref m2.h5 --lora-rank 4 --frozen-dtype bf16
check --ref m2.h5 --lora-rank 4
check --ref m2.h5 --loss tdpo2 --frozen-dtype bf16

# an adapter as the reference, whose base is the policy's or is named
quiet "$bin/dpo-train" -q $train --lora-rank 4 -o a1.h5
quiet "$bin/dpo-train" -q ${train/m1/m2} --lora-rank 4 -o a2.h5
check --ref a1.h5 --lora-rank 4
check --ref a2.h5 --base-model m2.h5 --lora-rank 4
check --ref a2.h5 --base-model m2.h5 --lora-rank 4 --loss tdpo2
finish
