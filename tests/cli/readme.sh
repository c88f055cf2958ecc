#!/bin/bash
# README's walk through the stages, and what it shows on caches, run line by line as it stands there.
. tests/lib.bash
world 40
quiet "$bin/export" -q --model base.h5 --format hf -o my-model
mv pairs.csv prefs.csv
rm -- *.h5
mkdir -p build/release
ln -s "$bin" build/release/bin
awk '/^## A walk through/ { on = 1 } /^### How strong/ { on = 0 } on && /^    / { print substr($0, 5) }' \
    "$root/README.md" >walk.sh
grep -q '^import --hf my-model' walk.sh && grep -q '^shard split' walk.sh || fatal "no walk: $(cat walk.sh)"

# A line may go on in the next one; `shard report` looks at a snapshot, which the walk does not make.
bash -c 'set -e; step=
    while IFS= read -r line; do
        step+=$line$'"'\n'"'
        case $line in *"|") continue ;; esac
        [[ $line != "shard report"* ]] || cp aligned.h5 aligned.step-20.h5
        [[ $line != *"| distill"* && $step != *"|"*distill* ]] || mv aligned.h5 first.h5
        eval "$step" || { echo "exit $?: $step" >&2; exit 1; }
        step=
    done' <walk.sh >out 2>err || fail "$(tail -n 3 err)"
same first.h5 aligned.h5 'a pipe and the two commands'
for file in aligned-hf/model.safetensors responses.jsonl report.csv small.h5 some.h5 part-00007-of-00008.h5; do
    [ -s $file ] || fail "README's commands made no $file"
done
finish
