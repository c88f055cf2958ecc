#!/bin/bash
# What of which caches distill trains on: --rows, --max-positions, several caches, damaged chunks,
# rows that occur twice, and caches that are the wrong ones. The same from a list and a stream.
. tests/lib.bash
world 180
teachers
pairs() { # NAME FROM TO: pairs and a cache of these rows
    (head -n 1 pairs.csv; sed -n "$(($2 + 2)),$(($3 + 1))p" pairs.csv) >$1.csv
    quiet "$bin/tokenize" -q --model base.h5 --kind pref --input $1.csv -o $1-pairs.h5
    dump $1 --data $1-pairs.h5
}
dump() { # NAME option...
    local name=$1
    shift
    quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --top-k 20 \
        --rows-per-shard 60 --bits 32 -o $name.h5 "$@"
    mv out $name.list
}
# the forward KL, which a cache of 20 tokens per position serves without a warning
base="$bin/distill -q --divergence fkl --unit-tokens 256 --batch-size 16 --lr 3e-3 --shuffle-window 2 --epochs 2"
distill="$base --model sft.h5"
content() { "$bin/shard" ls "$1" | grep -o '[0-9a-f]\{32\}'; }
weights() { # FILE FILE WORDS: the same model, by whatever command
    [ "$(content "$1")" = "$(content "$2")" ] || fail "$3: other weights"
}
differ() { # FILE FILE WORDS
    [ "$(content "$1")" != "$(content "$2")" ] || fail "$3"
}
pairs all 0 180
pairs ab 0 120
pairs c 120 180

# a range of rows, as if there were no others; by a stream as well
quiet $distill --teacher $(cat all.list) -o all-all.h5
quiet $distill --teacher $(cat all.list) --rows 120 -o head.h5
quiet $distill --teacher $(cat ab.list) -o ab.h5
weights head.h5 ab.h5 '--rows 120'
differ head.h5 all-all.h5 '--rows 120 are all rows'
for range in 120 0:120 37:95 179:180; do
    quiet $distill --teacher $(cat all.list) --rows $range -o list.h5
    $distill --teacher - --rows $range -o stream.h5 <all.list >out 2>err || fail "stream: $(cat err)"
    same list.h5 stream.h5 "--rows $range by a stream"
    quiet $distill --teacher $(cat all.list) --rows $range -o one.h5 --threads 1 --micro-tokens 300
    same list.h5 one.h5 "--rows $range by one thread"
done
expect 2 'neither A:B nor N' $distill --teacher $(cat all.list) --rows 5-9 -o x.h5
for range in 5:5 0:181 181 -1:4 0; do
    expect 2 'not a range within the 180 rows' $distill --teacher $(cat all.list) --rows=$range -o x.h5
done

# so many positions
quiet $distill --teacher $(cat all.list) --rows 50 --epochs 1 --batch-size 64 -o x.h5 --log x.csv
positions=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "tokens") k = i } NR == 2 { print $k }' x.csv)
quiet $distill --teacher $(cat all.list) --rows 50 -o x.h5
quiet $distill --teacher $(cat all.list) --max-positions $positions -o y.h5
weights x.h5 y.h5 "--max-positions $positions"
$distill --teacher - --max-positions $positions -o z.h5 <all.list >out 2>err || fail "$(cat err)"
same y.h5 z.h5 '--max-positions by a stream'
quiet $distill --teacher $(cat all.list) --rows 49 -o x.h5
quiet $distill --teacher $(cat all.list) --max-positions $((positions - 1)) -o y.h5
weights x.h5 y.h5 "--max-positions one less"
expect 2 'less than the first row has' $distill --teacher $(cat all.list) --max-positions 1 -o x.h5

# several caches are their rows one after the other, in the order in which they are named
quiet $distill --teacher $(cat ab.list c.list) -o x.h5
weights x.h5 all-all.h5 'two caches'
quiet $distill --teacher $(cat c.list ab.list) -o y.h5
differ x.h5 y.h5 'the order of caches counts for nothing'
quiet $distill --teacher $(tac ab.list) $(cat c.list) -o z.h5
same x.h5 z.h5 'shards of the first cache in another order'
expect 3 'not of one set.*1 of 2 parts came' $distill --teacher $(head -n 1 ab.list) $(cat c.list) -o x.h5
expect 3 'of a set of 2 parts, of which 1 came' $distill --teacher $(head -n 1 ab.list) -o x.h5
cat ab.list c.list >feed
$distill --teacher - -o x.h5 <feed >out 2>err || fail "a stream ends with its cache: $(cat err)"
cat <(head -n 1 ab.list) c.list >feed
$distill --teacher - -o x.h5 <feed >out 2>err
[ $? = 3 ] && grep -q 'not of one set' err || fail "two caches in a stream: $(cat err)"

