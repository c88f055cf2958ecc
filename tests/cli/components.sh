#!/bin/bash
# A cache of components: the same bytes on any threads and in shards; distil by its own strength as from
# a composed cache, by another as from a dump of that strength; what its grid does not cover is refused.
. tests/lib.bash
world 120
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --top-k 24"
distill="$bin/distill --model sft.h5 --unit-tokens 256 --batch-size 40 --steps 3 --lr 1e-3"
quiet $dump --layout components -o a.h5
quiet $dump --layout components -o b.h5 --threads 3 --micro-tokens 300
same a.h5 b.h5 'other threads'
quiet $dump --layout components -o s.h5 --rows-per-shard 50 --threads 1
cp out list
[ "$(wc -l <list)" = 3 ] || fail "not 3 shards: $(cat list)"
quiet "$bin/shard" merge -o m.h5 $(cat list)
same a.h5 m.h5 'merged'
quiet "$bin/shard" check a.h5 $(cat list)

loss() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR > 1 { print $at["loss"] }' "$1"; }
near() { # NAME A.csv B.csv LIMIT: losses of the steps, relative
    paste <(loss "$2") <(loss "$3") | awk -v limit="$4" '{ d = $1 / $2 - 1; if (d < 0) d = -d
        if (!(d <= limit)) bad = 1 } END { exit bad || NR != 3 }' ||
        fail "$1: other losses: $(loss "$2" | tr '\n' ' ') and $(loss "$3" | tr '\n' ' ')"
}
compare() { # LIMIT ALPHA CACHE: from the components and from a dump of that strength
    local alpha=$2
    quiet $dump --bits 32 --alpha $alpha --mass 1 --least 0 -o composed.h5 --force
    quiet $distill -q --teacher composed.h5 -o x.h5 --force --log x.csv
    quiet $distill -q --teacher $3 --alpha $alpha -o y.h5 --force --log y.csv
    near "$alpha" x.csv y.csv $1
}
quiet $dump --layout components --bits 32 --mass 1 --least 0 --top-k 500 --alpha-grid 0,1,3,4 -o full.h5
dump="$dump --top-k 500"
for alpha in damped:1 tvd:2.5 fixed:4 fixed:0; do compare 2e-5 $alpha full.h5; done
quiet $dump --layout components --bits 16 --mass 1 --least 0 -o coded.h5
for alpha in damped:1 damped:1.7 tvd:0.6 fixed:2; do compare 0.002 $alpha coded.h5; done
expect 0 'p\* by damped:1: alphas from 0.001 to 1.001 on the cache.s grid 0,0.125,0.25,0.5,1,1.5,2' \
    $distill --teacher a.h5 -o own.h5 --log own.csv
grep -q 'which the grid determines within' err || fail "no bracket: $(cat err)"
quiet $distill -q --teacher $(cat list) -o list.h5
quiet $distill -q --threads 3 --teacher $(cat list) -o three.h5 --micro-tokens 500
same list.h5 three.h5 'distil on other threads'
"$bin/distill" --model sft.h5 --unit-tokens 256 --batch-size 40 --steps 3 --lr 1e-3 -q --teacher - \
    -o stream.h5 <list >out 2>err || fail "stream: $(cat err)"
same list.h5 stream.h5 'a stream'
quiet $distill -q --teacher a.h5 -o again.h5 --alpha damped:1
quiet $distill -q --teacher a.h5 -o other.h5 --alpha damped:0.5
cmp -s again.h5 other.h5 && fail 'another strength gives the same model'
expect 0 'p\* by tvd:1.5' $distill --teacher a.h5 -o p.h5 --recipe published --alpha tvd:1.5

expect 2 'alphas from 0.001 to 3.001, outside the cache.s grid .*wider --alpha-grid' \
    $distill -q --teacher a.h5 -o x.h5 --alpha damped:3
expect 2 'outside the cache.s grid' $distill -q --teacher a.h5 -o x.h5 --recipe published
expect 2 "negative disagrees" $distill -q --teacher a.h5 -o x.h5 --negative ref
expect 2 "summed with --plausible 0.001" $distill -q --teacher a.h5 -o x.h5 --plausible 0
quiet $distill -q --teacher a.h5 -o x.h5 --force --plausible 0.001 --base dpo --negative reverse
expect 2 "goes with --on-policy or a cache of layout components" \
    $distill -q --teacher composed.h5 -o x.h5 --alpha damped:1
expect 2 'slots is for the samples of --on-policy' $distill -q --teacher composed.h5 -o x.h5 --slots 4
expect 2 'reward-beta is for --token-weight inverse-alpha' $distill -q --teacher composed.h5 -o x.h5 --reward-beta 1
for option in target-rows max-new; do
    expect 2 "$option is for --target-kl" $dump -o x.h5 --$option 9
done
expect 2 'goes with --layout components' $dump -o x.h5 --alpha-grid 0,1,2
for grid in 0,1 0,2,1 0,1,x 0,1,2, 1,1,2; do
    expect 2 'is not 3 to 16 ascending numbers' $dump -o x.h5 --layout components --alpha-grid $grid
done
# a budget may keep --top-k tokens at each alpha, however likely --least would have them
config 64
sed -i 's/"hidden_size": [0-9]*/"hidden_size": 8/; s/"intermediate_size": [0-9]*/"intermediate_size": 8/' config.json
ids=$("$bin/shard" stat sft.h5 | awk '$1 == "vocab" { print $2 }') # and 70000 more
awk -v first="$ids" '{ at = index($0, "\"vocab\":") }
    at && !done { done = 1; open = at + index(substr($0, at), "{") - 1; printf "%s", substr($0, 1, open)
        for (i = 0; i < 70000; i++) printf "\"~%d\": %d, ", i, first + i
        $0 = substr($0, open + 1) } { print }' tok.json >wide.json
for seed in 1 2 3; do quiet "$bin/import" -q --init config.json --tokenizer wide.json --seed $seed -o w$seed.h5; done
head -n 3 pairs.csv >two.csv
quiet "$bin/tokenize" -q --model w1.h5 --kind pref --input two.csv -o two.h5
expect 2 'may keep [0-9]* tokens per position' "$bin/teacher-dump" -q --dpo w1.h5 --reverse w2.h5 --ref w3.h5 --data two.h5 -o x.h5 \
    --layout components --alpha fixed:10 --alpha-grid 0,20,40 --error-budget 1e-9 --top-k 60000 --least 0.001
expect 2 'outside --alpha-grid' $dump -o x.h5 --layout components --alpha-grid 0,0.2,0.5
finish
