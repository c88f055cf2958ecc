#!/bin/bash
# --frozen-dtype bf16: the same outputs as float32 models of the rounded weights give, in half the
# memory, and recorded; refused where nothing would heed it.
. tests/lib.bash
for p in teacher-dump generate eval dpo-train distill shard; do
    [ -x "$bin/$p" ] || skip "$p is not built"
done
round=$root/$BUILD/tests/cli/round_model
[ -x "$round" ] || skip "round_model is not built"
D=$TMP/smoke
make -s -C "$root/pipelines/smoke" BIN="$bin" OUT="$D" "$D/reverse.h5" "$D/prompts.h5" >make.log 2>&1 ||
    fatal "$(cat make.log)"
for m in sft dpo reverse; do "$round" "$D/$m.h5" "$m.h5" || fatal "round_model failed"; done

same_content() { # FILE FILE WORDS: whatever they were made from
    "$bin/shard" diff "$1" "$2" >out 2>&1
    grep -v -e "'options'" -e "'parents'" out | grep -q -e "attribute '" -e dataset &&
        fail "$3: $(grep -e "attribute '" -e dataset out | cut -c 1-100)"
    grep -q "'parents'" out || fail "$3: not compared: $(head -n 3 out)"
}
outputs() { # NAME FOLDER-OF-MODELS DTYPE
    local common="--frozen-dtype $3 -q"
    expect 0 '' "$bin/teacher-dump" --dpo "$2/dpo.h5" --reverse "$2/reverse.h5" --data "$D/pairs.h5" \
        -o "$1-teacher.h5" $common
    expect 0 '' "$bin/generate" --model "$2/dpo.h5" --data "$D/prompts.h5" --max-new 12 -o "$1-one.h5" $common
    expect 0 '' "$bin/generate" --dpo "$2/dpo.h5" --reverse "$2/reverse.h5" --data "$D/prompts.h5" \
        --max-new 12 -o "$1-star.h5" $common
    expect 0 '' "$bin/eval" nll --model "$2/dpo.h5" --data "$D/sft-data.h5" -o "$1.csv" $common
}
outputs half "$D" bf16
outputs rounded . float32
outputs both . bf16
outputs whole "$D" float32
for f in teacher one star; do
    for n in rounded both; do same_content half-$f.h5 $n-$f.h5 "$f, bf16 and $n"; done
done
same half.csv rounded.csv "eval nll"
same half.csv both.csv "eval nll of rounded models"
cmp -s half.csv whole.csv && fail "rounding changed nothing: the test tests nothing"
grep -a -q '"frozen-dtype": *"bf16"' half-teacher.h5 || fail "the dtype is not recorded"

memory() { # NAME COMMAND...: the plan's bytes
    "${@:2}" --dry-run -q 2>err | awk -v name="$1" '$1 == name { print $2 }'
}
dump=("$bin/teacher-dump" --dpo "$D/dpo.h5" --reverse "$D/reverse.h5" --data "$D/pairs.h5" -o no.h5)
generate=("$bin/generate" --model "$D/dpo.h5" --data "$D/prompts.h5" -o no.h5)
sft=("$bin/sft" --model "$D/sft.h5" --data "$D/sft-data.h5" -o no.h5)
weights=$((4 * $(memory parameters "${sft[@]}")))
a=$(memory memory_bytes "${dump[@]}") b=$(memory memory_bytes "${dump[@]}" --frozen-dtype bf16)
c=$(memory memory_bytes "${generate[@]}") d=$(memory memory_bytes "${generate[@]}" --frozen-dtype bf16)
awk -v saved=$((c - d)) -v weights=$weights 'BEGIN { exit !(saved > 0.49 * weights && saved < 0.5 * weights) }' ||
    fail "generate's plan: $d bytes in bf16, $c in float32, of weights $weights"
[ $((2 * (c - d))) = $((a - b)) ] || fail "teacher-dump's plan: $b bytes in bf16, $a in float32; $d, $c of one"

tdpo=(--model "$D/sft.h5" --data "$D/pairs.h5" --steps 2 --batch-size 10 -q --frozen-dtype bf16)
expect 0 '' "$bin/dpo-train" "${tdpo[@]}" --loss tdpo2 -o tdpo.h5
expect 0 '' "$bin/dpo-train" "${tdpo[@]}" --loss tdpo2 --ref "$D/sft.h5" -o tdpo-ref.h5
same_content tdpo.h5 tdpo-ref.h5 "tdpo2, --ref is the start model"
# a model whose matrices bf16 rounds: the first loss is not log 2 to 5 digits, and that is no mistake
expect 0 '' "$bin/dpo-train" --model "$D/dpo.h5" --data "$D/pairs.h5" --steps 1 -q --frozen-dtype bf16 --loss tdpo1 \
    --beta 5 -o tdpo-far.h5
expect 2 'frozen-dtype is for the reference of tdpo' "$bin/dpo-train" "${tdpo[@]}" -o no.h5
expect 2 'frozen-dtype goes with --on-policy' "$bin/distill" --model "$D/sft.h5" \
    --teacher half-teacher.h5 --frozen-dtype bf16 -o no.h5
finish
