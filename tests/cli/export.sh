#!/bin/bash
# export: a folder that import takes back with the same numbers; the "up to date" rule; refusals.
set -u
. tests/report.bash
run() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >"$TMP/out" 2>"$TMP/err"
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat "$TMP/err")"
    [ -z "$pattern" ] || grep -q -- "$pattern" "$TMP/err" || fail "no '$pattern' from $*: $(cat "$TMP/err")"
}
printf 'the cat sat on the mat\nthe dog sat on the log\n' >"$TMP/corpus.txt"
cat >"$TMP/config.json" <<'J'
{"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
J
$BIN/import -q --train-tokenizer "$TMP/corpus.txt" --vocab 264 -o "$TMP/tok.json" >/dev/null
$BIN/import -q --init "$TMP/config.json" --tokenizer "$TMP/tok.json" -o "$TMP/m.h5" >/dev/null || fail "no model"

run 0 'parameters' $BIN/export --model "$TMP/m.h5" -o "$TMP/hf/"
[ "$(cat "$TMP/out")" = "$TMP/hf" ] || fail "the path is not on stdout"
run 0 'up to date' $BIN/export --model "$TMP/m.h5" -o "$TMP/hf"
run 0 '' $BIN/export -q --model "$TMP/m.h5" --shard-size 0.00001 -o "$TMP/parts"
[ "$(ls "$TMP"/parts/model-*.safetensors | wc -l)" -gt 3 ] || fail "not in parts"
for folder in hf parts; do
    run 0 '' $BIN/import -q --hf "$TMP/$folder" -o "$TMP/$folder.h5"
    run 0 '' $BIN/export -q --model "$TMP/$folder.h5" -o "$TMP/$folder.again"
    cmp "$TMP/hf/model.safetensors" "$TMP/$folder.again/model.safetensors" || fail "$folder: other numbers"
    cmp "$TMP/hf/tokenizer.json" "$TMP/$folder.again/tokenizer.json" || fail "$folder: another tokenizer"
done
run 0 'parameters' $BIN/export --model "$TMP/m.h5" --type bf16 -o "$TMP/hf"
[ "$(stat -c %s "$TMP/hf/model.safetensors")" -lt 100000 ] || fail "bf16 did not replace f32"
# What comes as bf16 stays so in our file, with the same numbers.
run 0 'in bf16' $BIN/import --hf "$TMP/hf" -o "$TMP/half.h5"
run 0 '' $BIN/export -q --model "$TMP/half.h5" --type f32 -o "$TMP/widened"
run 0 '' $BIN/import -q --hf "$TMP/widened" -o "$TMP/widened.h5"
[ "$(stat -c %s "$TMP/half.h5")" -lt "$(($(stat -c %s "$TMP/widened.h5") * 2 / 3))" ] || fail 'bf16 is not smaller'
run 0 '' $BIN/export -q --model "$TMP/half.h5" --type bf16 -o "$TMP/same"
cmp "$TMP/hf/model.safetensors" "$TMP/same/model.safetensors" || fail 'other numbers after bf16'
$BIN/shard check "$TMP/half.h5" >"$TMP/out" || fail "shard check: $(cat "$TMP/out")"
run 0 '' $BIN/export --model "$TMP/m.h5" --dry-run -o "$TMP/dry"
[ -e "$TMP/dry" ] && fail "a dry run wrote"

# the numbers' type is the one the model came in, unless told otherwise; all go through import
dtype() { python3 - "$1" <<'P' 2>/dev/null || head -c 2000 "$1" | grep -o '"dtype":"[A-Z0-9]*"' | head -n 1 | cut -d'"' -f4; }
import json, struct, sys
f = open(sys.argv[1], "rb")
n = struct.unpack("<Q", f.read(8))[0]
print(next(v["dtype"] for k, v in json.loads(f.read(n)).items() if k != "__metadata__"))
P
for type in f32:float32:F32 f16:float16:F16 bf16:bfloat16:BF16; do
    IFS=: read -r ours name stored <<<"$type"
    run 0 '' $BIN/export -q --model "$TMP/m.h5" --type $ours -o "$TMP/as-$ours"
    [ "$(dtype "$TMP/as-$ours/model.safetensors")" = $stored ] || fail "--type $ours wrote $(dtype "$TMP/as-$ours/model.safetensors")"
    grep -q "\"torch_dtype\": \"$name\"" "$TMP/as-$ours/config.json" || fail "--type $ours: config.json: $(grep dtype "$TMP/as-$ours/config.json")"
    run 0 '' $BIN/import -q --hf "$TMP/as-$ours" -o "$TMP/came-$ours.h5"
    run 0 '' $BIN/export -q --model "$TMP/came-$ours.h5" -o "$TMP/kept-$ours"
    cmp "$TMP/as-$ours/model.safetensors" "$TMP/kept-$ours/model.safetensors" || fail "$ours did not stay $ours"
    run 0 '' $BIN/export -q --model "$TMP/came-$ours.h5" --type f32 -o "$TMP/wide-$ours"
    [ "$(dtype "$TMP/wide-$ours/model.safetensors")" = F32 ] || fail "--type f32 of $ours"
    run 0 '' $BIN/export -q --model "$TMP/came-$ours.h5" --format gguf -o "$TMP/kept.gguf"
    run 0 '' $BIN/export -q --model "$TMP/came-$ours.h5" --format gguf --gguf-type $ours -o "$TMP/told.gguf"
    cmp "$TMP/kept.gguf" "$TMP/told.gguf" || fail "gguf: $ours did not stay $ours"
done

# the model card: what the model came from and what its training came to
sed -i 's/^{/{"_name_or_path": "someone\/some-model", /' "$TMP/config.json"
$BIN/import -q --init "$TMP/config.json" --tokenizer "$TMP/tok.json" -o "$TMP/base.h5" >/dev/null || fail "no model"
printf 'prompt,chosen,rejected\nthe cat,sat on the mat,on\nthe dog,sat,the log\n' >"$TMP/pairs.csv"
$BIN/tokenize -q --model "$TMP/base.h5" --kind pref --input "$TMP/pairs.csv" -o "$TMP/pairs.h5" >/dev/null || fail "no pairs"
train="--steps 9 --batch-size 2 --lr 1e-2"
run 0 '' $BIN/dpo-train -q --model "$TMP/base.h5" --data "$TMP/pairs.h5" $train -o "$TMP/dpo.h5"
run 0 '' $BIN/dpo-train -q --model "$TMP/base.h5" --data "$TMP/pairs.h5" $train --reverse -o "$TMP/reverse.h5"
run 0 '' $BIN/teacher-dump -q --dpo "$TMP/dpo.h5" --reverse "$TMP/reverse.h5" --ref "$TMP/base.h5" --data "$TMP/pairs.h5" --alpha damped:0.25 -o "$TMP/t.h5"
run 0 '' $BIN/distill -q --model "$TMP/base.h5" --teacher "$TMP/t.h5" $train -o "$TMP/a.h5"
record() { $BIN/shard stat "$TMP/$1" | sed -n 's/^record\t//p'; }
card() { # FILE LINE...: its card has these lines
    run 0 '' $BIN/export -q --model "$TMP/$1" -o "$TMP/card"
    local line
    for line in "${@:2}"; do grep -qxF -- "$line" "$TMP/card/README.md" || fail "$1: no '$line' in $(head -n 30 "$TMP/card/README.md")"; done
    rm -r "$TMP/card"
}
hash_of() { $BIN/shard ls "$TMP/$1" | awk 'END { print $NF }'; }
change() { record $1 | jq -r ".$2[]" | { read -r a; read -r b; printf '%.4g to %.4g' "$a" "$b"; }; }
card dpo.h5 'base_model: someone/some-model' "| base | someone/some-model, model \`$(hash_of base.h5)\` |" "| data | pairs \`$(hash_of pairs.h5)\`, 2 rows |" \
    '| trained by | dpo-train |' '| objective | dpo |' '| steps | 9 |' '| learning rate | 0.01 |' "| loss | $(change dpo.h5 loss) |" \
    "| reward accuracy | $(change dpo.h5 reward_accuracy) |" "| KL to the start model | $(record dpo.h5 | jq .kl_start) nats per token |" '| `beta` | `0.1` |'
card a.h5 '| recipe | adaptive |' '| strength | damped:0.25 |' '| divergence | rkl |' "| KL to p*, nats per token | $(change a.h5 kl) |" \
    "| data | teacher \`$(hash_of t.h5)\`, 2 rows |"
card base.h5 'base_model: someone/some-model' '| base | someone/some-model |'
card m.h5 'pipeline_tag: text-generation'

# a folder that lacks a file is made again; a card that somebody changed stays
$BIN/export -q --model "$TMP/m.h5" -o "$TMP/lacking" >/dev/null || fail 'export to lacking'
for file in model.safetensors tokenizer.json config.json; do
    rm "$TMP/lacking/$file"
    $BIN/export --model "$TMP/m.h5" -o "$TMP/lacking" >/dev/null 2>"$TMP/err" && [ -s "$TMP/lacking/$file" ] || fail "without $file: $(cat "$TMP/err")"
done
echo mine >"$TMP/lacking/README.md"
$BIN/export --model "$TMP/m.h5" -o "$TMP/lacking" >/dev/null 2>"$TMP/err"
grep -q 'up to date' "$TMP/err" && grep -qx mine "$TMP/lacking/README.md" || fail "a card of one's own: $(cat "$TMP/err")"
# all tokens that the model stops at
rm -r "$TMP/lacking/generation_config.json"
sed -i 's/"eos_token_id": [0-9]*/"eos_token_id": [2, 1]/' "$TMP/lacking/config.json"
grep -q eos_token_id "$TMP/lacking/config.json" || sed -i '1s/{/{"eos_token_id": [2, 1],/' "$TMP/lacking/config.json"
$BIN/import -q --hf "$TMP/lacking" -o "$TMP/stops.h5" >/dev/null && $BIN/export -q --model "$TMP/stops.h5" -o "$TMP/stops" >/dev/null || fail 'stops'
tr -d ' \n' <"$TMP/stops/generation_config.json" | grep -q '"eos_token_id":\[2,1\]' || fail "stops: $(cat "$TMP/stops/generation_config.json")"

$BIN/import -q --hf "$TMP/lacking" --eos '<|bos|>' -o "$TMP/stops.h5" --force >/dev/null && $BIN/export -q --model "$TMP/stops.h5" -o "$TMP/stops" --force >/dev/null || fail 'stops'
tr -d ' \n' <"$TMP/stops/generation_config.json" | grep -q '"eos_token_id":\[[0-9]*,2,1\]' || fail "its own stop: $(cat "$TMP/stops/generation_config.json")"
# the token that --eos names is in every file, and comes back; what is not of it stays as it came
printf '{"temperature": 0.5, "eos_token_id": 2}' >"$TMP/lacking/generation_config.json"
printf '{"tokenizer_class": "Own", "eos_token": "<|eos|>"}' >"$TMP/lacking/tokenizer_config.json"
printf '{"eos_token": {"content": "<|eos|>"}, "pad_token": "<|eos|>"}' >"$TMP/lacking/special_tokens_map.json"
$BIN/import -q --hf "$TMP/lacking" -o "$TMP/stops.h5" --force >/dev/null && $BIN/export -q --model "$TMP/stops.h5" -o "$TMP/stops" --force >/dev/null || fail 'stops'
for file in generation_config tokenizer_config special_tokens_map; do cmp "$TMP/lacking/$file.json" "$TMP/stops/$file.json" || fail "$file.json"; done
$BIN/import -q --hf "$TMP/lacking" --eos '<|bos|>' -o "$TMP/stops.h5" --force >/dev/null && $BIN/export -q --model "$TMP/stops.h5" -o "$TMP/stops" --force >/dev/null || fail 'stops'
id=$(jq '.added_tokens[] | select(.content == "<|bos|>").id' "$TMP/stops/tokenizer.json")
jq -e --argjson id "$id" '.eos_token_id == [$id, 2, 1]' "$TMP/stops/config.json" >/dev/null || fail "config: $(cat "$TMP/stops/config.json")"
jq -e --argjson id "$id" '.eos_token_id == [$id, 2] and .temperature == 0.5' "$TMP/stops/generation_config.json" >/dev/null || fail "$(cat "$TMP/stops/generation_config.json")"
jq -e '.eos_token == "<|bos|>" and .tokenizer_class == "Own"' "$TMP/stops/tokenizer_config.json" >/dev/null || fail "$(cat "$TMP/stops/tokenizer_config.json")"
jq -e '.eos_token == "<|bos|>" and .pad_token == "<|eos|>"' "$TMP/stops/special_tokens_map.json" >/dev/null || fail "$(cat "$TMP/stops/special_tokens_map.json")"
$BIN/import -q --hf "$TMP/stops" -o "$TMP/back.h5" >/dev/null && $BIN/tokenize -q --model "$TMP/back.h5" --kind sft --template none \
    --input <(echo '{"prompt": "a", "response": "b"}') -o "$TMP/ends.h5" >/dev/null || fail 'back'
[ "$($BIN/shard head --json "$TMP/ends.h5" | jq '.ids[-1]')" = "$id" ] || fail 'the token that --eos named does not come back'

mkdir "$TMP/mine"
echo dear >"$TMP/mine/diary"
run 1 'no export of ours' $BIN/export --model "$TMP/m.h5" -o "$TMP/mine"
run 1 'exists' $BIN/export --model "$TMP/m.h5" --no-clobber -o "$TMP/hf"
mkdir "$TMP/empty"
run 0 '' $BIN/export -q --model "$TMP/m.h5" --no-clobber -o "$TMP/empty"
run 3 "none.h5" $BIN/export --model "$TMP/none.h5" -o "$TMP/x"
run 3 "corpus.txt" $BIN/export --model "$TMP/corpus.txt" -o "$TMP/x"
run 2 'format' $BIN/export --model "$TMP/m.h5" --format onnx -o "$TMP/x"
run 1 '' $BIN/export --model "$TMP/m.h5" -o "$TMP/nowhere/x"
(ulimit -f 8; $BIN/export --model "$TMP/m.h5" -o "$TMP/x" >/dev/null 2>"$TMP/err"; [ $? = 1 ]) || fail "a full disk: $(cat "$TMP/err")"
[ -e "$TMP/x" ] && fail "an output after a failure"
ls "$TMP" | grep -q partial && fail "left behind"
[ -e "$TMP/mine/diary" ] || fail "a file of the user is gone"
finish
