#!/bin/bash
# Nothing that is read is written over, whatever the output's name is made from (parts of a set, snapshots, a
# reference, the valid part); --no-clobber keeps all files that exist; what is current may be read-only.
. tests/lib.bash
world 60
teachers
dump="--dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5"
tokenize="$bin/tokenize -q --tokenizer tok.json --kind sft --input sft.csv"
sft="$bin/sft -q --model base.h5 --data sft-data.h5 --unit-tokens 256 --batch-size 16"
quiet $tokenize --rows-per-shard 13 -o d.h5
cp out parts
quiet "$bin/shard" merge -o whole.h5 $(cat parts)
md5sum $(cat parts) >sums
quiet "$bin/teacher-dump" -q $dump --rows-per-shard 30 -o t.h5
cp out caches
quiet "$bin/tokenize" -q --tokenizer tok.json --kind prompt --input prompts.csv --rows-per-shard 30 -o w.h5
cp out prompts
md5sum $(cat caches prompts) >>sums
quiet $sft --steps 4 --snapshot-every 2 -o run.h5
cp pairs.h5 e.h5.reference.h5
cp sft.csv q.valid.h5
md5sum run.step-2.h5 e.h5.reference.h5 q.valid.h5 >>sums

# inputs
clash() { # command...: exit 2, and nothing is changed or left
    expect 2 'is to be written, but it is also an input; name another' "$@"
    md5sum --quiet -c sums >changed 2>&1 || fail "$*: $(cat changed)"
    ls | grep -e spool -e tmp- -e ckpt && fail "$*: left behind"
}
clash "$bin/shard" split --parts 5 -o d.h5 $(cat parts)
clash "$bin/shard" recode --bits 6 -o t.h5 $(cat caches)
clash "$bin/generate" -q --model sft.h5 --data $(cat prompts) --max-new 2 --rows-per-shard 30 -o w.h5
clash "$bin/sft" -q --model run.step-2.h5 --data sft-data.h5 -o run.h5 --steps 6 --snapshot-every 2
clash "$bin/dpo-train" -q --model sft.h5 --data e.h5.reference.h5 -o e.h5 --steps 1
clash $tokenize q.valid.h5 --syntax csv --split valid=0.2 -o q.h5
quiet "$bin/shard" merge -o again.h5 $(cat parts)
same again.h5 whole.h5 'a set after a split over itself was refused'

# a set that is there is up to date
ls -i $(cat parts) >inodes
quiet $tokenize --rows-per-shard 13 -o d.h5
same out parts 'parts of a set that is up to date'
ls -i $(cat parts) | cmp -s - inodes || fail 'a set that is there was made again'
quiet $tokenize --rows-per-shard 13 --max-length 99 -o d.h5
ls -i $(cat parts) | cmp -s - inodes && fail 'another set was taken for this one'

# files that exist
keeps() { # FILE command...: exit 1, the file stays
    echo precious >"$1"
    expect 1 "'$1' exists" "${@:2}" --no-clobber
    [ "$(cat "$1")" = precious ] || fail "${*:2}: '$1' is gone"
    rm -f "$1" n.* n-*
}
keeps n.valid.h5 $tokenize --split valid=0.2 -o n.h5
keeps n-00001-of-00005.h5 $tokenize --rows-per-shard 13 -o n.h5
keeps n-00001-of-00002.h5 "$bin/generate" -q --model sft.h5 --data prompts.h5 --max-new 2 --rows-per-shard 30 -o n.h5
keeps n.jsonl "$bin/generate" -q --model sft.h5 --data prompts.h5 --max-new 2 --text n.jsonl -o n.h5
keeps n-00001-of-00002.h5 "$bin/teacher-dump" -q $dump --rows-per-shard 30 -o n.h5
keeps n.step-2.h5 $sft --steps 4 --snapshot-every 2 -o n.h5
keeps n.h5.reference.h5 "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 --steps 1 -o n.h5
keeps n.samples.h5 "$bin/distill" -q --model sft.h5 --on-policy --dpo dpo.h5 --reverse reverse.h5 --data prompts.h5 --max-new 2 \
    --steps 1 --keep-samples n.samples.h5 -o n.h5
expect 2 '--force and --no-clobber' $sft --steps 1 -o n.h5 --force --no-clobber
# a stopped run goes on under it, with the snapshots and parts that it has made
quiet $sft --steps 8 --snapshot-every 2 -o want.h5
for after in $(afters); do
    $sft --steps 8 --snapshot-every 2 -o n.h5 --no-clobber --stop-after $after --checkpoint-every 1 >out 2>err && break
    [ ! -e n.step-4.h5 ] || break
done
[ -e n.h5 ] || quiet $sft --steps 8 --snapshot-every 2 -o n.h5 --no-clobber
same n.h5 want.h5 'a run under --no-clobber, stopped'

# what is current need not be touched
mkdir ro
cp sft.h5 ro
quiet $sft --steps 2 -o ro/n.h5
if mount -t tmpfs none ro 2>/dev/null; then
    trap 'umount -l ro' EXIT
    quiet $sft --steps 2 -o ro/n.h5
    mount -o remount,ro ro 2>/dev/null && expect 0 'is up to date' ${sft/ -q/} --steps 2 -o ro/n.h5
fi
finish
