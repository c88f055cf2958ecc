#!/bin/bash
# Every architecture from its config.json through import, training, adapters, decoding and export:
# the weights come back byte for byte; rows are longer than a sliding window.
. tests/lib.bash
for p in import tokenize sft dpo-train eval generate export merge shard; do
    [ -x "$bin/$p" ] || skip "$p is not built"
done
world 16
reader="${PYTHON:-/usr/bin/python3} $root/tests/oracle/read_file.py" # written from FORMATS.md alone
${PYTHON:-/usr/bin/python3} -c 'import h5py, numpy' 2>/dev/null || reader=
train="--unit-tokens 256 --batch-size 8 --steps 4 --lr 1e-2"
small='"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128'
check() { # NAME CONFIG
    local name=$1
    echo "$2" >config.json
    expect 0 'adapters of rank' "$bin/import" --dry-run --init config.json --tokenizer tok.json
    quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 3 -o start.h5
    quiet "$bin/sft" -q --model start.h5 --data sft-data.h5 -o "$name.h5" $train
    quiet "$bin/shard" check "$name.h5"
    [ -z "$reader" ] || HDF5_PLUGIN_PATH=$bin/../plugin $reader check "$name.h5" >out 2>&1 || fail "$name in h5py: $(tail -n 1 out)"
    # there and back
    quiet "$bin/export" -q --model "$name.h5" -o "$name-hf"
    quiet "$bin/import" -q --hf "$name-hf" -o back.h5
    quiet "$bin/export" -q --model back.h5 -o again
    same "$name-hf/model.safetensors" again/model.safetensors "$name, there and back"
    quiet "$bin/eval" nll --model "$name.h5" --data sft-data.h5 -o nll.csv
    quiet "$bin/eval" nll --model back.h5 --data sft-data.h5 -o back.csv
    same nll.csv back.csv "$name, there and back"
    # an adapter, merged and not, by PEFT's names and back
    quiet "$bin/sft" -q --model "$name.h5" --data sft-data.h5 -o lora.h5 $train --lora-rank 2
    quiet "$bin/merge" -q --model "$name.h5" --adapter lora.h5 -o merged.h5
    quiet "$bin/eval" nll --model lora.h5 --base-model "$name.h5" --data sft-data.h5 -o lora.csv
    quiet "$bin/eval" nll --model merged.h5 --data sft-data.h5 -o merged.csv
    near lora.csv merged.csv "$name, adapter merged"
    quiet "$bin/export" -q --model lora.h5 --base-model "$name.h5" --format peft -o peft
    quiet "$bin/import" -q --adapter peft --base-model "$name.h5" -o from-peft.h5
    quiet "$bin/export" -q --model from-peft.h5 --base-model "$name.h5" --format peft -o peft-again
    same peft/adapter_model.safetensors peft-again/adapter_model.safetensors "$name, PEFT"
    # decoding, and the rest of the method's trainings
    quiet "$bin/generate" -q --model "$name.h5" --data prompts.h5 --temperature 0 --max-new 20 -o greedy.h5
    quiet "$bin/dpo-train" -q --model "$name.h5" --data pairs.h5 -o dpo.h5 $train --lora-rank 2
}
near() { # A B WORDS: the last column agrees to 1e-5
    paste -d, "$1" "$2" | awk -F, 'NR > 1 { n = NF / 2; d = $n - $NF; if (d < 0) d = -d; if (!(d <= 1e-5)) bad = 1 }
        END { exit bad || NR < 2 }' || fail "$3: $1 and $2 differ"
}
check mistral-window "{\"model_type\": \"mistral\", $small, \"num_hidden_layers\": 2, \"sliding_window\": 9}"
check qwen2-window "{\"model_type\": \"qwen2\", $small, \"num_hidden_layers\": 2, \"sliding_window\": 9,
    \"use_sliding_window\": true, \"max_window_layers\": 1, \"tie_word_embeddings\": true}"
check qwen3-window "{\"model_type\": \"qwen3\", $small, \"num_hidden_layers\": 2, \"head_dim\": 8, \"sliding_window\": 9,
    \"use_sliding_window\": true, \"max_window_layers\": 1}"
check olmo2 "{\"model_type\": \"olmo2\", $small, \"num_hidden_layers\": 2, \"rope_theta\": 500000, \"rms_norm_eps\": 1e-6}"
check phi3 "{\"model_type\": \"phi3\", $small, \"num_hidden_layers\": 2, \"sliding_window\": 9, \"rms_norm_eps\": 1e-5}"
grep -q '"target_modules": \["qkv_proj", "o_proj", "gate_up_proj", "down_proj"\]' peft/adapter_config.json ||
    fail "phi3: other modules: $(grep target peft/adapter_config.json)"
expect 2 "one projection 'qkv'" "$bin/sft" -q --model phi3.h5 --data sft-data.h5 -o x.h5 --lora-rank 2 --lora-targets q,v
check phi4-mini "{\"model_type\": \"phi3\", $small, \"num_hidden_layers\": 2, \"partial_rotary_factor\": 0.75,
    \"original_max_position_embeddings\": 120, \"rope_scaling\": {\"type\": \"longrope\",
    \"short_factor\": [1.0, 1.5, 2.25], \"long_factor\": [2, 4, 8]}}"
check qwen3-yarn "{\"model_type\": \"qwen3\", $small, \"num_hidden_layers\": 2, \"head_dim\": 8, \"rope_theta\": 1000,
    \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 32}}"
check gemma3 "{\"model_type\": \"gemma3_text\", $small, \"num_hidden_layers\": 3, \"head_dim\": 8, \"query_pre_attn_scalar\": 8,
    \"hidden_activation\": \"gelu_pytorch_tanh\", \"sliding_window\": 9, \"sliding_window_pattern\": 3}"
# Gemma's tokenizer has a special token more than its text models have rows
vocab=$("$bin/shard" stat gemma3.h5 | awk '$1 == "vocab" { print $2 }')
sed "0,/\"added_tokens\": *\\[/s//&{\"id\": $vocab, \"content\": \"<image>\", \"special\": true, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false},/" tok.json >more.json
sed "s/\"hidden_size\"/\"vocab_size\": $vocab, &/" config.json >less.json
quiet "$bin/import" -q --init less.json --tokenizer more.json --seed 3 -o image.h5
echo 'a cat <image> sat' >image.txt
quiet "$bin/tokenize" -q --model image.h5 --kind text --input image.txt -o image-ids.h5
quiet "$bin/eval" nll --model image.h5 --data image-ids.h5
expect 3 "id $vocab is outside" "$bin/tokenize" -q --model image.h5 --kind text --parse-special --input image.txt -o x.h5
sed 's/"special": true/"special": false/' more.json >typed.json
expect 3 "has $((vocab + 1)) ids" "$bin/import" -q --init less.json --tokenizer typed.json -o x.h5
expect 3 'query_pre_attn_scalar 8' "$bin/export" -q --model gemma3.h5 --format gguf -o x.gguf
expect 3 'query_pre_attn_scalar 8' "$bin/export" -q --model gemma3.h5 --format gguf -o x.gguf --dry-run
finish
