#!/bin/bash
# limit: 600
# GGUF exports read by llama.cpp itself: the same token ids, the same log-probabilities, the same
# greedy text, for every architecture, tokenizer kind and type; adapters on their base.
node_home=${LLAMA_NODE:-$HOME/.cache/aligndistil/node}
. tests/lib.bash
for p in import tokenize sft eval generate export shard; do [ -x "$bin/$p" ] || skip "$p is not built"; done
command -v node >/dev/null && [ -d "$node_home/node_modules/node-llama-cpp" ] ||
    skip "node-llama-cpp is not installed (npm install --prefix $node_home node-llama-cpp)"
node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || skip "node is older than 20"
ln -s "$node_home/node_modules" node_modules
cp "$root/tests/oracle/llama.mjs" .
llama() { timeout 300 node llama.mjs "$@" 2>err || fail "llama.cpp: $(head -n 3 err)"; }

world 24
head -n 20 corpus.txt >text.txt

# Text as llama.cpp cuts it, and as we do (EOS follows).
same_ids() { # MODEL.h5 MODEL.gguf TEXT
    quiet "$bin/tokenize" -q --model "$1" --kind text --input "$3" -o ids.h5
    "$bin/shard" head --json --rows 1000 ids.h5 | sed 's/.*"ids": \[\([^]]*\)\].*/\1/; s/,//g' >ours
    sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/{"text": "&"}/' "$3" | llama "$2" >theirs
    paste -d'|' ours theirs | awk -F'|' '{ if (!$2 || index($1 " ", $2 " ") != 1) bad = 1 }
        END { exit bad || !NR }' || fail "$2: other token ids: $(head -n 1 ours) | $(head -n 1 theirs)"
}
# close MODEL.h5 TOLERANCE GGUF...: nll of every token, and the greedy text; --base-model in $base
close() {
    local model=$1 tolerance=$2
    shift 2
    quiet "$bin/eval" nll --model "$model" $base --data ids.h5 --per-token -o nll.csv
    awk -F, 'NR > 1 { print $4 }' nll.csv >ours
    "$bin/shard" head --json --rows 1000 ids.h5 | llama "$@" | awk '{ for (i = 1; i < NF; i++) print $i }' >theirs
    paste ours theirs | awk -v t="$tolerance" '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d }
        END { print most; exit !(NR > 100 && most <= t) }' >most || fail "$*: nll differs by $(cat most)"
    [ "$tolerance" = 1e-3 ] || return
    quiet "$bin/generate" -q --model "$model" $base --data prompts.h5 --temperature 0 --max-new 12 -o greedy.h5
    "$bin/shard" head --json --rows 1000 greedy.h5 | llama "$@" | awk '{ n += $NF } END { exit !NR || n }' ||
        fail "$*: another greedy text"
}
train="--unit-tokens 256 --batch-size 16 --steps 8 --lr 1e-2"
config() { # FAMILY MORE: with key-value heads, and a head dimension of its own
    cat >config.json <<J
{"model_type": "$1", "hidden_size": 32, "intermediate_size": 96,
 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
 "rms_norm_eps": 1e-5 $2}
J
    grep -q num_hidden_layers config.json || sed -i '2s/^/"num_hidden_layers": 2, /' config.json
}
base=
while IFS='|' read -r name family more; do
    config "$family" "$more"
    quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 3 -o start.h5
    quiet "$bin/sft" -q --model start.h5 --data sft-data.h5 -o "$name.h5" $train
    quiet "$bin/export" -q --model "$name.h5" --format gguf -o "$name.gguf"
    same_ids "$name.h5" "$name.gguf" text.txt
    close "$name.h5" 1e-3 "$name.gguf"
done <<'LIST'
llama|llama|, "tie_word_embeddings": true
llama3|llama|, "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
linear|llama|, "rope_scaling": {"type": "linear", "factor": 2.0}
mistral|mistral|, "sliding_window": null
mistral-window|mistral|, "sliding_window": 64
qwen2|qwen2|, "tie_word_embeddings": true
qwen3|qwen3|, "head_dim": 16
olmo2|olmo2|, "rope_theta": 500000.0
phi3|phi3|, "sliding_window": 100
phi4-mini|phi3|, "partial_rotary_factor": 0.75, "tie_word_embeddings": true, "original_max_position_embeddings": 120, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 2.25], "long_factor": [2, 4, 8]}
yarn|qwen2|, "rope_theta": 1000.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
yarn-llama|llama|, "rope_theta": 1000.0, "rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64}
gemma3|gemma3_text|, "num_hidden_layers": 7, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 12, "rope_scaling": {"rope_type": "linear", "factor": 8.0}
LIST
for type in f16 bf16 q8_0; do
    quiet "$bin/export" -q --model llama.h5 --format gguf --gguf-type $type -o $type.gguf
    close llama.h5 0.1 $type.gguf
    [ "$(stat -c %s $type.gguf)" -lt "$(stat -c %s llama.gguf)" ] || fail "$type is not smaller"
