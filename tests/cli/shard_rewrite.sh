#!/bin/bash
# shard split, filter and recode on files of all kinds.
make_files=$PWD/$BUILD/tests/cli/make_files
. tests/lib.bash
rows() { "$bin/shard" head --json --rows 1000 "$@" | sed 's/^{"row": [0-9]*/{/'; }
stage_of() { "$bin/shard" ls "$1" | tail -n 1 | cut -f 7; }
hash_of() { "$bin/shard" ls "$1" | tail -n 1 | cut -f 8; }

# ---- split: what a run with --rows-per-shard makes, and merge takes it back
for kind in tokens pairs reference teacher coded components; do
    $make_files $kind $kind.h5 400 >list && $make_files $kind cut-$kind.h5 400 90 >cut || fatal "$kind"
    quiet "$bin/shard" split --rows-per-shard 90 -o split-$kind.h5 $kind.h5
    [ "$(wc -l <out)" = 5 ] || fail "not 5 parts: $(cat out)"
    cp out parts
    for i in 0 1 2 3 4; do
        same cut-$kind-0000$i-of-00005.h5 split-$kind-0000$i-of-00005.h5 'split'
    done
    quiet "$bin/shard" merge -o back.h5 $(tac parts)
    same $kind.h5 back.h5 'split and merged'
    quiet "$bin/shard" split --parts 3 -o three.h5 $(cat parts) # a set cut otherwise
    [ "$(wc -l <out)" = 3 ] || fail "not 3 parts: $(cat out)"
    quiet "$bin/shard" merge -o back.h5 $(cat out)
    same $kind.h5 back.h5 'split twice and merged'

    # ---- filter: rows as they are
    quiet "$bin/shard" filter --rows 88:183 -o some.h5 $(tac parts)
    quiet "$bin/shard" check some.h5
    rows $kind.h5 | sed -n '89,183p' >want
    rows some.h5 | cmp -s - want || fail "other rows of $kind after filter"
    [ "$(stage_of some.h5)" = 'shard filter' ] || fail "stage $(stage_of some.h5)"
    before=$(stat -c %i some.h5)
    quiet "$bin/shard" filter --rows 88:183 -o some.h5 $(cat parts)
    [ "$(stat -c %i some.h5)" = "$before" ] || fail 'made again'
    quiet "$bin/shard" filter --rows :3 -o first.h5 $kind.h5
    quiet "$bin/shard" filter --rows 397: -o last.h5 $kind.h5
    [ "$(rows first.h5 last.h5 | wc -l)" = 6 ] || fail "not 6 rows of $kind"
done
expect 2 'give either' "$bin/shard" split -o x.h5 tokens.h5
expect 2 'give either' "$bin/shard" split --parts 2 --rows-per-shard 3 -o x.h5 tokens.h5
expect 2 'more than the set.s 400 rows' "$bin/shard" split --parts 401 -o x.h5 tokens.h5
expect 3 'of which 4 were given' "$bin/shard" split --parts 2 -o x.h5 $(head -n 4 parts)
for range in 3 a:b 1:2:3 -1:4 ''; do expect 2 'is not A:B' "$bin/shard" filter --rows="$range" -o x.h5 tokens.h5; done
expect 2 'has no rows' "$bin/shard" filter --rows 7:7 -o x.h5 tokens.h5
expect 2 'begins after' "$bin/shard" filter --rows 400:500 -o x.h5 tokens.h5
expect 3 'take teacher files' "$bin/shard" filter --min-entropy 1 -o x.h5 tokens.h5
expect 3 'takes tokens and teacher' "$bin/shard" filter --max-positions 9 -o x.h5 pairs.h5
expect 3 'no row is left' "$bin/shard" filter --min-entropy 900 -o x.h5 coded.h5
[ ! -e x.h5 ] || fail 'an output after a failure'

for kind in tokens coded components; do
    quiet "$bin/shard" filter --max-positions 12 -o short.h5 $kind.h5
    rows $kind.h5 | awk -F'"mask": ' '{ split($2, m, "]"); t = m[1]; n = gsub(/1/, "", t) } n <= 12' >want
    rows short.h5 | cmp -s - want || fail "other rows of $kind by --max-positions"
done
entropies() { awk -F'"entropy": ' '{ s = 0; for (i = 2; i <= NF; i++) s += $i; print (NF > 1 ? s / (NF - 1) : 0) }'; }
quiet "$bin/shard" filter --min-entropy 0.45 --max-entropy 0.55 --rows 10: -o middle.h5 coded.h5
quiet "$bin/shard" check middle.h5
rows middle.h5 | entropies >got
rows coded.h5 | tail -n +11 | entropies | awk '$1 >= 0.45 && $1 <= 0.55' | cmp -s got - || fail 'other rows by entropy'
[ "$(wc -l <got)" -gt 20 ] || fail "only $(wc -l <got) rows by entropy"