# rows that occur twice: in a cache, not in several
quiet $distill --teacher $(cat ab.list all.list) -o x.h5
(cat pairs.csv; sed -n '8,17p' pairs.csv) >twice.csv
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input twice.csv -o twice-pairs.h5
dump twice --data twice-pairs.h5
$distill --teacher $(cat twice.list) -o x.h5 >out 2>err || fail "$(cat err)"
grep -q "warning: row 180, in '.*twice-00003-of-00004.h5' has the tokens of a row before it" err ||
    fail "twice: $(cat err)"
[ "$(wc -l <err)" = 1 ] || fail "more than a warning: $(cat err)"
"${distill%% *}" ${distill#* -q} --teacher $(cat twice.list) -o y.h5 >out 2>err
grep -q '10 of 190 rows have the tokens of another' err || fail "twice, the sum: $(cat err)"

# shards of a row each
dump many --data ab-pairs.h5 --rows-per-shard 1
quiet $distill --teacher $(cat many.list) --shuffle-window 200 -o x.h5
quiet $distill --teacher $(cat ab.list) --shuffle-window 200 -o y.h5
weights x.h5 y.h5 'shards of a row each'

# a chunk that cannot be read: refused by name, or its rows left out
victim=$(sed -n 2p all.list)
cp "$victim" whole
size=$(stat -c %s whole)
for ((at = size / 2; at < size; at += 97)); do
    cp whole "$victim"
    printf '\0\1\2\3' | dd of="$victim" bs=1 seek=$at conv=notrunc status=none
    $distill --teacher $(cat all.list) -o x.h5 >out 2>err && continue
    grep -q "is damaged: column '" err && break
done
grep -q "'$victim' is damaged: column '.*', elements 0 to .* (rows 60 to .*--on-bad skip-chunk" err ||
    fail "damage: $(cat err)"
$distill --on-bad skip-chunk --teacher $(cat all.list) -o x.h5 >out 2>err || fail "skip: $(cat err)"
grep -q "warning: '$victim', column '.*(rows .*) cannot be read; these rows are left out" err ||
    fail "skip: $(cat err)"
differ x.h5 all-all.h5 'nothing was left out'
$distill --on-bad skip-chunk --teacher - -o y.h5 <all.list >out 2>err || fail "skip: $(cat err)"
same x.h5 y.h5 'left out of a stream'
"${distill%% *}" ${distill#* -q} --on-bad skip-chunk --teacher $(cat all.list) -o z.h5 >out 2>err
grep -q '60 of 180 rows were left out' err || fail "skip, the sum: $(cat err)"
"$bin/shard" stat x.h5 | grep -c '"on-bad": *"skip-chunk"' >out || fail '--on-bad is not recorded'
# a dry run says the same
expect 3 "'$victim' is damaged: column '.*', elements 0 to .* (rows 60 to " \
    $distill --teacher $(cat all.list) -o n.h5 --dry-run
[ ! -s out ] || fail "a plan of a damaged cache: $(cat out)"
expect 0 "warning: '$victim', column '.*(rows .*) cannot be read; these rows are left out" \
    $distill --on-bad skip-chunk --teacher $(cat all.list) -o n.h5 --dry-run
grep -q '^rows	180' out || fail "no plan of a damaged cache: $(cat out)"
# without any row of a step nothing changes
expect 0 '' $distill --on-bad skip-chunk --teacher $(cat all.list) --rows 59:120 --log x.csv --batch-size 1 --steps 1 -o x.h5
weights x.h5 sft.h5 'trained on nothing'
# without any row at all there is no model
rm x.h5
expect 3 "none of the 60 rows can be read: '.*' or another shard is damaged; dump it again" \
    $distill --on-bad skip-chunk --teacher $(cat all.list) --rows 60:120 -o x.h5
[ ! -e x.h5 ] || fail 'a model trained on nothing'
# of several shards each is named, once
third=$(sed -n 3p all.list)
cp "$third" third
printf '\0\1\2\3' | dd of="$third" bs=1 seek=$at conv=notrunc status=none
$distill --on-bad skip-chunk --teacher $(cat all.list) -o x.h5 >out 2>err || fail "two: $(cat err)"
for path in "$victim" "$third"; do
    [ "$(grep -c "warning: '$path', .* cannot be read" err)" = 1 ] || fail "not named once, $path: $(cat err)"
done
mv third "$third"
mv whole "$victim"
expect 2 '\-\-rows is of a run from a cache' $distill --on-policy --dpo dpo.h5 --reverse reverse.h5 \
    --data prompts.h5 --rows 5 -o x.h5
finish
