#!/bin/bash
# README's walk through the stages, and what stages/README.md shows on caches, run line by line as they stand
# there.
. tests/lib.bash
world 40
quiet "$bin/export" -q --model base.h5 --format hf -o my-model
mv pairs.csv prefs.csv
rm -- *.h5
mkdir -p build/release
ln -s "$bin" build/release/bin
lines() { # PAGE FROM TO: the commands between two headings
    awk -v from="$2" -v to="$3" '$0 == from { on = 1 } $0 == to { on = 0 } on && /^    / { print substr($0, 5) }' \
        "$root/$1"
}
lines README.md '## A walk through' '## The stages' >walk.sh
lines stages/README.md '## The cache' '## A page of a run' >>walk.sh
for command in 'import --hf my-model' 'shard report' 'shard split' 'distill .*--watch-every'; do
    grep -q "^$command" walk.sh || fatal "no '$command': $(cat walk.sh)"
done

# A line may continue in the next one.
bash -c 'set -e; step=
    while IFS= read -r line; do
        step+=$line$'"'\n'"'
        case $line in *"|") continue ;; esac
        [[ $step != *distill*"-o aligned.h5"* || ! -e aligned.h5 ]] || mv aligned.h5 before-$((++n)).h5
        eval "$step" || { echo "exit $?: $step" >&2; exit 1; }
        step=
    done' <walk.sh >out 2>err || fail "$(tail -n 3 err)"
same before-1.h5 aligned.h5 'models that watch'
same before-2.h5 aligned.h5 'a pipe and the two commands'
for file in aligned-hf/model.safetensors responses.jsonl report.csv small.h5 some.h5 part-00007-of-00008.h5; do
    [ -s $file ] || fail "README's commands made no $file"
done

# What the pages name is there: links, and files of code.
cd "$root" || exit 1
for page in $(git ls-files '*.md' 2>/dev/null || find . -name '*.md'); do
    for link in $(grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | grep -v '^http'); do
        [ -e "$(dirname "$page")/$link" ] || fail "$page: no '$link'"
    done
done
for layer in common formats; do
    for room in $layer/*/; do
        grep -q "^| .$(basename "$room")/. |" $layer/README.md || fail "$layer/README.md does not describe $room"
    done
done
for page in README.md {common,formats,stages,tests,pipelines}/README.md stages/ARCHITECTURE.md common/method/METHOD.md; do
    for name in $(grep -o '`[a-z_/*-]*\.\(c\|h\|sh\|mk\)`' "$page" | tr -d '\140' | sort -u); do
        [ -n "$(find common formats stages tests pipelines -path "*/$name" -print -quit)" ] ||
            [ -e "$name" ] || compgen -G "$(dirname "$page")/$name" >/dev/null || fail "$page: no '$name'"
    done
done
finish