# ---- recode: the payload of a dump with these options, where nothing was lost before
world 60
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5"
for layout in composed components; do
    quiet $dump --layout $layout --bits 32 --top-k 400 --mass 1 --least 0 -o full.h5 --force
    quiet $dump --layout $layout --bits 32 -o some.h5 --force
    for bits in 12 6; do
        quiet $dump --layout $layout --bits $bits --zstd-level 5 -o want.h5 --force
        quiet "$bin/shard" recode --bits $bits --zstd-level 5 -o got.h5 some.h5
        quiet "$bin/shard" check got.h5
        [ "$(hash_of got.h5)" = "$(hash_of want.h5)" ] || fail "$layout: other content with $bits bits"
        [ "$(stat -c %s got.h5)" -lt "$(($(stat -c %s want.h5) + 1500))" ] || fail 'another size'
    done
    quiet $dump --layout $layout --bits 8 --top-k 9 --mass 0.9 -o want.h5 --force
    quiet "$bin/shard" recode --bits 8 --top-k 9 --mass 0.9 --least 0.001 -o got.h5 full.h5
    quiet "$bin/shard" check got.h5
    numbers() { "$bin/shard" head --json --rows 100 "$1" | grep -o "\"$2\": [^]}]*"; }
    numbers got.h5 support | cmp -s - <(numbers want.h5 support) || fail "$layout: other support"
    for name in log_tail tvd entropy alpha; do # tails were summed in another order
        paste -d' ' <(numbers got.h5 $name | tr -d '",:[a-z_' ) <(numbers want.h5 $name | tr -d '",:[a-z_') |
            awk '{ for (i = 1; 2 * i <= NF; i++) { d = $i - $(i + NF / 2); if (d < 0) d = -d; if (!(d <= 0.017)) bad = 1 } }
                 END { exit bad || NR < 100 }' || fail "$layout: other $name"
    done
    quiet "$bin/shard" recode --bits 6 -o less.h5 want.h5
    [ "$(stat -c %s less.h5)" -lt "$(stat -c %s want.h5)" ] || fail "$layout: 6 bits take more than 8"
    expect 2 'more than the cache.s 8' "$bin/shard" recode --bits 12 -o x.h5 want.h5
    expect 2 'more than the cache.s 6' "$bin/shard" recode --bits 8 -o x.h5 less.h5
    expect 2 'top-k 10 is more than the 9' "$bin/shard" recode --top-k 10 -o x.h5 want.h5
    expect 2 'top-k 10 is more than the 9' "$bin/shard" recode --top-k 10 -o x.h5 less.h5
    expect 2 'mass 0.95 is more than the 0.9' "$bin/shard" recode --mass 0.95 -o x.h5 want.h5
    expect 2 'least 0 is below the 0.001' "$bin/shard" recode --least 0 -o x.h5 want.h5
    quiet "$bin/distill" -q --model sft.h5 --teacher got.h5 -o student.h5 --steps 1 --force
done
# shards keep their cut; done again, nothing is made
quiet $dump --rows-per-shard 25 -o s.h5
cp out list
quiet "$bin/shard" recode --bits 6 -o r.h5 $(tac list)
[ "$(tr '\n' ' ' <out)" = 'r-00000-of-00003.h5 r-00001-of-00003.h5 r-00002-of-00003.h5 ' ] || fail "$(cat out)"
cp out again
ls -i r-*.h5 >inodes
quiet "$bin/shard" recode --bits 6 -o r.h5 $(cat list)
same out again 'paths'
ls -i r-*.h5 | cmp -s - inodes || fail 'made again'
quiet "$bin/shard" check $(cat again)
# another compression, or nothing new: the numbers stay as they are stored
for file in components composed; do
    quiet $dump --layout $file --bits 8 -o want.h5 --force
    for options in '--zstd-level 9' '' '--bits 8'; do
        quiet "$bin/shard" recode $options -o got.h5 want.h5
        [ "$(hash_of got.h5)" = "$(hash_of want.h5)" ] || fail "$file: other content by '$options'"
        [ "$(stage_of got.h5)" = 'shard recode' ] || fail "stage $(stage_of got.h5)"
    done
done
quiet "$bin/shard" recode --zstd-level 9 -o got.h5 "$root/tests/golden/teacher-version-2.h5"
[ "$(hash_of got.h5)" = "$(hash_of "$root/tests/golden/teacher-version-2.h5")" ] || fail 'version 2: other content'
quiet "$bin/shard" recode --zstd-level 9 -o z.h5 $(cat list)
quiet "$bin/shard" merge -o merged.h5 $(cat out)
quiet "$bin/shard" merge -o want.h5 $(cat list)
[ "$(hash_of merged.h5)" = "$(hash_of want.h5)" ] || fail 'parts: other content'
[ "$(stat -c %s z-00000-of-00003.h5)" != "$(stat -c %s s-00000-of-00003.h5)" ] || fail 'no other level'

# a part that is bad: nothing is made of those before it
size=$(stat -c %s s-00002-of-00003.h5)
printf '\125\252\125\252' | dd of=s-00002-of-00003.h5 bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
for command in 'recode --bits 6' 'recode --zstd-level 9' 'split --parts 5' 'filter --rows 1:'; do
    expect 3 "'s-00002-of-00003.h5' is damaged: dataset '[a-z_]*', elements" "$bin/shard" $command -o bad.h5 $(cat list)
    [ -z "$(ls | grep '^bad')" ] && [ ! -s out ] || fail "$command left $(ls | grep '^bad'), said $(cat out)"
done
expect 3 'recode takes teacher files' "$bin/shard" recode -o x.h5 tokens.h5
finish
