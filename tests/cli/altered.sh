#!/bin/bash
# Data that were altered under their true name: chunks with right checksums, a content_hash that is
# that of other bytes. Whoever uses them says so, and makes nothing of them.
. tests/lib.bash
poison=$root/$BUILD/tests/cli/poison
make=$root/$BUILD/tests/cli/make_files
world 12
teachers
"$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 -o coded.h5 >out || fatal 'no cache'
"$make" teacher plain.h5 12 >out
train='--steps 1 --batch-size 4 --unit-tokens 256 -o made.h5'
says='bytes do not have its content_hash'
refuse() {
    expect 3 "$says" "$@"
    [ -z "$(ls made* 2>/dev/null)" ] || fail "an output of $*: $(ls made*)"
    rm -rf made*
}
alter() { # FILE COLUMN I X
    cp "$1" odd.h5
    "$poison" alter odd.h5 "$2" "$3" "$4" || fatal "poison $*"
    refuse "$bin/shard" check odd.h5
}
of_rows() {
    refuse "$bin/shard" stat odd.h5
    refuse "$bin/shard" merge -o made.h5 odd.h5
    refuse "$bin/shard" split --parts 2 -o made.h5 odd.h5
    refuse "$bin/shard" filter --rows 0:3 -o made.h5 odd.h5
}
alter sft-data.h5 ids 3 5
of_rows
refuse "$bin/sft" -q --model base.h5 --data odd.h5 $train
refuse "$bin/eval" nll --model base.h5 --data odd.h5 -o made.csv
alter sft-data.h5 mask 5 0
refuse "$bin/sft" -q --model base.h5 --data odd.h5 $train
alter pairs.h5 rejected 0 7
of_rows
refuse "$bin/dpo-train" -q --model base.h5 --ref base.h5 --data odd.h5 $train
refuse "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data odd.h5 -o made.h5
alter prompts.h5 ids 2 9
refuse "$bin/generate" -q --model base.h5 --data odd.h5 --max-new 2 -o made.h5
alter reference.h5 chosen 1 -2.5
refuse "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 --reference odd.h5 $train
alter coded.h5 tvd_low 4 3
of_rows
refuse "$bin/distill" -q --model sft.h5 --teacher odd.h5 $train
refuse "$bin/shard" recode --top-k 3 -o made.h5 odd.h5
refuse "$bin/shard" recode --zstd-level 9 -o made.h5 odd.h5
alter plain.h5 alpha 4 0.25
of_rows
refuse "$bin/shard" recode --bits 8 -o made.h5 odd.h5
alter base.h5 weights/model.norm.weight 1 0.5
refuse "$bin/export" -q --model odd.h5 -o made
refuse "$bin/sft" -q --model odd.h5 --data sft-data.h5 $train
refuse "$bin/shard" stat odd.h5
# what differs is printed all the same
"$bin/shard" diff base.h5 odd.h5 >out 2>err </dev/null
[ $? = 3 ] && grep -q "1 of [0-9]* elements differ, the first at 1" out && grep -q "$says" err ||
    fail "shard diff: $(cat out err)"
"$bin/sft" -q --model base.h5 --data sft-data.h5 --lora-rank 2 $train >out || fatal 'no adapter'
mv made.h5 lora.h5
alter lora.h5 weights/base_model.model.model.layers.0.mlp.up_proj.lora_A.weight 1 0.5
refuse "$bin/shard" stat odd.h5
refuse "$bin/merge" --model base.h5 --adapter odd.h5 -o made.h5
# shard head reads the rows that it shows alone, and shows no token or log-probability that is none
odd() { # FILE COLUMN I X: with the hash made again
    cp "$1" odd.h5
    "$poison" element odd.h5 "$2" "$3" "$4" || fatal "poison $*"
    for how in '' --json; do expect 3 'is damaged: its rows are not such' "$bin/shard" head $how odd.h5; done
    [ ! -s out ] || fail "shard head of $*: $(cat out)"
}
for id in -5 100000; do
    odd sft-data.h5 ids 0 $id
    odd pairs.h5 rejected 3 $id
done
odd reference.h5 chosen 0 nan
odd reference.h5 rejected 0 1
cp sft-data.h5 odd.h5
"$poison" attribute odd.h5 vocab 7
expect 3 'is damaged: its rows are not such' "$bin/shard" head odd.h5
# what is not altered still goes
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 $train
finish