done

# no BOS, where tokenizer_config.json says so
quiet "$bin/export" -q --model llama.h5 --format hf -o bare
printf '{"tokenizer_class": "LlamaTokenizer", "add_bos_token": false, "bos_token": "<|bos|>"}' >bare/tokenizer_config.json
quiet "$bin/import" -q --hf bare -o bare.h5
quiet "$bin/export" -q --model bare.h5 --format gguf -o bare.gguf
same_ids bare.h5 bare.gguf text.txt

# an adapter on its base, and merged
quiet "$bin/sft" -q --model qwen3.h5 --data sft-data.h5 -o a.h5 $train --lora-rank 4 --lora-rank-stabilised
quiet "$bin/sft" -q --model llama.h5 --data sft-data.h5 -o b.h5 $train --lora-rank 4
quiet "$bin/sft" -q --model phi3.h5 --data sft-data.h5 -o c.h5 $train --lora-rank 4
for pair in qwen3:a llama:b phi3:c; do
    name=${pair%:*} adapter=${pair#*:}
    base="--base-model $name.h5"
    quiet "$bin/export" -q --model $adapter.h5 $base --format gguf-lora -o $adapter-lora.gguf
    quiet "$bin/export" -q --model $adapter.h5 $base --format gguf -o $adapter-merged.gguf
    close $adapter.h5 1e-3 $name.gguf $adapter-lora.gguf
    close $adapter.h5 1e-3 $adapter-merged.gguf
done
base=
# up to date, refused
"$bin/export" --model llama.h5 --format gguf -o llama.gguf >out 2>err
grep -q 'up to date' err || fail "made again: $(cat err)"
expect 1 'no-clobber' "$bin/export" -q --model llama.h5 --format gguf --gguf-type f16 --no-clobber -o llama.gguf
expect 3 'takes an adapter' "$bin/export" -q --model llama.h5 --format gguf-lora -o x.gguf
config llama ', "rope_scaling": {"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 64, "beta_fast": 16}'
quiet "$bin/import" -q --init config.json --tokenizer tok.json -o own.h5
expect 3 'takes YaRN without' "$bin/export" -q --model own.h5 --format gguf -o x.gguf
expect 3 'takes YaRN without' "$bin/export" -q --model own.h5 --format gguf -o x.gguf --dry-run
expect 2 'gguf-type' "$bin/export" -q --model llama.h5 --type bf16 --format gguf -o x.gguf

# tokenizers that people bring
shared=$root/../shared/data
printf '%s\n' "It's 2024: the café costs 1234.50 dollars, doesn't it?" 'def f(x):    return x + 1' 'Once upon a time, there was' >many.txt
for kind in llama3 qwen2 gpt2; do
    [ -d "$shared/tokenizers/$kind" ] || continue
    config llama ', "hidden_size": 32, "tie_word_embeddings": true'
    sed -i '0,/"hidden_size": 32, "intermediate/s//"intermediate/' config.json
    quiet "$bin/import" -q --init config.json --tokenizer "$shared/tokenizers/$kind/tokenizer.json" --seed 1 -o $kind.h5
    quiet "$bin/export" -q --model $kind.h5 --format gguf --gguf-type q8_0 -o $kind.gguf
    same_ids $kind.h5 $kind.gguf many.txt
done
if [ -d "$shared/models/TinyStories-656K" ]; then
    quiet "$bin/import" -q --hf "$shared/models/TinyStories-656K" -o stories.h5
    quiet "$bin/export" -q --model stories.h5 --format gguf -o stories.gguf
    printf '%s\n' 'Once upon a time, there was a little girl named Lily.' 'He said: "I am happy!" and they played all day long.' >stories.txt
    same_ids stories.h5 stories.gguf stories.txt
    head -n 3 text.txt >>stories.txt
    for i in 1 2 3; do cat stories.txt; done >longer.txt
    quiet "$bin/tokenize" -q --model stories.h5 --kind text --input longer.txt -o ids.h5
    quiet "$bin/tokenize" -q --model stories.h5 --kind prompt --input prompts.csv -o prompts.h5
    close stories.h5 1e-3 stories.gguf
fi
finish
