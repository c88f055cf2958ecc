#!/bin/bash
# Adapters to PEFT and back: an independent reader merges what we export into what we merge; what
# PEFT may hold and we do not is refused by name.
. tests/lib.bash
for p in import sft eval merge export shard; do [ -x "$bin/$p" ] || skip "$p is not built"; done
python=${PYTHON:-/usr/bin/python3}
$python -c 'import numpy' 2>/dev/null || skip 'python3-numpy is not installed'
oracle() { $python "$root/tests/oracle/peft.py" "$@" >out 2>&1 || fail "peft.py $1: $(tail -n 2 out)"; }
world 16
train="--unit-tokens 256 --batch-size 8 --steps 4 --lr 1e-2"
quiet "$bin/export" -q --model base.h5 -o base-hf

for more in '--lora-alpha 6' '--lora-rank-stabilised --lora-targets q,v,down'; do
    rm -rf a.h5 a-peft merged.h5 merged-hf b.h5
    quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o a.h5 $train --lora-rank 4 $more
    quiet "$bin/export" -q --model a.h5 --base-model base.h5 --format peft -o a-peft
    quiet "$bin/merge" -q --model base.h5 --adapter a.h5 -o merged.h5
    quiet "$bin/export" -q --model merged.h5 -o merged-hf
    oracle merge base-hf a-peft merged-hf
    quiet "$bin/import" -q --adapter a-peft --base-model base.h5 -o b.h5
    quiet "$bin/eval" nll --model a.h5 --base-model base.h5 --data sft-data.h5 -o a.csv
    quiet "$bin/eval" nll --model b.h5 --base-model base.h5 --data sft-data.h5 -o b.csv
    same a.csv b.csv "$more"
    quiet "$bin/shard" check b.h5
done
quiet "$bin/export" -q --model b.h5 --base-model base.h5 --format peft -o b-peft
same a-peft/adapter_model.safetensors b-peft/adapter_model.safetensors 'there and back'
same a-peft/adapter_config.json b-peft/adapter_config.json 'there and back'
# the merged folder is one of the adapter too
quiet "$bin/export" -q --model a.h5 --base-model base.h5 -o direct-hf
same direct-hf/model.safetensors merged-hf/model.safetensors 'merged while exporting'
"$bin/export" --model a.h5 --base-model base.h5 --format peft -o a-peft >out 2>err
grep -q 'up to date' err || fail "made again: $(cat err)"

# what other programs write besides
oracle edit a-peft peft_version '"0.18.0"'
oracle edit a-peft auto_mapping null
oracle edit a-peft loftq_config '{}'
oracle edit a-peft init_lora_weights '"gaussian"'
oracle edit a-peft target_modules '"all-linear"'
quiet "$bin/import" -q --adapter a-peft --base-model base.h5 -o c.h5
while read -r key value; do
    rm -rf odd && cp -r a-peft odd
    oracle edit odd "$key" "$value"
    expect 3 "'$key'" "$bin/import" -q --adapter odd --base-model base.h5 -o x.h5
done <<'LIST'
use_dora true
modules_to_save ["lm_head"]
rank_pattern {"q_proj":8}
alpha_pattern {"q_proj":8}
bias "all"
layers_to_transform [0]
init_lora_weights "pissa"
lora_bias true
something_new 3
r 0
LIST
rm -rf odd && cp -r a-peft odd && oracle edit odd peft_type '"IA3"'
expect 3 'only LORA' "$bin/import" -q --adapter odd --base-model base.h5 -o x.h5
config 64 && sed -i 's/"hidden_size": 32/"hidden_size": 48/' config.json
quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o other.h5
expect 3 'of another base' "$bin/import" -q --adapter a-peft --base-model other.h5 -o x.h5
expect 2 'go together' "$bin/import" -q --adapter a-peft -o x.h5
mkdir mine && echo 1 >mine/notes.txt
expect 1 'no export of ours' "$bin/export" -q --model a.h5 --base-model base.h5 --format peft -o mine
cp -r a-peft theirs && rm theirs/aligndistil.json
expect 1 'no export of ours' "$bin/export" -q --model b.h5 --base-model base.h5 --format peft -o theirs
same a-peft/adapter_model.safetensors theirs/adapter_model.safetensors "another program's adapter"
mkdir empty
quiet "$bin/export" -q --model a.h5 --base-model base.h5 --format peft --no-clobber -o empty
expect 1 'drop --no-clobber' "$bin/export" -q --model a.h5 --base-model base.h5 --format peft --no-clobber -o mine
expect 3 'takes an adapter' "$bin/export" -q --model base.h5 --format peft -o y
[ ! -e x.h5 ] && [ ! -e y ] && [ -e mine/notes.txt ] || fail 'a refused run left something'
finish
